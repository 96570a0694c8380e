//! Windows has access lists instead: a file gets those of its folder.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::symlink_file;
use std::path::Path;

/// There are none.
pub(in super::super) const fn of(_metadata: &Metadata) -> u32 {
    0
}

/// All are the same.
pub(in super::super) const fn same(_one: u32, _other: u32) -> bool {
    true
}

/// There are none.
pub(in super::super) const fn set(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Makes a file that is not there yet.
pub(in super::super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Makes a symbolic link to a file.
pub(in super::super) fn link(target: &Path, path: &Path) -> io::Result<()> {
    symlink_file(target, path)
}
