//! Programs as leaders of groups.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process_group};

/// Has a program lead a group of its own.
pub(super) fn lead(command: &mut Command) {
    command.process_group(0);
}

/// Ends a program that has not been waited for, and what it has started in its group.
pub(super) fn end(child: &mut Child) -> io::Result<()> {
    let group = Pid::from_child(child);
    kill_process_group(group, Signal::KILL).map_err(io::Error::from)
}
