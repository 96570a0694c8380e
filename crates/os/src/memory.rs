//! The guard's own memory, and what copies of it share.

#[cfg(target_os = "linux")]
#[path = "memory/linux.rs"]
mod platform;

pub use platform::give_back;
pub(crate) use platform::{Shared, file, parse_range};
