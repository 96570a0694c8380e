//! The guard's own memory, and what copies of it share.

#[cfg(target_os = "linux")]
#[path = "memory/linux.rs"]
pub(crate) mod platform;
#[cfg(windows)]
#[path = "memory/windows.rs"]
pub(crate) mod platform;

pub use platform::{give_back, trim};
