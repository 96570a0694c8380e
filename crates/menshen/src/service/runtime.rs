//! Being a service, whoever started the program.
//!
//! - [`author`]: the one method an author writes. [`context`]: what the service can ask and say meanwhile. [`request`]: what it
//!   is asked.
//! - [`sockets`]: what its manager has opened for it.
//! - [`start`]: `main`. [`origin`]: who started this process, by facts. [`rehearsal`]: a manager for an author's tests.
//! - [`door`]: what a platform brings, and its siblings in `platform`. `life`: from the start of the service to its end.

pub mod author;
pub mod context;
pub mod door;
mod life;
pub mod origin;
pub mod rehearsal;
pub mod request;
pub mod sockets;
pub mod start;

#[cfg(unix)]
#[path = "runtime/platform/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "runtime/platform/windows.rs"]
mod platform;
