//! What the end-to-end tests share: a place to work in with a running guard, the `menshen` command, and ways to wait.
//!
//! - [`bed`]: a folder, a definition, a guard, and the end of everything that was started.
//! - [`command`]: one run of `menshen`.
//! - [`events`]: what happened, as `menshen events --follow` tells it.
//! - [`example`]: the examples of the repository.
//! - [`process`]: processes told apart by their start times.
//! - [`servers`]: nginx, Redis and PostgreSQL in a bed.
//! - [`worker`]: a program that works, whatever is wrong with its guard.
//! - [`control_group`]: less memory and fewer processes than a guard needs.
//! - [`disk`]: disks that fill up and turn read-only.
//! - [`stuck`]: a file system that hangs.
//! - [`served`]: a file system that is out of order for a while.
//! - [`terminal`]: a terminal, at which somebody sits.
//! - [`require`]: what a test needs, and the only reason to skip one.
//! - [`machine`]: a machine of its own, with a real systemd.
//! - [`windows`]: a Windows of its own, which is Wine's, with a real service control manager; and one with a guard.
//! - [`init`]: a machine of its own, with another init.
//! - [`in_order`]: two services that write down when they start and end there.
//! - [`files`]: all there is in a machine's file system.
//! - [`computer`]: a computer of its own, which can be suspended.
//! - [`torture`]: a guard that is killed again and again.
//! - [`port`], [`wait`]: ports nobody else has, and conditions with deadlines.

#![expect(clippy::unwrap_used, reason = "a rig that fails is a test that fails")]
#![expect(clippy::panic, reason = "a rig that fails is a test that fails")]
#![expect(clippy::print_stderr, reason = "what a failed test needs to be understood")]

pub mod bed;
pub mod between;
pub mod command;
pub mod computer;
pub mod control_group;
pub mod disk;
pub mod events;
pub mod example;
pub mod files;
pub mod in_order;
pub mod init;
pub mod machine;
pub mod port;
pub mod process;
pub mod require;
pub mod served;
pub mod servers;
pub mod stuck;
pub mod terminal;
pub mod torture;
pub mod trees;
pub mod wait;
pub mod windows;
pub mod worker;

pub use bed::Bed;
pub use control_group::ControlGroup;
pub use disk::Disk;
pub use events::Mark;
pub use menshen_api::types::{BreakerState, Event, LogLine, Service, ServiceDetail, State, Stream, Trouble, Wanted};
pub use process::Process;
pub use rustix::process::Signal;
pub use stuck::Stuck;
pub use trees::Trees;
pub use windows::{GuardedWindows, Windows};
pub use worker::{WORKER, Worker};
