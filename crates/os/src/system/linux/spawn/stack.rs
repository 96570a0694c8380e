//! A stack for a child that shares the guard's memory.

use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

/// A child makes system calls and nothing else: this is plenty, and only what it touches is there.
const BYTES: usize = 64 * 1024;
/// The lowest part cannot be touched: a stack that grows beyond its end ends the child and nobody else.
const FENCE_BYTES: usize = 4096;

/// Memory for one child at a time.
#[derive(Debug)]
pub(super) struct Stack(NonNull<libc::c_void>);

impl Stack {
    #[expect(unsafe_code, reason = "mapping memory")]
    pub(super) fn new() -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory is asked for, wherever there is some, and part of it is fenced off before anybody has it.
        unsafe {
            let memory = rustix::mm::mmap_anonymous(ptr::null_mut(), BYTES, protection, MapFlags::PRIVATE)?;
            let stack = Self(NonNull::new(memory).ok_or(io::ErrorKind::OutOfMemory)?);
            rustix::mm::mprotect(memory, FENCE_BYTES, MprotectFlags::empty())?;
            Ok(stack)
        }
    }

    /// Where it begins and how long it is, as `clone3` wants it.
    pub(super) fn range(&self) -> (u64, u64) {
        (self.0.as_ptr() as u64, BYTES as u64)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and whoever drops it knows that nobody is on it.
        #[expect(unsafe_code, reason = "unmapping memory")]
        let _ = unsafe { rustix::mm::munmap(self.0.as_ptr(), BYTES) };
    }
}
