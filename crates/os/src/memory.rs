//! The guard's own memory.

#[cfg(target_os = "linux")]
#[path = "memory/linux.rs"]
mod platform;

pub use platform::give_back;
