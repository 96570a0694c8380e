//! From the tree of values to the typed definition, with every mistake reported at its place and in the user's words.
//!
//! serde stops at the first mistake. Here the value at fault is taken out of the tree and decoding starts again, until what
//! is left is right: one run reports them all.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};

use crate::check::Code;
use crate::definition::Definition;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::value::{Entry, Node, Table, Value};

/// After this many mistakes the rest is not looked for.
const MISTAKES_MAX: usize = 200;

/// Decodes a tree. Returns the definition without the values at fault, a diagnostic for each of those, and their paths.
pub(crate) fn decode(mut root: Node) -> (Definition, Vec<Diagnostic>, Vec<Vec<String>>) {
    let mut diagnostics = Vec::new();
    let mut faulty = Vec::new();
    while diagnostics.len() < MISTAKES_MAX {
        match Definition::deserialize(NodeDeserializer { node: &root }) {
            Ok(definition) => return (definition, diagnostics, faulty),
            Err(error) => {
                let error = *error.0;
                let removed = remove(&mut root, &error.path);
                faulty.push(error.path.clone());
                diagnostics.push(error.into_diagnostic());
                if !removed {
                    break;
                }
            }
        }
    }
    (Definition::default(), diagnostics, faulty)
}

fn remove(root: &mut Node, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut node = root;
    for key in parents {
        let next = match &mut node.value {
            Value::Table(table) => table.get_mut(key).map(|entry| &mut entry.node),
            Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => None,
        };
        let Some(next) = next else { return false };
        node = next;
    }
    match &mut node.value {
        Value::Table(table) => table.shift_remove(last).is_some(),
        Value::Array(items) => {
            last.parse::<usize>().ok().filter(|index| *index < items.len()).map(|index| items.remove(index)).is_some()
        }
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => false,
    }
}

/// A kind of text with a syntax of its own.
pub(crate) struct TextKind {
    name: &'static str,
    expected: &'static str,
    code: Code,
}

impl TextKind {
    pub(crate) const DURATION: Self =
        Self { name: "Duration", expected: "a duration such as \"10s\"", code: Code::BadDuration };
    pub(crate) const SIZE: Self = Self { name: "Size", expected: "a size such as \"10MiB\"", code: Code::BadSize };
    pub(crate) const SIGNAL: Self =
        Self { name: "Signal", expected: "a signal such as \"SIGTERM\"", code: Code::BadValue };
    const ALL: [&'static Self; 3] = [&Self::DURATION, &Self::SIZE, &Self::SIGNAL];
}

/// Reads a text of a kind; a text that cannot be parsed becomes a mistake with the kind's code.
pub(crate) fn parsed_text<'de, D: Deserializer<'de>, T, E: fmt::Display>(
    deserializer: D,
    kind: &'static TextKind,
    parse: fn(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    struct Text<T, E> {
        kind: &'static TextKind,
        parse: fn(&str) -> Result<T, E>,
    }

    impl<'de, T, E: fmt::Display> Visitor<'de> for Text<T, E> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.kind.expected)
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<T, D::Error> {
            inner.deserialize_str(self)
        }

        fn visit_str<X: de::Error>(self, text: &str) -> Result<T, X> {
            (self.parse)(text).map_err(X::custom)
        }
    }

    deserializer.deserialize_newtype_struct(kind.name, Text { kind, parse })
}

/// A mistake on its way out; boxed because it is large and rare.
#[derive(Debug)]
pub(crate) struct DecodeError(Box<Mistake>);

#[derive(Debug)]
struct Mistake {
    code: Code,
    message: String,
    help: Option<String>,
    span: Option<Span>,
    path: Vec<String>,
}

impl Mistake {
    fn into_diagnostic(self) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(self.code, self.message).at(self.span);
        diagnostic.help = self.help;
        diagnostic
    }
}

impl DecodeError {
    fn new(code: Code, message: String) -> Self {
        Self(Box::new(Mistake { code, message, help: None, span: None, path: Vec::new() }))
    }

    fn help(mut self, help: Option<String>) -> Self {
        self.0.help = help;
        self
    }

    /// Fills in the place unless a place further in is known.
    fn at(mut self, span: Span) -> Self {
        self.0.span.get_or_insert(span);
        self
    }

    fn below(mut self, key: &str) -> Self {
        self.0.path.insert(0, key.to_owned());
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Code::BadValue, message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Code::WrongType, format!("expected {}, found {}", describe_expected(expected), describe_found(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Code::BadValue, format!("expected {}, found {}", describe_expected(expected), describe_found(found)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Code::UnknownKey, format!("unknown key '{field}'")).help(suggestion(
            field,
            expected,
            "the keys here are",
        ))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Code::BadValue, format!("'{variant}' is not one of the choices")).help(suggestion(
            variant,
            expected,
            "the choices are",
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Code::MissingKey, format!("the key '{field}' is missing"))
    }
}

/// "did you mean", or else the whole list.
fn suggestion(written: &str, known: &[&str], list: &str) -> Option<String> {
    if let Some(near) = nearest(written, known.iter().copied()) {
        return Some(format!("did you mean '{near}'?"));
    }
    (!known.is_empty()).then(|| format!("{list} {}", known.join(", ")))
}

/// The name most like the one written, when one is like it at all.
pub(crate) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let normal = written.to_lowercase().replace('-', "_");
    known
        .map(|name| (strsim::jaro_winkler(&normal, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.82)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

fn describe_expected(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    let words = match text.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "string" | "str" => "text",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("enum ") => "one of the choices, as text",
        other => other,
    };
    words.to_owned()
}

fn describe_found(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("{value}"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Char(value) => format!("the text \"{value}\""),
        Unexpected::Str(value) => format!("the text \"{value}\""),
        Unexpected::Seq => "an array".to_owned(),
        Unexpected::Map | Unexpected::StructVariant => "a table".to_owned(),
        Unexpected::Other(what) => what.to_owned(),
        Unexpected::Bytes(_)
        | Unexpected::Unit
        | Unexpected::Option
        | Unexpected::NewtypeStruct
        | Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant => "something else".to_owned(),
    }
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'a> {
    node: &'a Node,
}

impl<'a> NodeDeserializer<'a> {
    /// A number or boolean may be written with a placeholder, and then arrives as text.
    fn expanded_text(self) -> Option<&'a str> {
        if self.node.expansions.is_empty() { None } else { self.node.as_str().map(str::trim) }
    }

    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::String(text) => visitor.visit_str(text),
            Value::Integer(integer) => visitor.visit_i64(*integer),
            Value::Float(float) => visitor.visit_f64(*float),
            Value::Boolean(boolean) => visitor.visit_bool(*boolean),
            Value::Datetime(_) => Err(de::Error::invalid_type(Unexpected::Other("a date or time"), &visitor)),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Value::Table(table) => visitor.visit_map(Entries { entries: table.iter(), value: None }),
        }
    }
}

macro_rules! numbers {
    ($($method:ident => $type:ty, $visit:ident;)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self.expanded_text().map(str::parse::<$type>) {
                Some(Ok(number)) => visitor.$visit(number),
                Some(Err(_)) | None => self.visit(visitor),
            }
            .map_err(|error| error.at(self.node.span))
        })+
    };
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = DecodeError;

    numbers! {
        deserialize_bool => bool, visit_bool;
        deserialize_i8 => i64, visit_i64;
        deserialize_i16 => i64, visit_i64;
        deserialize_i32 => i64, visit_i64;
        deserialize_i64 => i64, visit_i64;
        deserialize_u8 => i64, visit_i64;
        deserialize_u16 => i64, visit_i64;
        deserialize_u32 => i64, visit_i64;
        deserialize_u64 => i64, visit_i64;
        deserialize_f32 => f64, visit_f64;
        deserialize_f64 => f64, visit_f64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit(visitor).map_err(|error| error.at(self.node.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self).map_err(|error| error.at(self.node.span))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let kind = TextKind::ALL.into_iter().find(|kind| kind.name == name);
        visitor.visit_newtype_struct(self).map_err(|mut error| {
            if let Some(kind) = kind.filter(|_| error.0.code == Code::BadValue) {
                error.0.code = kind.code;
            }
            error.at(self.node.span)
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let Some(text) = self.node.as_str() else {
            let found = Unexpected::Other(self.node.value.type_name());
            return Err(
                <DecodeError as de::Error>::invalid_type(found, &"one of the choices, as text").at(self.node.span)
            );
        };
        let choice: StrDeserializer<'_, DecodeError> = text.into_deserializer();
        visitor.visit_enum(choice).map_err(|error| error.at(self.node.span))
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some((index, node)) = self.items.next() else { return Ok(None) };
        seed.deserialize(NodeDeserializer { node }).map(Some).map_err(|error| error.below(&index.to_string()))
    }
}

struct Entries<'a> {
    entries: indexmap::map::Iter<'a, String, Entry>,
    value: Option<(&'a str, &'a Node)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, entry)) = self.entries.next() else { return Ok(None) };
        self.value = Some((key, &entry.node));
        let text: StringDeserializer<DecodeError> = key.clone().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|mut error| {
            if error.0.code == Code::BadValue {
                error.0.code = Code::BadName;
            }
            error.at(entry.key).below(key)
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some((key, node)) = self.value.take() else {
            return Err(DecodeError::new(Code::BadValue, "a key has no value".to_owned()));
        };
        seed.deserialize(NodeDeserializer { node }).map_err(|error| error.below(key))
    }
}

/// An empty tree, to start from where there is no text at all.
pub(crate) fn empty_table(span: Span) -> Node {
    Node::new(Value::Table(Table::new()), span)
}
