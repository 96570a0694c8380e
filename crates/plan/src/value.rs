//! A definition as a tree of values, each of which knows where it was written.

use indexmap::IndexMap;

use crate::source::Span;

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value itself.
    pub value: Value,
    /// Where it is written.
    pub span: Span,
    /// The placeholders that were expanded in it, in order.
    pub expansions: Vec<Expansion>,
}

/// What a definition is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or time as TOML writes it; nothing in the format takes one.
    Datetime(String),
    /// A list.
    Array(Vec<Node>),
    /// Keys and values, in the order written.
    Table(Table),
}

/// Keys and values in the order written.
pub type Table = IndexMap<String, Entry>;

/// A value in a table, with the place of its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key is written.
    pub key: Span,
    /// The value.
    pub node: Node,
}

/// One placeholder that was expanded, and what its value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The name between the braces.
    pub name: String,
    /// What decided.
    pub from: ExpansionSource,
}

/// What gave a placeholder its value; highest precedence first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpansionSource {
    /// `--set NAME=…`.
    CommandLine,
    /// The environment of the command.
    Environment,
    /// The service's `env_file`.
    EnvFile,
    /// The default written in the placeholder.
    Default,
}

impl ExpansionSource {
    /// For people.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::CommandLine => "--set",
            Self::Environment => "the environment",
            Self::EnvFile => "env_file",
            Self::Default => "its default",
        }
    }
}

impl Node {
    /// A value written at `span`.
    #[must_use]
    pub const fn new(value: Value, span: Span) -> Self {
        Self { value, span, expansions: Vec::new() }
    }

    /// The node at a path of keys (`["service", "web", "command"]`); array elements are named by their index.
    #[must_use]
    pub fn at<'a>(&'a self, path: impl IntoIterator<Item = &'a str>) -> Option<&'a Self> {
        let mut node = self;
        for key in path {
            node = match &node.value {
                Value::Table(table) => &table.get(key)?.node,
                Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
                Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
                    return None;
                }
            };
        }
        Some(node)
    }

    /// The table in this node, if it is one.
    #[must_use]
    pub const fn as_table(&self) -> Option<&Table> {
        if let Value::Table(table) = &self.value { Some(table) } else { None }
    }

    /// The text in this node, if it is one.
    #[must_use]
    pub const fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = &self.value { Some(text.as_str()) } else { None }
    }
}

impl Value {
    /// The name of the type for people.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::Datetime(_) => "a date or time",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}
