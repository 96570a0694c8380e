//! `${NAME}`, `${NAME:default}`, `${NAME:-default}` and `$$` in the values of a definition.

use thiserror::Error;

/// How deep defaults may nest: `${A:${B:1}}` is two.
pub const NESTING_MAX: usize = 16;

/// A piece of a text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Text as it is.
    Literal(String),
    /// A placeholder.
    Placeholder(Placeholder),
}

/// One placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    /// The name between the braces.
    pub name: String,
    /// What to take when the name is unset or empty.
    pub default: Option<Vec<Segment>>,
    /// The first byte of it in the text.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
}

/// Why a placeholder cannot be read; offsets are bytes in the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlaceholderError {
    /// `${` without its `}`.
    #[error("this placeholder is not closed with '}}'")]
    Unclosed {
        /// Where `${` stands.
        start: usize,
    },
    /// A name that is not a letter or underscore followed by letters, digits and underscores.
    #[error("'{name}' is not the name of a placeholder")]
    BadName {
        /// What was written.
        name: String,
        /// Where the placeholder starts.
        start: usize,
        /// Where it was given up.
        end: usize,
    },
    /// Deeper than [`NESTING_MAX`].
    #[error("placeholders are nested more than {NESTING_MAX} deep")]
    TooDeep {
        /// Where the one too many starts.
        start: usize,
    },
}

/// A placeholder that has neither a value nor a default.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("${{{name}}} is not set")]
pub struct Unset {
    /// Its name.
    pub name: String,
    /// Its first byte in the text.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
}

/// Splits a text into literals and placeholders.
///
/// # Errors
/// When a placeholder is not closed, badly named or nested too deep.
///
/// ```
/// use menshen_plan::placeholder::{expand, parse};
/// let segments = parse("http://${HOST:localhost}:${PORT:-8080}/").unwrap();
/// let text = expand(&segments, &mut |name| (name == "PORT").then(|| "9".to_owned()), &mut |_| ()).unwrap();
/// assert_eq!(text, "http://localhost:9/");
/// ```
pub fn parse(text: &str) -> Result<Vec<Segment>, PlaceholderError> {
    let mut parser = Parser { text, at: 0 };
    parser.segments(0)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    /// Reads up to the end of the text, or, inside a default, up to the closing brace (which is left for the caller).
    fn segments(&mut self, depth: usize) -> Result<Vec<Segment>, PlaceholderError> {
        let mut segments = Vec::new();
        let mut literal = String::new();
        while let Some(next) = self.rest().chars().next() {
            if depth > 0 && next == '}' {
                break;
            }
            if self.rest().starts_with("$$") {
                literal.push('$');
                self.at += 2;
            } else if self.rest().starts_with("${") {
                if !literal.is_empty() {
                    segments.push(Segment::Literal(std::mem::take(&mut literal)));
                }
                segments.push(Segment::Placeholder(self.placeholder(depth + 1)?));
            } else {
                literal.push(next);
                self.at += next.len_utf8();
            }
        }
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal));
        }
        Ok(segments)
    }

    fn placeholder(&mut self, depth: usize) -> Result<Placeholder, PlaceholderError> {
        let start = self.at;
        if depth > NESTING_MAX {
            return Err(PlaceholderError::TooDeep { start });
        }
        self.at += 2;
        let name_length = self.rest().find([':', '}', '$', '{', ' ']).ok_or(PlaceholderError::Unclosed { start })?;
        let name = self.rest()[..name_length].to_owned();
        self.at += name_length;
        if !is_name(&name) || !self.rest().starts_with([':', '}']) {
            let end = self.text[self.at..].find('}').map_or(self.text.len(), |brace| self.at + brace + 1);
            return Err(PlaceholderError::BadName { name: self.text[start..end].to_owned(), start, end });
        }
        let default = self.rest().starts_with(':').then(|| {
            self.at += if self.rest().starts_with(":-") { 2 } else { 1 };
            self.segments(depth)
        });
        let default = default.transpose()?;
        if !self.rest().starts_with('}') {
            return Err(PlaceholderError::Unclosed { start });
        }
        self.at += 1;
        Ok(Placeholder { name, default, start, end: self.at })
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }
}

/// Puts values in the place of placeholders. `lookup` answers with the value of a name (an empty one counts as unset);
/// `on_default` hears of each name whose default was taken.
///
/// # Errors
/// With the first placeholder that has neither value nor default.
pub fn expand(
    segments: &[Segment],
    lookup: &mut dyn FnMut(&str) -> Option<String>,
    on_default: &mut dyn FnMut(&str),
) -> Result<String, Unset> {
    let mut text = String::new();
    for segment in segments {
        match segment {
            Segment::Literal(literal) => text.push_str(literal),
            Segment::Placeholder(placeholder) => text.push_str(&expand_one(placeholder, lookup, on_default)?),
        }
    }
    Ok(text)
}

fn expand_one(
    placeholder: &Placeholder,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
    on_default: &mut dyn FnMut(&str),
) -> Result<String, Unset> {
    if let Some(value) = lookup(&placeholder.name).filter(|value| !value.is_empty()) {
        return Ok(value);
    }
    let Some(default) = &placeholder.default else {
        return Err(Unset { name: placeholder.name.clone(), start: placeholder.start, end: placeholder.end });
    };
    on_default(&placeholder.name);
    expand(default, lookup, on_default)
}

/// Whether a text can be the name of a placeholder or of an environment variable.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|next| next.is_ascii_alphanumeric() || next == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expanded(text: &str, set: &[(&str, &str)]) -> Result<String, Unset> {
        let mut lookup = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        expand(&parse(text).unwrap(), &mut lookup, &mut |_| ())
    }

    #[test]
    fn the_default_is_taken_when_the_name_is_unset_or_empty() {
        assert_eq!(expanded("${A:1}", &[]).unwrap(), "1");
        assert_eq!(expanded("${A:-1}", &[("A", "")]).unwrap(), "1");
        assert_eq!(expanded("${A:1}", &[("A", "2")]).unwrap(), "2");
        assert_eq!(expanded("${A:}", &[]).unwrap(), "");
        assert_eq!(expanded("${A:--1}", &[]).unwrap(), "-1");
    }

    #[test]
    fn defaults_nest() {
        assert_eq!(expanded("${A:${B:1}}", &[]).unwrap(), "1");
        assert_eq!(expanded("${A:${B:1}}", &[("B", "2")]).unwrap(), "2");
        assert_eq!(expanded("x${A:[${B:1}-${C:2}]}y", &[("C", "3")]).unwrap(), "x[1-3]y");
    }

    #[test]
    fn two_dollars_are_one_and_a_lone_dollar_is_itself() {
        assert_eq!(expanded("$${A} $5 $", &[]).unwrap(), "${A} $5 $");
        assert_eq!(expanded("${A:$$}", &[]).unwrap(), "$");
    }

    #[test]
    fn a_value_is_not_expanded_again() {
        assert_eq!(expanded("${A}", &[("A", "${B}")]).unwrap(), "${B}");
    }

    #[test]
    fn an_unset_placeholder_is_reported_with_its_place() {
        assert_eq!(expanded("ab${PORT}", &[]), Err(Unset { name: "PORT".into(), start: 2, end: 9 }));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(parse("${A"), Err(PlaceholderError::Unclosed { start: 0 }));
        assert_eq!(parse("${A:x"), Err(PlaceholderError::Unclosed { start: 0 }));
        assert!(matches!(parse("${1A}"), Err(PlaceholderError::BadName { .. })));
        assert!(matches!(parse("${}"), Err(PlaceholderError::BadName { .. })));
        assert!(matches!(parse("${A B}"), Err(PlaceholderError::BadName { .. })));
        let deep = format!("{}{}", "${A:".repeat(100), "}".repeat(100));
        assert!(matches!(parse(&deep), Err(PlaceholderError::TooDeep { .. })));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[${}:A-Ca-c_ -]{0,40}|\\PC*") {
            if let Ok(segments) = parse(&text) {
                let _ = expand(&segments, &mut |_| None, &mut |_| ());
            }
        }

        #[test]
        fn a_text_without_dollars_is_itself(text in "[^$]*") {
            prop_assert_eq!(expanded(&text, &[]).unwrap(), text);
        }
    }
}
