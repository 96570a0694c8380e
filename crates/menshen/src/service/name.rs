//! What services may be called.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The name of a service: at most 80 letters, digits, `-`, `_` and `.`, beginning with a letter or digit. Every service manager
/// takes such a name as it is, in files, in keys of the registry and on command lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

/// The longest name, in bytes. What `update-rc.d`, D-Bus paths and file systems take with room for a suffix.
const LENGTH_MAX: usize = 80;

/// Why a text is no name of a service.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing is no name.
    #[error("the name of a service cannot be empty")]
    Empty,
    /// Longer than any manager is sure to take.
    #[error("the name '{name}' has {length} bytes; at most {LENGTH_MAX} are possible")]
    TooLong {
        /// The text.
        name: String,
        /// Its length.
        length: usize,
    },
    /// Something in it has a meaning to some manager.
    #[error(
        "the name '{name}' has '{character}' in it; letters, digits, '-', '_' and '.' are possible, the first a letter or digit"
    )]
    Character {
        /// The text.
        name: String,
        /// The first character that cannot be.
        character: char,
    },
}

impl ServiceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > LENGTH_MAX {
            return Err(NameError::TooLong { name: text.to_owned(), length: text.len() });
        }
        let first = text.chars().next().ok_or(NameError::Empty)?;
        let is_possible = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        let wrong = if first.is_ascii_alphanumeric() { text.chars().find(|c| !is_possible(*c)) } else { Some(first) };
        match wrong {
            Some(character) => Err(NameError::Character { name: text.to_owned(), character }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_every_manager_takes_as_it_is() {
        for name in ["web", "menshen-shop", "a.b_c-1", "9"] {
            assert_eq!(name.parse::<ServiceName>().unwrap().as_str(), name);
        }
        let refused = |text: &str| text.parse::<ServiceName>().unwrap_err();
        assert_eq!(refused(""), NameError::Empty);
        assert!(matches!(refused(&"a".repeat(81)), NameError::TooLong { length: 81, .. }));
        for (text, wrong) in
            [("-web", '-'), ("a/b", '/'), ("a b", ' '), ("a%b", '%'), (".a", '.'), ("é", 'é'), ("a\n", '\n')]
        {
            assert_eq!(refused(text), NameError::Character { name: text.to_owned(), character: wrong });
        }
    }
}
