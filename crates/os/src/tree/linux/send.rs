//! Signals through pidfds.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Sends a signal to the process a pidfd stands for: never to another that has the same number by now.
#[expect(unsafe_code, reason = "no crate sends real-time signals through a pidfd")]
pub(crate) fn send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open while it is borrowed, and the kernel fills in the information itself.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
