//! All processes of one program, told apart from all others.

#[cfg(target_os = "linux")]
#[path = "tree/linux/mod.rs"]
mod platform;

pub(crate) use platform::{
    Census, Entry, Forest, Mark, Owner, Tree, boot_ns, cpu_with_children, describe, is_there, lives, send,
    start_between, start_time, zombie_exit,
};
