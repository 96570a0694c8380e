//! The process of a service: a service says that it is stopped a moment before its process has ended.

use std::io;
use std::time::Duration;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_SYNCHRONIZE, WaitForSingleObject};

/// A process that can be waited for.
#[derive(Debug)]
pub struct Process(HANDLE);

/// Whether a process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It has.
    Yes,
    /// It still runs.
    NotYet,
}

impl Process {
    /// The process that has this number now.
    ///
    /// # Errors
    /// When there is none, or whoever asks may not wait for it.
    pub fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: it takes any number.
        let handle = unsafe { OpenProcess(PROCESS_SYNCHRONIZE, 0, pid) };
        if handle.is_null() { Err(io::Error::last_os_error()) } else { Ok(Self(handle)) }
    }

    /// Waits until it has ended, or so much time has passed.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn wait(&self, within: Duration) -> io::Result<Ended> {
        let within = u32::try_from(within.as_millis()).unwrap_or(u32::MAX - 1);
        // SAFETY: the handle is open, and may be waited for.
        match unsafe { WaitForSingleObject(self.0, within) } {
            WAIT_OBJECT_0 => Ok(Ended::Yes),
            WAIT_TIMEOUT => Ok(Ended::NotYet),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: it is open, and nobody uses it any more.
        unsafe { CloseHandle(self.0) };
    }
}
