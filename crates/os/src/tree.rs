//! All processes of one program, told apart from all others.

#[cfg(target_os = "linux")]
#[path = "tree/linux/mod.rs"]
mod platform;

pub(crate) use platform::{Entry, Forest, Mark, Tree, describe, send, start_time, zombie_exit};
