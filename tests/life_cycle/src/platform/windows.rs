//! Attributes, and `taskkill`.

use std::fs::Metadata;
use std::os::windows::fs::MetadataExt as _;
use std::process::Command;

/// Which attributes a file has.
pub(crate) fn mode_of(metadata: &Metadata) -> String {
    format!("{:x}", metadata.file_attributes())
}

/// What kills a process.
pub(crate) fn kill_command(pid: u32) -> Command {
    let mut command = Command::new("taskkill");
    command.args(["/F", "/PID", &pid.to_string()]);
    command
}
