//! Files on Unix.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::FlockOperation;

use super::Look;
use crate::error::{context, describe};

pub(super) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Creates a folder and what is missing above it, with these permission bits whatever the umask. One that is there is left
/// as it is.
///
/// # Errors
/// When it cannot be created.
pub fn create_folder(path: &Path, mode: u32) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| fs::symlink_metadata(folder).is_err()).collect();
    let created = DirBuilder::new().recursive(true).mode(mode).create(path).and_then(|()| {
        let made = missing.into_iter().filter(|folder| !folder.as_os_str().is_empty());
        made.into_iter().try_for_each(|folder| fs::set_permissions(folder, Permissions::from_mode(mode)))
    });
    created.map_err(context(format!("creating {}", path.display())))
}

/// Gives a file or socket these permission bits, and to a group if there is one of that name.
///
/// # Errors
/// When the permissions cannot be set. A group that is not there is no error.
pub fn set_group_access(path: &Path, mode: u32, group: Option<&str>) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    if let Some(gid) = group.and_then(crate::account::group_id).filter(|_| crate::account::current().uid == 0) {
        std::os::unix::fs::chown(path, None, Some(gid))?;
    }
    Ok(())
}

/// Looks at a path, following links.
#[must_use]
pub fn look(path: &Path) -> Look {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Look::Missing;
        }
        Err(error) => return Look::Unreadable(describe(&error)),
    };
    if metadata.is_dir() {
        return Look::Directory;
    }
    let mode = metadata.mode();
    let folder_open = path.parent().and_then(|folder| fs::metadata(folder).ok()).is_some_and(|folder| {
        // In a sticky folder (/tmp) nobody can replace another's file.
        folder.mode() & 0o002 != 0 && folder.mode() & 0o1000 == 0
    });
    Look::File {
        executable: mode & 0o111 != 0,
        world_writable: mode & 0o002 != 0 || folder_open,
        world_readable: mode & 0o004 != 0,
    }
}

/// The lock of an instance: held as long as this lives, and let go by the kernel when the guard dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock; `None` if another process holds it.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = open.map_err(context(format!("opening {}", path.display())))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(context(format!("locking {}", path.display()))(error.into())),
        }
    }

    /// The lock that the program before this one held, in the same process.
    #[must_use]
    pub fn kept(descriptor: OwnedFd) -> Self {
        Self { file: descriptor.into() }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path).unwrap();
        assert!(first.is_some());
        assert!(Lock::take(&path).unwrap().is_none());
        drop(first);
        assert!(Lock::take(&path).unwrap().is_some());
    }

    #[test]
    fn a_folder_has_the_permissions_asked_for_and_one_that_was_there_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let path = folder.path().join("a/b");
        // No usual umask lets others write.
        create_folder(&path, 0o757).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o757, 0o757));
        create_folder(&path, 0o700).unwrap();
        create_folder(&path.join("c"), 0o711).unwrap();
        assert_eq!((mode(&path), mode(&path.join("c"))), (0o757, 0o711));
    }

    #[test]
    fn looking_tells_files_from_folders_and_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(look(folder.path()), Look::Directory);
        assert_eq!(look(&folder.path().join("x")), Look::Missing);
        let file = folder.path().join("f");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(look(&file), Look::File { executable: true, world_writable: false, world_readable: true });
        assert_eq!(look(&file.join("below-a-file")), Look::Missing);
    }
}
