//! The machine's name.

#[cfg(unix)]
#[path = "host/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "host/windows.rs"]
mod platform;

pub use platform::{descriptors_max, name, variables};
