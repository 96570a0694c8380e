//! What differs from one operating system to the next, behind one set of names.
//!
//! - [`system`]: starts programs, waits for whatever happens to them, ends them. The only place that waits for processes.
//! - `tree`: all processes of one program, told apart from all others.
//! - [`output`]: what programs write. [`notify_socket`]: what they say about themselves.
//! - [`local_socket`]: the control socket, with the caller's credentials from the kernel.
//! - [`service_manager`]: what the guard says to the service manager it runs under.
//! - [`holder`]: what is held for the next guard while none is there.
//! - [`registry`]: what Windows keeps of a service.
//! - [`handover`]: going on as another program, with what is kept for it.
//! - [`account`], [`clock`], [`file`], [`host`], [`memory`], [`paths`], [`signal`]: the small differences.
//! - [`fail_point`]: where tests have the guard die. `power`: a function of the system's mathematics, so that its library is not
//!   loaded.
//!
//! Files with the same name are the same thing on another system (`unix.rs`, `windows.rs`); `cfg` stands on `mod` lines
//! only. This, `menshen-activation` and `menshen-scm` are the only crates with `unsafe`.

pub mod account;
pub mod clock;
pub mod error;
pub mod event;
pub mod fail_point;
pub mod file;
pub mod handover;
pub mod holder;
pub mod host;
pub mod local_socket;
pub mod memory;
pub mod notify_socket;
pub mod output;
pub mod paths;
pub mod program;
pub mod registry;
pub mod service_manager;
pub mod signal;
pub mod system;
pub mod usage;

#[cfg(target_os = "linux")]
mod clone3;
mod hash;
#[cfg(target_os = "linux")]
mod power;
#[cfg(target_os = "linux")]
mod tree;
#[cfg(windows)]
mod win32;

pub use account::Identity;
pub use event::{Exit, OsEvent, Token, TreeState};
pub use program::{Input, Output, Place, Program};
pub use system::{System, SystemConfig, Target, TreeMode, Waker};
