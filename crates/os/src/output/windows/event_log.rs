//! The Event Log.

use std::io;

use menshen_scm::event::{Id, Level};
use menshen_scm::event_log::Source;

use crate::output::Severity;

/// A source of events.
#[derive(Debug)]
pub struct EventLog(Source);

impl EventLog {
    /// Whether this system has one.
    pub const IS_HERE: bool = true;

    /// Opens a source of the Application log. One that is not registered writes all the same, with a remark of Windows' about it.
    ///
    /// # Errors
    /// When the log cannot be reached.
    pub fn open(source: &str) -> io::Result<Self> {
        Source::open(source).map(Self)
    }

    /// Writes one event, and waits until the log has taken it.
    ///
    /// # Errors
    /// When the log does not take it.
    pub fn write(&self, severity: Severity, text: &str) -> io::Result<()> {
        let (level, number) = match severity {
            Severity::Error => (Level::Error, 1),
            Severity::Information => (Level::Information, 3),
        };
        let id = Id::new(number).ok_or(io::ErrorKind::InvalidInput)?;
        self.0.report(level, id, text)
    }
}
