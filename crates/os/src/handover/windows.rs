//! On Windows no process can go on as another program: the next guard is another process, which adopts.

use std::io;
use std::os::windows::io::OwnedHandle;
use std::os::windows::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use windows_sys::Win32::System::Console::GetConsoleCP;
use windows_sys::Win32::System::Threading::DETACHED_PROCESS;

use super::Way;

/// Something that was kept, in the hands of the next program.
pub type Kept = OwnedHandle;

/// No process can execute another program.
#[must_use]
pub const fn way() -> Way {
    Way::NextProcess
}

/// What is started without a console would be given one of its own, with a window.
pub(super) fn keep_console(command: &mut Command) {
    // SAFETY: the call takes nothing; it knows no code page where there is no console.
    if unsafe { GetConsoleCP() } == 0 {
        command.creation_flags(DETACHED_PROCESS);
    }
}

/// The program that this process is.
#[must_use]
pub fn myself() -> PathBuf {
    std::env::current_exe().unwrap_or_default()
}

/// What the next program of this process gets: nothing, for there is none.
#[derive(Debug, Default)]
pub struct Keep(());

impl Keep {
    /// Keeps nothing.
    ///
    /// # Errors
    /// Always.
    pub fn add<T>(&mut self, _kept: &T) -> io::Result<i32> {
        Err(nobody())
    }

    /// Keeps nothing.
    ///
    /// # Errors
    /// Always.
    pub fn add_bytes(&mut self, _bytes: &[u8]) -> io::Result<i32> {
        Err(nobody())
    }
}

/// Takes nothing.
///
/// # Errors
/// Always.
pub fn take(_number: i32) -> io::Result<Kept> {
    Err(nobody())
}

/// Takes nothing.
///
/// # Errors
/// Always.
pub fn take_bytes(_number: i32) -> io::Result<Vec<u8>> {
    Err(nobody())
}

pub(crate) fn nobody() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "no process can go on as another program on Windows")
}
