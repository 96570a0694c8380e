//! The control socket: HTTP for programs of this machine, with the caller's credentials from the kernel.

#[cfg(target_os = "linux")]
#[path = "local_socket/linux.rs"]
mod platform;
#[cfg(windows)]
#[path = "local_socket/windows.rs"]
mod platform;

pub use platform::{Caller, ClientStream, Door, Listener, ServerStream, connect, instances};

/// Who may connect at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admits {
    /// Whoever may do everything on this machine, the guard's own user, and the members of a group, if there is one of that
    /// name.
    Members(&'static str),
    /// Every user of this machine.
    Everybody,
}
