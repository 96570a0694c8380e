//! The service managers, one file each.
//!
//! What a manager is told is rendered on every operating system, so that it can be shown and tested on any. Only telling it
//! needs the real one.

pub mod scm;
pub mod systemd;
