//! The object literal of an ecosystem file: JSON, JSON with comments, or what JavaScript allows in a literal. Code is not
//! run.

use jsonc_parser::ast;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};
use serde_json::Value as Json;

use crate::source::Source;

use super::super::{ImportError, Place};
use super::fields::{Field, Fields};

/// A value with the lines of its fields.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Plain(Json),
    List(Vec<Value>),
    Table(Fields),
}

impl Value {
    /// A plain value as text.
    pub(super) fn plain(&self) -> Option<String> {
        match self {
            Self::Plain(value) => Some(super::plain_text(value)),
            Self::List(_) | Self::Table(_) => None,
        }
    }
}

/// Deeper than this nothing is looked at; the reader itself refuses what would be too deep for it.
const DEPTH_MAX: usize = 32;

/// Reads the literal of a source.
pub(super) fn read(source: &Source) -> Result<Value, ImportError> {
    let (start, literal) = literal(&source.text);
    let options = ParseOptions { allow_missing_commas: false, ..ParseOptions::default() };
    let collect = CollectOptions { comments: CommentCollectionStrategy::Off, tokens: false };
    let lines_before = source.text[..start].matches('\n').count();
    let unreadable = |line: usize, why: String| ImportError::Unreadable {
        place: Place::whole(&source.name).line(line),
        expected: "JSON, or the object of a `module.exports = {…}`",
        why,
        help: format!(
            "code is not run here; have node print what it comes to: node -p \"JSON.stringify(require('./{}'))\" > ecosystem.json",
            source.name.rsplit(['/', '\\']).next().unwrap_or_default()
        ),
    };
    let parsed = parse_to_ast(literal, &collect, &options)
        .map_err(|error| unreadable(lines_before + error.line_display(), error.kind().to_string()))?;
    let Some(value) = parsed.value else {
        return Err(unreadable(lines_before + 1, "there is nothing in it".to_owned()));
    };
    let reader = Reader { literal, lines_before };
    Ok(reader.value(&value, 0))
}

/// Where the literal begins, and the literal.
fn literal(text: &str) -> (usize, &str) {
    let begins = |word: &str| text.find(word).map(|at| at + word.len());
    let trimmed = text.trim_start();
    let start = if trimmed.starts_with(['{', '[']) {
        0
    } else {
        let exports = begins("module.exports").and_then(|at| text[at..].find('=').map(|sign| at + sign + 1));
        exports.or_else(|| begins("export default")).unwrap_or(0)
    };
    let literal = text[start..].trim_end();
    (start, literal.strip_suffix(';').unwrap_or(literal))
}

struct Reader<'a> {
    literal: &'a str,
    lines_before: usize,
}

impl Reader<'_> {
    fn value(&self, value: &ast::Value<'_>, depth: usize) -> Value {
        match value {
            _ if depth == DEPTH_MAX => Value::Plain(Json::Null),
            ast::Value::StringLit(text) => Value::Plain(Json::String(text.value.to_string())),
            ast::Value::NumberLit(number) => Value::Plain(number_of(number.value)),
            ast::Value::BooleanLit(boolean) => Value::Plain(Json::Bool(boolean.value)),
            ast::Value::NullKeyword(_) => Value::Plain(Json::Null),
            ast::Value::Array(array) => {
                Value::List(array.elements.iter().map(|element| self.value(element, depth + 1)).collect())
            }
            ast::Value::Object(object) => {
                let field = |property: &ast::ObjectProp<'_>| Field {
                    name: property.name.as_str().to_owned(),
                    value: self.value(&property.value, depth + 1),
                    line: self.line(property.start()),
                };
                Value::Table(Fields(object.properties.iter().map(field).collect()))
            }
        }
    }

    fn line(&self, at: usize) -> usize {
        self.lines_before + self.literal.get(..at).unwrap_or_default().matches('\n').count() + 1
    }
}

/// A number; one JSON has no way to write is kept as text.
fn number_of(text: &str) -> Json {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let integer = hexadecimal
        .map_or_else(|| text.trim_start_matches('+').parse().ok(), |digits| i64::from_str_radix(digits, 16).ok());
    if let Some(integer) = integer {
        return Json::from(integer);
    }
    let float = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    float.map_or_else(|| Json::String(text.to_owned()), Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { name: "ecosystem.config.js".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn an_object_literal_is_read_with_its_lines() {
        let text = "// mine\nmodule.exports = {\n  apps: [\n    { name: 'web', /* x */ \"script\": 'a.js', n: 0x10, },\n  ],\n};\n";
        let Value::Table(mut table) = read(&source(text)).unwrap() else { panic!("it is a table") };
        let apps = table.take("apps").unwrap();
        assert_eq!(apps.line, 3);
        let Value::List(items) = apps.value else { panic!("it is a list") };
        let Value::Table(mut app) = items[0].clone() else { panic!("it is a table") };
        let number = app.take("n").unwrap();
        assert_eq!((number.text().as_deref(), number.line), (Some("16"), 4));
    }

    #[test]
    fn code_is_refused_with_how_to_have_node_print_it() {
        for text in [
            "module.exports = { apps: [{ script: process.env.SCRIPT }] }",
            "const apps = [];\nmodule.exports = apps;",
            "module.exports = { apps: [{ script: `a` }] }",
            "",
        ] {
            let error = read(&source(text)).unwrap_err();
            assert!(error.help().unwrap().contains("node -p"), "{error}");
        }
    }
}
