//! One text to a tree of values, or every syntax error in it.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::check::Code;
use crate::diagnostic::Diagnostic;
use crate::source::{SourceId, Span};
use crate::value::{Entry, Node, Table, Value};

/// The largest text taken as a definition, in bytes: a thousand services fit several times over.
pub const SOURCE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Reads a TOML text. What could be read is returned beside the errors, so that later steps can find more of them.
#[must_use]
pub fn parse(source: SourceId, text: &str) -> (Node, Vec<Diagnostic>) {
    let whole = Span { source, start: 0, end: text.len() };
    if text.len() > SOURCE_BYTES_MAX {
        let size = format!("this text has {} bytes; the most a definition may have is {SOURCE_BYTES_MAX}", text.len());
        let too_large =
            Diagnostic::new(Code::Syntax, size).at(Span::start_of(source)).help("split it into a folder of files");
        return (Node::new(Value::Table(Table::new()), whole), vec![too_large]);
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut diagnostics: Vec<Diagnostic> = errors.iter().map(|error| syntax_error(source, error)).collect();
    let root = Reader { source, diagnostics: &mut diagnostics }.table(table.get_ref());
    (Node::new(Value::Table(root), whole), diagnostics)
}

fn syntax_error(source: SourceId, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().map(|range| Span { source, start: range.start, end: range.end });
    let message = error.message().replace('\n', "; ");
    Diagnostic::new(Code::Syntax, message).at(span).label("here").help("the format is TOML: https://toml.io/en/v1.0.0")
}

struct Reader<'a> {
    source: SourceId,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>) -> Table {
        table
            .iter()
            .map(|(key, value)| {
                let entry = Entry { key: self.span(key), node: self.node(value) };
                (key.get_ref().to_string(), entry)
            })
            .collect()
    }

    fn array(&mut self, array: &DeArray<'_>) -> Vec<Node> {
        array.iter().map(|item| self.node(item)).collect()
    }

    fn node(&mut self, value: &Spanned<DeValue<'_>>) -> Node {
        let span = self.span(value);
        let value = match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(integer) => self.integer(span, integer.as_str(), integer.radix()),
            DeValue::Float(float) => self.float(span, float.as_str()),
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Datetime(datetime) => Value::Datetime(datetime.to_string()),
            DeValue::Array(array) => Value::Array(self.array(array)),
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node::new(value, span)
    }

    fn integer(&mut self, span: Span, text: &str, radix: u32) -> Value {
        if let Ok(integer) = i64::from_str_radix(text, radix) {
            return Value::Integer(integer);
        }
        let message = format!("the number {text} is too large");
        self.diagnostics
            .push(Diagnostic::new(Code::Syntax, message).at(span).help("whole numbers go up to 9223372036854775807"));
        Value::Integer(0)
    }

    fn float(&mut self, span: Span, text: &str) -> Value {
        if let Ok(float) = text.parse::<f64>() {
            return Value::Float(float);
        }
        self.diagnostics.push(Diagnostic::new(Code::Syntax, format!("'{text}' is not a number")).at(span));
        Value::Float(0.0)
    }

    fn span<T>(&self, spanned: &Spanned<T>) -> Span {
        let range = spanned.span();
        Span { source: self.source, start: range.start, end: range.end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Source, Sources};

    fn parse_text(text: &str) -> (Node, Vec<Diagnostic>) {
        let mut sources = Sources::default();
        let id = sources.add(Source { name: "t".into(), text: text.into() });
        parse(id, text)
    }

    #[test]
    fn values_know_where_they_are_written() {
        let text = "[service.web]\ncommand = \"x y\"\n";
        let (root, errors) = parse_text(text);
        assert_eq!(errors, []);
        let node = root.at(["service", "web", "command"]).unwrap();
        assert_eq!(&text[node.span.start..node.span.end], "\"x y\"");
    }

    #[test]
    fn every_syntax_error_is_reported_and_the_rest_is_still_read() {
        let (root, errors) = parse_text("a = \nb = 2\nc = = 3\nd = 4\n");
        assert!(errors.len() >= 2, "{errors:?}");
        assert_eq!(root.at(["d"]).unwrap().value, Value::Integer(4));
    }

    #[test]
    fn a_number_that_does_not_fit_is_an_error_at_its_place() {
        let (_, errors) = parse_text("a = 99999999999999999999\n");
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].span.unwrap().start, 4);
    }

    #[test]
    fn deep_nesting_is_refused_not_a_stack_overflow() {
        let deep = format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(!parse_text(&deep).1.is_empty());
        let dotted = format!("{} = 1", vec!["a"; 100_000].join("."));
        let (root, errors) = parse_text(&dotted);
        assert!(!errors.is_empty() || root.at(["a"]).is_some());
    }
}
