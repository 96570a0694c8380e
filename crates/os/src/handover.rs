//! Going on as another program. Where a process can, it stays, with its number, its children and the descriptors that are kept for
//! it; elsewhere the other program is a process of its own.

#[cfg(target_os = "linux")]
#[path = "handover/linux.rs"]
mod platform;
#[cfg(windows)]
#[path = "handover/windows.rs"]
pub(crate) mod platform;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Child, Command};

pub use platform::{Keep, Kept, myself, take, take_bytes, way};

/// How another program goes on in this one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In this very process.
    SameProcess,
    /// In a process of its own, which has to find everything by itself.
    NextProcess,
}

/// Starts another program as a process of its own: in this one's console if it has one, and with its input and output.
///
/// # Errors
/// When it cannot be executed.
pub fn start_next(program: &Path, arguments: &[OsString]) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments);
    platform::keep_console(&mut command);
    command.spawn()
}
