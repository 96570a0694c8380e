//! All processes of one program, told apart from all others.

#[cfg(target_os = "linux")]
#[path = "tree/linux/mod.rs"]
mod platform;

pub(crate) use platform::{
    Census, Entry, Forest, Mark, Owner, Tree, cpu_with_children, describe, lives, send, start_time, zombie_exit,
};
