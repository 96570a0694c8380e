//! Permission bits, and SIGKILL.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

/// Who may do what with a file, and whose it is.
pub(crate) fn mode_of(metadata: &Metadata) -> String {
    format!("{:o} {}:{}", metadata.mode(), metadata.uid(), metadata.gid())
}

/// What kills a process. The shell can it by itself: not every machine has a program for it.
pub(crate) fn kill_command(pid: u32) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "kill -9 \"$0\"", &pid.to_string()]);
    command
}
