//! Starting the guard's own program once more, for what a second process must do.

use std::ffi::OsString;
use std::io;
use std::os::windows::io::OwnedHandle;
use std::ptr;

use windows_sys::Win32::System::Threading::{
    CREATE_BREAKAWAY_FROM_JOB, CREATE_NEW_PROCESS_GROUP, CreateProcessW, DETACHED_PROCESS, PROCESS_INFORMATION,
    STARTUPINFOW,
};

use super::command_line;
use crate::win32::{checked, owned, size_of_u32, wide};

/// The command that a second process is.
const COMMAND: &str = "hold";

/// Starts `menshen hold …`: without a console, and without any of the guard's handles. Where the guard itself is in a job that
/// lets its processes go, it is outside of it.
pub(crate) fn start(arguments: &[OsString]) -> io::Result<(OwnedHandle, u32)> {
    let program = std::env::current_exe()?;
    let command: Vec<OsString> =
        [program.clone().into_os_string(), COMMAND.into()].into_iter().chain(arguments.iter().cloned()).collect();
    let flags = DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP;
    let start = |flags| create(&wide(&program), command_line::of_program(&command)?, flags);
    start(flags | CREATE_BREAKAWAY_FROM_JOB).or_else(|_| start(flags))
}

fn create(program: &[u16], mut line: Vec<u16>, flags: u32) -> io::Result<(OwnedHandle, u32)> {
    let startup = STARTUPINFOW { cb: size_of_u32::<STARTUPINFOW>(), ..STARTUPINFOW::default() };
    let mut made = PROCESS_INFORMATION::default();
    // SAFETY: both texts end with a zero, the line may be written to, and nothing is inherited.
    checked(unsafe {
        CreateProcessW(
            program.as_ptr(),
            line.as_mut_ptr(),
            ptr::null(),
            ptr::null(),
            0,
            flags,
            ptr::null(),
            ptr::null(),
            &raw const startup,
            &raw mut made,
        )
    })?;
    drop(owned(made.hThread)?);
    Ok((owned(made.hProcess)?, made.dwProcessId))
}

/// Ends it at once.
pub(crate) fn kill(process: &OwnedHandle) {
    // One that has ended already is as it should be.
    let _ = super::process::kill(process);
}
