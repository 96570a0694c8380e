//! Going on as another program: the process stays, with its number, its children and the descriptors that are kept for it.

#[cfg(target_os = "linux")]
#[path = "handover/linux.rs"]
mod platform;
#[cfg(windows)]
#[path = "handover/windows.rs"]
pub(crate) mod platform;

pub use platform::{Keep, Kept, myself, take, take_bytes, why_not};
