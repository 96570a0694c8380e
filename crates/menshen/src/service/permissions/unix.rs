//! Permission bits.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;

/// The permission bits of a file.
pub(in super::super) fn of(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

/// Whether two are the same.
pub(in super::super) const fn same(one: u32, other: u32) -> bool {
    one == other
}

/// Gives a file or folder its permission bits.
pub(in super::super) fn set(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Makes a file that is not there yet, and that nobody else can read until it is given its permission bits.
pub(in super::super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes a symbolic link.
pub(in super::super) fn link(target: &Path, path: &Path) -> io::Result<()> {
    symlink(target, path)
}
