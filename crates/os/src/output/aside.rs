//! What comes of setting room aside.

/// Whether room was set aside for what a log is about to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// It was.
    Set,
    /// Nothing is gained by it on this file system.
    Needless,
}
