//! Trees on Linux: cgroups, or else walked.

mod cgroup;
mod forest;
mod mark;
mod procfs;
mod send;
mod walk;

pub(crate) use cgroup::Entry;
pub(crate) use forest::{Forest, Tree};
pub(crate) use mark::Mark;
pub(crate) use procfs::{describe, start_time, zombie_exit};
pub(crate) use send::send;
