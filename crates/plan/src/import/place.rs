//! A place in a source.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A line of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The name of the source.
    pub source: Arc<str>,
    /// The line, from 1; `None` for the source as a whole, or where there are no lines.
    pub line: Option<usize>,
}

impl Place {
    /// A source as a whole.
    #[must_use]
    pub fn whole(source: &str) -> Self {
        Self { source: source.into(), line: None }
    }

    /// A line of the same source.
    #[must_use]
    pub fn line(&self, line: usize) -> Self {
        Self { source: Arc::clone(&self.source), line: Some(line) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}", self.source),
            None => formatter.write_str(&self.source),
        }
    }
}
