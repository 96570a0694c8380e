//! The fields of an object, until they are taken.

use super::super::Place;
use super::super::settings::Setting;
use super::literal::Value;
use super::plain_text;

/// One field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub name: String,
    pub value: Value,
    pub line: usize,
}

impl Field {
    /// The value as text, if it is plain.
    pub(super) fn text(&self) -> Option<String> {
        match &self.value {
            Value::Plain(value) => Some(plain_text(value)),
            Value::List(_) | Value::Table(_) => None,
        }
    }

    /// The texts of a list, or of a plain value alone.
    pub(super) fn texts(&self) -> Vec<String> {
        match &self.value {
            Value::Plain(value) => vec![plain_text(value)],
            Value::List(items) => items.iter().filter_map(Value::plain).collect(),
            Value::Table(_) => Vec::new(),
        }
    }

    /// For notes about it.
    pub(super) fn setting(&self, place: &Place) -> Setting {
        Setting {
            key: self.name.clone(),
            shown: self.name.clone(),
            value: self.text().unwrap_or_default(),
            place: place.line(self.line),
        }
    }
}

/// Fields in the order written.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(pub Vec<Field>);

impl Fields {
    /// Takes all fields of a name out; the last one counts. What is null is not there.
    pub(super) fn take(&mut self, name: &str) -> Option<Field> {
        let taken = self.0.extract_if(.., |field| field.name == name).last();
        taken.filter(|field| !matches!(field.value, Value::Plain(serde_json::Value::Null)))
    }

    /// The first that is there of several names for one thing.
    pub(super) fn take_any(&mut self, names: &[&str]) -> Option<Field> {
        names.iter().filter_map(|name| self.take(name)).collect::<Vec<_>>().into_iter().next()
    }

    /// What nobody took.
    pub(super) fn rest(self) -> Vec<Field> {
        self.0
    }
}
