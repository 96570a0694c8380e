//! Where a measured guard has its pipes and its socket: in memory, as an installed guard has them below `/run`. With
//! `MENSHEN_HOME` everything is below one folder, and a disk that has just lost some thousand pipes makes new ones slowly.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder in memory where there is a file system for that, and one on the disk elsewhere.
pub(super) fn in_memory(prefix: &str) -> std::io::Result<TempDir> {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix(prefix).tempdir_in(parent)
}

/// Has the pipes of the guard of this `MENSHEN_HOME` in memory, as long as the folder that is returned is there.
pub(super) fn link(home: &Path) -> std::io::Result<TempDir> {
    let run = in_memory("menshen-run-")?;
    symlink(run.path(), home.join("run"))?;
    Ok(run)
}
