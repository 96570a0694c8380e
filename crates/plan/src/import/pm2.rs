//! pm2 ecosystem files: JSON, or the object literal of a `module.exports = {…}`.
//!
//! [`literal`] finds and reads it, [`app`] translates one application.

mod app;
mod fields;
mod literal;

use serde_json::Value as Json;

use crate::source::Source;

use super::draft::Drafts;
use super::{ImportError, Note, NoteKind, Place};
use fields::{Field, Fields};

/// Reads every application of every file.
pub(crate) fn read(sources: &[Source], drafts: &mut Drafts<'_>) -> Result<(), ImportError> {
    for source in sources {
        let place = Place::whole(&source.name);
        let value = literal::read(source)?;
        for (index, mut fields) in apps(value, &place, drafts)?.into_iter().enumerate() {
            let names = drafts.services.len();
            app::translate(&mut fields, &place, &format!("{}:{index}", source.name), drafts);
            debug_assert!(drafts.services.len() >= names, "translating takes nothing away");
        }
    }
    Ok(())
}

/// The applications: a list of them, alone or under `apps`, or a single one.
fn apps(value: literal::Value, place: &Place, drafts: &mut Drafts<'_>) -> Result<Vec<Fields>, ImportError> {
    let list = match value {
        literal::Value::List(items) => items,
        literal::Value::Table(mut table) => match table.take("apps") {
            Some(Field { value: literal::Value::List(items), .. }) => {
                for field in table.rest() {
                    let message = "is not about guarding programs";
                    drafts.note(Note::new(NoteKind::Lost, &place.line(field.line), &field.name, message));
                }
                items
            }
            Some(Field { value: one @ literal::Value::Table(_), .. }) => vec![one],
            Some(Field { value: literal::Value::Plain(_), .. }) | None => vec![literal::Value::Table(table)],
        },
        literal::Value::Plain(_) => Vec::new(),
    };
    let tables = list.into_iter().filter_map(|item| match item {
        literal::Value::Table(fields) => Some(fields),
        literal::Value::List(_) | literal::Value::Plain(_) => None,
    });
    let tables: Vec<Fields> = tables.collect();
    if tables.is_empty() {
        return Err(ImportError::Unreadable {
            place: place.clone(),
            expected: "a pm2 ecosystem file",
            why: "it has no applications in it".to_owned(),
            help: "they are objects in a list `apps`".to_owned(),
        });
    }
    Ok(tables)
}

/// A plain value as text: numbers and booleans as they are written.
fn plain_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
    }
}
