//! The socket over which a program speaks the sd_notify protocol to its guard.

#[cfg(target_os = "linux")]
#[path = "notify_socket/linux.rs"]
mod platform;
#[cfg(windows)]
#[path = "notify_socket/windows.rs"]
mod platform;

pub use platform::NotifySocket;

use crate::account::UserId;
use crate::output::Descriptor;

/// One message, with what the kernel knows of its sender.
#[derive(Debug)]
pub struct Datagram {
    /// The message.
    pub bytes: Vec<u8>,
    /// It was longer than any message may be, and its end is lost.
    pub is_cut: bool,
    /// The sender's process; 0 if the kernel does not tell.
    pub pid: u32,
    /// The sender's user.
    pub user: UserId,
    /// The descriptors that came along.
    pub descriptors: Vec<Descriptor>,
}
