//! Commands: an array of exact words, or one text split into words the way a POSIX shell splits them. No shell is run.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::placeholder::{PlaceholderError, Segment};

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CommandLine(pub Vec<String>);

impl CommandLine {
    /// The first word.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    /// The words after the first.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        self.0.get(1..).unwrap_or_default()
    }

    /// Whether there are no words, or the program's name is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.program().is_none_or(|program| program.trim().is_empty())
    }
}

impl fmt::Display for CommandLine {
    /// The words quoted so that a POSIX shell would read them back.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            match shlex::try_quote(word) {
                Ok(quoted) => write!(formatter, "{separator}{quoted}")?,
                Err(_) => write!(formatter, "{separator}{word:?}")?,
            }
        }
        Ok(())
    }
}

/// Why a text cannot be split into words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SplitError {
    /// A quote without its partner, or a backslash at the end.
    #[error("a quote is not closed, or the text ends with a backslash")]
    Unbalanced,
    /// A NUL byte, which no argument can carry.
    #[error("a command cannot contain a NUL byte")]
    Nul,
    /// A placeholder that cannot be read.
    #[error(transparent)]
    Placeholder(#[from] PlaceholderError),
}

/// Splits a text into words, leaving placeholders whole: the value of `${NAME}` never becomes two words, whatever is in it.
///
/// # Errors
/// When quotes are not balanced or a placeholder cannot be read.
///
/// ```
/// use menshen_plan::command_line::split;
/// assert_eq!(split("./web --port ${PORT:8080} 'a b'").unwrap(), ["./web", "--port", "${PORT:8080}", "a b"]);
/// ```
pub fn split(text: &str) -> Result<Vec<String>, SplitError> {
    if text.contains('\0') {
        return Err(SplitError::Nul);
    }
    let mut placeholders = Vec::new();
    let shielded = shield(text, &mut placeholders)?;
    let words = shlex::split(&shielded).ok_or(SplitError::Unbalanced)?;
    Ok(words.iter().map(|word| unshield(word, &placeholders)).collect())
}

/// Puts `NUL index NUL` where each placeholder stands (no NUL can be in the text), so that its braces, blanks and quotes do
/// not take part in the splitting. `$$` is left as it is, for the later expansion.
fn shield(text: &str, placeholders: &mut Vec<String>) -> Result<String, SplitError> {
    let mut shielded = String::new();
    let mut at = 0;
    for segment in crate::placeholder::parse(text)? {
        if let Segment::Placeholder(placeholder) = segment {
            shielded.push_str(&text[at..placeholder.start]);
            shielded.push_str(&format!("\0{}\0", placeholders.len()));
            placeholders.push(text[placeholder.start..placeholder.end].to_owned());
            at = placeholder.end;
        }
    }
    shielded.push_str(&text[at..]);
    Ok(shielded)
}

fn unshield(word: &str, placeholders: &[String]) -> String {
    let mut text = String::new();
    for (index, piece) in word.split('\0').enumerate() {
        if index % 2 == 0 {
            text.push_str(piece);
        } else if let Some(placeholder) = piece.parse().ok().and_then(|number: usize| placeholders.get(number)) {
            text.push_str(placeholder);
        }
    }
    text
}

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;

        impl<'de> Visitor<'de> for Words {
            type Value = CommandLine;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a command: an array of words, or one text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<CommandLine, E> {
                split(text).map(CommandLine).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<CommandLine, A::Error> {
                let mut command = Vec::new();
                while let Some(word) = words.next_element::<String>()? {
                    if word.contains('\0') {
                        return Err(serde::de::Error::custom(SplitError::Nul));
                    }
                    command.push(word);
                }
                Ok(CommandLine(command))
            }
        }

        deserializer.deserialize_any(Words)
    }
}

impl JsonSchema for CommandLine {
    fn schema_name() -> Cow<'static, str> {
        "Command".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A program and its arguments: an array of exact words, or one text split as a POSIX shell splits words. No shell is run.",
            "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ],
            "examples": [["redis-server", "--port", "${CACHE_PORT:6379}"], "./web --port ${PORT:8080}"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_placeholder_stays_one_word_whatever_its_default_holds() {
        assert_eq!(split("a ${B:c d 'e} f").unwrap(), ["a", "${B:c d 'e}", "f"]);
        assert_eq!(split("'x ${B}'y").unwrap(), ["x ${B}y"]);
        assert_eq!(split("--port=${P:${Q:1 2}}").unwrap(), ["--port=${P:${Q:1 2}}"]);
    }

    #[test]
    fn two_dollars_are_left_for_the_expansion() {
        assert_eq!(split("a $$b '$$c'").unwrap(), ["a", "$$b", "$$c"]);
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        assert_eq!(split("a 'b"), Err(SplitError::Unbalanced));
        assert_eq!(split("a \\"), Err(SplitError::Unbalanced));
    }

    proptest! {
        #[test]
        fn quoted_words_are_split_back(words in proptest::collection::vec("[^\\x00$]*", 1..6)) {
            let text = CommandLine(words.clone()).to_string();
            prop_assert_eq!(split(&text).unwrap(), words);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = split(&text);
        }
    }
}
