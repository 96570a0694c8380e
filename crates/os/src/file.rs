//! Files that are written whole or not at all, folders with the right owner, and the lock of an instance.

#[cfg(unix)]
#[path = "file/unix.rs"]
mod platform;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

pub use platform::{Lock, create_folder, look, set_group_access};

use crate::error::context;
use crate::fail_point::{FailPoint, reach};

/// Whether a write has to survive a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives the end of the guard at any instruction.
    Guard,
    /// It survives a loss of power, too; this waits for the disk.
    Power,
}

/// Whether a folder was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// It was made now.
    Made,
    /// It was there, and what is in it.
    Found,
}

/// Replaces a file: at every instant the old content or the new one is there, whole. Readable for the owner alone.
///
/// # Errors
/// When the file cannot be written beside the old one or moved into its place; the old one is then as it was.
pub fn replace(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let written = write_beside(beside, content, durability).and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        // What is left beside would only take space; that it cannot be removed changes nothing about the error.
        let _ = fs::remove_file(beside);
    }
    written.map_err(context(format!("writing {}", path.display())))?;
    reach(FailPoint::RecordRenamed);
    if durability == Durability::Power
        && let Some(folder) = path.parent()
    {
        File::open(folder)?.sync_all().map_err(context(format!("writing {}", folder.display())))?;
        reach(FailPoint::RecordFolderSynced);
    }
    Ok(())
}

fn write_beside(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = platform::create_private(path)?;
    reach(FailPoint::RecordCreated);
    file.write_all(content)?;
    reach(FailPoint::RecordWritten);
    if durability == Durability::Power {
        file.sync_data()?;
        reach(FailPoint::RecordSynced);
    }
    Ok(())
}

/// What is at a path, for the checks of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nothing.
    Missing,
    /// Something that cannot be looked at, with the reason.
    Unreadable(String),
    /// A folder.
    Directory,
    /// A file.
    File {
        /// Whether somebody may execute it.
        executable: bool,
        /// Whether anybody may write to it, or replace it in its folder.
        world_writable: bool,
        /// Whether anybody may read it.
        world_readable: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_the_new_content_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (content, durability) in [("one", Durability::Guard), ("two", Durability::Power)] {
            replace(&path, content.as_bytes(), durability).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_says_what_and_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/a");
        let error = replace(&path, b"x", Durability::Guard).unwrap_err();
        assert!(error.to_string().contains("missing/a"), "{error}");
    }
}
