//! Files that are written whole or not at all, folders with the right owner, and the lock of an instance.

#[cfg(unix)]
#[path = "file/unix.rs"]
pub(crate) mod platform;
#[cfg(windows)]
#[path = "file/windows.rs"]
pub(crate) mod platform;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

pub use platform::{
    Lock, create_folder, create_new_private, look, open_private, prepare_folder, program_names, read_exact_at,
    write_all_at,
};

use crate::error::context;
use crate::fail_point::{FailPoint, reach};

/// What a write has to survive, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// It survives the end of the guard at any instruction, and means nothing after a loss of power.
    Guard,
    /// It survives the end of the guard at any instruction. After a loss of power the old content or the new one is there, as
    /// far as the disk writes a page whole or not at all.
    Order,
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
    /// It is not there, and can be made.
    Absent,
}

/// What a file that is written in its place has room for: a page of memory, which the kernel copies in one go.
const ROOM: usize = 4096;

/// Replaces a file of text: at every instant the old content or the new one is there, whole, whenever the guard is killed.
/// Readable for the owner alone. Blanks fill it up to [`ROOM`].
///
/// What has to survive a loss of power is written beside the old content and moved into its place; so is what has no room. All
/// else goes where the old content is: that takes no new space on the disk, and no file system begins to write at once, as some
/// do to keep a renamed file whole over a loss of power. Where a disk is full, what has to survive that goes there, too.
///
/// # Errors
/// When the file can be written neither in its place nor beside it.
pub fn replace(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let mut filled = content.to_vec();
    filled.resize(content.len().max(ROOM), b' ');
    let has_room = filled.len() == ROOM;
    if durability < Durability::Power && has_room && overwrite(path, &filled, durability) {
        return Ok(());
    }
    match replace_by_renaming(path, &filled, durability, platform::create_private) {
        Err(error) if is_full(&error) && has_room && overwrite(path, &filled, durability) => Ok(()),
        replaced => replaced.map_err(context(format!("writing {}", path.display()))),
    }
}

/// Whether the disk has no room for more.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Replaces a file that people read, too: it has this content alone, and who may read it is as for any file that is made. At
/// every instant the old content or the new one is there, whole, also after a loss of power.
///
/// # Errors
/// When the file cannot be written.
pub fn replace_shared(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_by_renaming(path, content, Durability::Power, |beside| fs::File::create(beside))
}

/// Writes over a file that has just this room, in one go. Whether that was possible.
fn overwrite(path: &Path, filled: &[u8], durability: Durability) -> bool {
    let written = platform::open_single(path, filled.len() as u64).is_some_and(|file| {
        platform::write_over(&file, filled) && (durability < Durability::Power || file.sync_data().is_ok())
    });
    if written {
        reach(FailPoint::RecordOverwritten);
    }
    written
}

fn replace_by_renaming(
    path: &Path,
    content: &[u8],
    durability: Durability,
    create: impl FnOnce(&Path) -> io::Result<fs::File>,
) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let written =
        create(beside).and_then(|file| write_beside(file, content, durability)).and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        // What is left beside would only take space; that it cannot be removed changes nothing about the error.
        let _ = fs::remove_file(beside);
    }
    written?;
    reach(FailPoint::RecordRenamed);
    if durability == Durability::Power {
        platform::sync_name(path)?;
        reach(FailPoint::RecordFolderSynced);
    }
    Ok(())
}

fn write_beside(mut file: fs::File, content: &[u8], durability: Durability) -> io::Result<()> {
    reach(FailPoint::RecordCreated);
    file.write_all(content)?;
    reach(FailPoint::RecordWritten);
    // A name that comes to a new file must not do so before its content, whatever the name itself has to survive.
    if durability > Durability::Guard {
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
            assert_eq!(fs::read_to_string(&path).unwrap().trim_end(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_shared_file_has_its_content_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        for content in ["a longer one", "two"] {
            replace_shared(&path, content.as_bytes()).unwrap();
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
