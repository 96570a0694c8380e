//! What of a file's permissions can be compared, and how a process is killed.

#[cfg(unix)]
#[path = "platform/unix.rs"]
mod system;
#[cfg(windows)]
#[path = "platform/windows.rs"]
mod system;

pub(crate) use system::{kill_command, mode_of};
