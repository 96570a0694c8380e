//! The control socket: HTTP for programs of this machine, with the caller's credentials from the kernel.

#[cfg(target_os = "linux")]
#[path = "local_socket/linux.rs"]
mod platform;

pub use platform::{ClientStream, Listener, ServerStream, connect};

/// Who is at the other end, as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// User number.
    pub uid: u32,
    /// Main group.
    pub gid: u32,
    /// Process.
    pub pid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Name of the user, or its number.
    pub name: String,
}
