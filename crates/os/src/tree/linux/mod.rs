//! Trees on Linux: cgroups, or else walked.

mod census;
mod cgroup;
mod forest;
mod mark;
mod procfs;
mod send;
mod sweeper;
mod walk;

pub(crate) use census::Census;
pub(crate) use cgroup::Entry;
pub(crate) use forest::{Forest, Tree};
pub(crate) use mark::{Mark, Owner};
pub(crate) use procfs::{
    boot_ns, cpu_with_children, describe, is_there, lives, start_between, start_time, zombie_exit,
};
pub(crate) use send::send;
