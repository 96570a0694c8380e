//! `clone3`, which no crate wraps.

use std::io;
use std::os::fd::RawFd;

/// See clone(2); libc's own constants have a type too small for them.
const CLEAR_SIGHAND: u64 = 0x1_0000_0000;
pub(crate) const INTO_CGROUP: u64 = 0x2_0000_0000;

/// Arguments with which a child is born that tells of its end, and whose descriptor is written to `pidfd`. No handler of this
/// process runs in it, whatever signal comes before its exec.
#[expect(unsafe_code, reason = "a C structure that is all zeros at first")]
pub(crate) fn arguments(flags: libc::c_int, pidfd: *mut RawFd) -> libc::clone_args {
    // SAFETY: all bytes zero are valid arguments.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = CLEAR_SIGHAND | u64::from((libc::CLONE_PIDFD | flags).cast_unsigned());
    arguments.pidfd = pidfd as u64;
    arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    arguments
}

/// Bears a child that has a copy of this process's memory, as after `fork`, and lives this life with this.
///
/// # Safety
/// What the arguments point to must be there, they must not have `CLONE_VM`, and `life` keeps to what is allowed in a child of
/// a process with several threads.
#[expect(unsafe_code, reason = "a child has no other threads, and their locks")]
pub(crate) unsafe fn copy<T>(
    mut arguments: libc::clone_args,
    life: unsafe extern "C" fn(*const T) -> !,
    with: &T,
) -> io::Result<u32> {
    // SAFETY: as the caller says; the child never returns.
    unsafe {
        match libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) {
            0 => life(with),
            -1 => Err(io::Error::last_os_error()),
            pid => Ok(u32::try_from(pid).unwrap_or(0)),
        }
    }
}
