//! What programs write: pipes that outlive the guard, waiting for many of them at once, and moving what they hold into
//! files.

#[cfg(target_os = "linux")]
#[path = "output/linux.rs"]
mod platform;
#[cfg(windows)]
#[path = "output/windows.rs"]
mod platform;

mod aside;
mod severity;

pub use aside::Aside;
pub use platform::{
    Descriptor, EventLog, FileId, FileState, JournalSocket, LogFile, Moved, Peek, Pipe, ReadWaker, Readers, Spool,
    open_program_end, remove_pipe, step_back,
};
pub use severity::Severity;
