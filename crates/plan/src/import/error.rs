//! Why nothing came of a source.

use thiserror::Error;

use super::Place;

/// Why a source cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImportError {
    /// The text is not what it is said to be.
    #[error("{place}: this is not {expected}: {why}")]
    Unreadable {
        /// Where.
        place: Place,
        /// What it should be: `an XML document`.
        expected: &'static str,
        /// What is wrong.
        why: String,
        /// What to do.
        help: String,
    },
    /// There is nothing to guard in it.
    #[error("{sources} says of no program that it is to run")]
    Nothing {
        /// The names of the sources.
        sources: String,
        /// What was found and cannot be imported.
        notes: Vec<super::Note>,
    },
}

impl ImportError {
    /// What to do.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Unreadable { help, .. } => Some(help),
            Self::Nothing { .. } => None,
        }
    }
}
