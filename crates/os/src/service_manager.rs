//! The service manager this process runs under, if it wants to be told how the process is (sd_notify(3)).

#[cfg(target_os = "linux")]
#[path = "service_manager/linux.rs"]
mod platform;
#[cfg(windows)]
#[path = "service_manager/windows.rs"]
mod platform;

pub use platform::{ServiceManager, note_told, watchdog};

/// The variables by which a service manager speaks to the process it has started, and to no other.
pub const VARIABLES: [&str; 7] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "MAINPID"];
