//! Signals by name and number.

#[cfg(target_os = "linux")]
#[path = "signal/linux.rs"]
mod platform;

pub use platform::{name, number};
