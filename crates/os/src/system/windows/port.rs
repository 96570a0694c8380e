//! One completion port for everything: exits, what jobs tell, the waker, what the console asks.

use std::io;
use std::os::windows::io::OwnedHandle;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE, WAIT_TIMEOUT};
use windows_sys::Win32::System::IO::{
    CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED_ENTRY, PostQueuedCompletionStatus,
};
use windows_sys::Win32::System::Threading::{
    INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEINWAITTHREAD, WT_EXECUTEONLYONCE,
};

use crate::event::Token;
use crate::win32::{checked, owned, raw};

/// What a packet is about; the rest of its number is a token, or the number of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Exit = 1,
    Job,
    Asked,
    Holder,
    Wake,
}

impl Source {
    const ALL: [Self; Self::Wake as usize] = [Self::Exit, Self::Job, Self::Asked, Self::Holder, Self::Wake];
}

const TOKEN_BITS: u32 = 56;
/// How many packets one wait takes at most; the others come with the next.
const READY_MAX: usize = 256;

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    pub source: Source,
    pub number: u64,
    /// What a job tells.
    pub message: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Port(OwnedHandle);

impl Port {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        // SAFETY: no file is associated; a new port is made.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 1) };
        owned(port).map(Self).map(Arc::new)
    }

    pub(super) fn handle(&self) -> HANDLE {
        raw(&self.0)
    }

    /// Adds a packet. Only a system without memory refuses one.
    pub(super) fn post(&self, source: Source, number: u64) {
        // SAFETY: the port is open, and nobody reads the third as a pointer.
        unsafe { PostQueuedCompletionStatus(self.handle(), 0, key(source, number), ptr::null()) };
    }

    /// Waits until there is a packet, and takes those there are.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Packet>> {
        let milliseconds = timeout
            .map_or(INFINITE, |timeout| u32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(INFINITE - 1));
        let mut entries = [OVERLAPPED_ENTRY::default(); READY_MAX];
        let mut count = 0;
        // SAFETY: there is room for as many entries as is said.
        let answer = unsafe {
            let room = u32::try_from(READY_MAX).unwrap_or(1);
            GetQueuedCompletionStatusEx(self.handle(), entries.as_mut_ptr(), room, &raw mut count, milliseconds, 0)
        };
        match checked(answer) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(WAIT_TIMEOUT.cast_signed()) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let taken = &entries[..usize::try_from(count).unwrap_or(0)];
        Ok(taken
            .iter()
            .filter_map(|entry| packet(entry.lpCompletionKey as u64, entry.dwNumberOfBytesTransferred))
            .collect())
    }
}

/// The number under which a packet comes.
pub(super) fn key(source: Source, number: u64) -> usize {
    usize::try_from((source as u64) << TOKEN_BITS | number).unwrap_or(0)
}

fn packet(key: u64, message: u32) -> Option<Packet> {
    let source = Source::ALL.into_iter().find(|source| *source as u64 == key >> TOKEN_BITS)?;
    Some(Packet { source, number: key & ((1 << TOKEN_BITS) - 1), message })
}

/// Tells a port once when a process has ended.
#[derive(Debug)]
pub(super) struct Watch {
    wait: HANDLE,
    told: *mut (Arc<Port>, Source, u64),
}

impl Watch {
    pub(super) fn begin(port: &Arc<Port>, process: &OwnedHandle, source: Source, token: Token) -> io::Result<Self> {
        let told = Box::into_raw(Box::new((Arc::clone(port), source, token.0)));
        let mut wait = ptr::null_mut();
        let flags = WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD;
        // SAFETY: what is told lives until the wait is over; see `drop`.
        let answer = unsafe {
            RegisterWaitForSingleObject(&raw mut wait, raw(process), Some(ended), told.cast(), INFINITE, flags)
        };
        let watch = Self { wait, told };
        checked(answer).map(|()| watch)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: when this has returned, nobody is told any more. A wait that could not begin is none.
        unsafe {
            if !self.wait.is_null() {
                UnregisterWaitEx(self.wait, INVALID_HANDLE_VALUE);
            }
            drop(Box::from_raw(self.told));
        }
    }
}

unsafe extern "system" fn ended(told: *mut core::ffi::c_void, _timed_out: bool) {
    // SAFETY: it is what `begin` gave, and lives as long as the wait.
    let (port, source, number) = unsafe { &*told.cast::<(Arc<Port>, Source, u64)>() };
    port.post(*source, *number);
}
