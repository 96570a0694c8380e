//! How grave a line is.

/// How grave an entry of the system's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something failed.
    Error,
    /// Something is so.
    Information,
}
