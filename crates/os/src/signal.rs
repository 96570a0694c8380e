//! Signals by name and number.

#[cfg(target_os = "linux")]
#[path = "signal/linux.rs"]
pub(crate) mod platform;
#[cfg(windows)]
#[path = "signal/windows.rs"]
pub(crate) mod platform;

pub use platform::{name, number};
