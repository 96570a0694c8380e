//! The machine's name, and what kind of system it has.

#[cfg(unix)]
#[path = "host/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "host/windows.rs"]
mod platform;

pub use platform::{KIND, descriptors_max, name, variables};

/// Kinds of systems, which differ in what they can do for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Linux, and what is like it.
    Unix,
    /// Windows.
    Windows,
}
