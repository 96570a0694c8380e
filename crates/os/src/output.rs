//! What programs write: pipes that outlive the guard, and waiting for many of them at once.

#[cfg(target_os = "linux")]
#[path = "output/linux.rs"]
mod platform;

pub use platform::{Descriptor, Pipe, ReadWaker, Readers};
