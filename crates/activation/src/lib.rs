//! Sockets that a service manager has opened and handed over: systemd's socket activation, as sd_listen_fds(3) describes it.
//!
//! - [`message`]: what a manager says of them in the environment. This is data, and the same on every operating system.
//! - `take`: making them this process's own.
//!
//! This, `menshen-os` and `menshen-scm` are the only crates with `unsafe` in them.

pub mod message;

#[cfg(unix)]
#[path = "unix/take.rs"]
pub mod take;
