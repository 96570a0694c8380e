//! Files on Unix.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Access, FlockOperation, OFlags};

use super::{Folder, Look};
use crate::error::{context, describe};
use crate::fail_point::{FailPoint, reach};

pub(super) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Opens a file to write over it; `None` if it is not there, or has another length, or a second name, or others may read it.
pub(super) fn open_single(path: &Path, length: u64) -> Option<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().write(true).custom_flags(flags).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let is_single = metadata.is_file() && metadata.len() == length && metadata.nlink() == 1;
    (is_single && metadata.mode() & 0o077 == 0).then_some(file)
}

/// Writes in one go from the beginning. Whether all was written.
pub(super) fn write_over(file: &File, content: &[u8]) -> bool {
    file.write_at(content, 0).is_ok_and(|written| written == content.len())
}

/// Has it survive a loss of power that a file has its name: that stands in its folder.
pub(super) fn sync_name(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Opens a file for reading and writing, and creates it first where it is not there: for the owner alone.
///
/// # Errors
/// When it cannot be opened.
pub fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Creates a file that is not there, for the owner alone.
///
/// # Errors
/// When it is there, or cannot be created.
pub fn create_new_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes all of this at an offset.
///
/// # Errors
/// When not all could be written.
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Fills a buffer with what is at an offset.
///
/// # Errors
/// When it cannot be read; `UnexpectedEof` if the file ends before.
pub fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(buffer, offset)
}

/// The files a program's bare name may mean.
#[must_use]
pub fn program_names(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

/// Creates a folder and what is missing above it, with these permission bits whatever the umask. One that is there is left
/// as it is.
///
/// # Errors
/// When it cannot be created.
pub fn create_folder(path: &Path, mode: u32) -> io::Result<Folder> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(Folder::Found);
    }
    let made = make_folder(path, mode).or_else(|error| match path.parent() {
        Some(above) if error.kind() == io::ErrorKind::NotFound => {
            create_folder(above, mode).and_then(|_| make_folder(path, mode))
        }
        _ => Err(error),
    });
    match made {
        Ok(()) => Ok(Folder::Made),
        // Another has made it, or it is a link to one.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(Folder::Found),
        Err(error) => Err(error),
    }
}

/// Looks for a folder that [`create_folder`] is to create when it is needed, and whether it may then: who makes many has most of
/// them to make in vain, and an error that can be told now is not to come when it is too late. Where what is above it is missing
/// too, it is created now.
///
/// # Errors
/// When it cannot be created.
pub fn prepare_folder(path: &Path, mode: u32) -> io::Result<Folder> {
    let may_create = || {
        let above = path.parent()?;
        rustix::fs::access(above, Access::WRITE_OK | Access::EXEC_OK).ok()
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(Folder::Found),
        Err(error) if error.kind() == io::ErrorKind::NotFound && may_create().is_some() => Ok(Folder::Absent),
        _ => create_folder(path, mode),
    }
}

fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    let made = DirBuilder::new().mode(mode).create(path);
    let set = made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)));
    set.map_err(context(format!("creating {}", path.display())))
}

/// Gives a file or socket these permission bits, and to a group if there is one of that name.
///
/// # Errors
/// When the permissions cannot be set. A group that is not there is no error.
pub(crate) fn set_group_access(path: &Path, mode: u32, group: Option<&str>) -> io::Result<()> {
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

/// How long a lock is waited for whose guard is gone.
const LET_GO_WITHIN: Duration = Duration::from_secs(5);
/// And how often it is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The lock of an instance: held as long as this lives, and let go by the kernel when the guard dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
    left_by: Option<u32>,
}

impl Lock {
    /// Takes the lock; `None` if another guard holds it.
    ///
    /// A guard that was killed may leave it to a child that has not executed its program yet, for an instant. So a lock
    /// whose guard is gone is waited for, for a while.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = open.map_err(context(format!("opening {}", path.display())))?;
        let end = Instant::now() + LET_GO_WITHIN;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if holder_lives(&file) || Instant::now() >= end => {
                    return Ok(None);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOOK_AGAIN),
                Err(error) => return Err(context(format!("locking {}", path.display()))(error.into())),
            }
        }
        reach(FailPoint::LockTaken);
        let left_by = process_in(&file);
        // A lock that does not say whose it is can be waited for in vain, and nothing worse.
        let _ = file.set_len(0).and_then(|()| file.write_all_at(std::process::id().to_string().as_bytes(), 0));
        reach(FailPoint::LockSigned);
        Ok(Some(Self { file, left_by }))
    }

    /// The process that held the lock before and did not let it go in order: it was killed.
    #[must_use]
    pub const fn left_by(&self) -> Option<u32> {
        self.left_by
    }

    /// Whether somebody holds the lock at this path. A guard that takes it at this very moment does not notice.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(context(format!("opening {}", path.display()))(error)),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(context(format!("locking {}", path.display()))(error.into())),
        }
    }

    /// The process that holds the lock at this path, as far as it has said so.
    #[must_use]
    pub fn holder(path: &Path) -> Option<u32> {
        let held = matches!(Self::is_held(path), Ok(true));
        fs::read_to_string(path).ok().filter(|_| held)?.trim().parse().ok()
    }

    /// The lock that the program before this one held, in the same process.
    #[must_use]
    pub fn kept(descriptor: OwnedFd) -> Self {
        Self { file: descriptor.into(), left_by: None }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Where that cannot be written, the next holder takes this one for killed, and nothing worse.
        let _ = self.file.set_len(0);
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether the guard that says that it holds the lock is there, and not merely waiting to be reaped.
fn holder_lives(file: &File) -> bool {
    let lives = |pid| crate::tree::start_time(pid).is_some_and(|start| crate::tree::lives(pid, start));
    process_in(file).is_some_and(lives)
}

/// The process whose number is in the file of a lock.
fn process_in(mut file: &File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text)).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Durability, ROOM, replace};
    use super::*;

    #[test]
    fn a_lock_is_held_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path).unwrap();
        assert!(first.is_some());
        assert!(Lock::take(&path).unwrap().is_none());
        drop(first);
        assert_eq!(Lock::take(&path).unwrap().unwrap().left_by(), None);
    }

    #[test]
    fn a_lock_tells_of_a_holder_that_was_killed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        // Nobody holds it, and nobody has let it go.
        fs::write(&path, "4194305").unwrap();
        assert_eq!(Lock::take(&path).unwrap().unwrap().left_by(), Some(4_194_305));
    }

    #[test]
    fn a_lock_that_outlives_its_guard_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::take(&path).unwrap();
        // No process has this number: as if the guard had been killed, and a child of it held the lock still.
        fs::write(&path, "4194305").unwrap();
        let let_go = std::thread::spawn(move || {
            std::thread::sleep(LOOK_AGAIN * 4);
            drop(held);
        });
        assert!(Lock::take(&path).unwrap().is_some());
        let_go.join().unwrap();
    }

    #[test]
    fn a_lock_is_waited_for_whose_guard_is_dead_and_not_reaped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Lock::take(&path).unwrap();
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&dead);
        let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), ended).unwrap();
        fs::write(&path, dead.id().to_string()).unwrap();
        let let_go = std::thread::spawn(move || {
            std::thread::sleep(LOOK_AGAIN * 4);
            drop(held);
        });
        assert!(Lock::take(&path).unwrap().is_some());
        let_go.join().unwrap();
        dead.wait().unwrap();
    }

    #[test]
    fn a_folder_has_the_permissions_asked_for_and_one_that_was_there_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let path = folder.path().join("a/b");
        // No usual umask lets others write.
        assert_eq!(create_folder(&path, 0o757).unwrap(), Folder::Made);
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o757, 0o757));
        assert_eq!(create_folder(&path, 0o700).unwrap(), Folder::Found);
        create_folder(&path.join("c"), 0o711).unwrap();
        assert_eq!((mode(&path), mode(&path.join("c"))), (0o757, 0o711));
    }

    #[test]
    fn a_folder_that_cannot_be_made_names_the_one_that_is_in_its_way_and_a_link_to_one_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = create_folder(&file, 0o700).unwrap_err().to_string();
        assert!(error.contains(&format!("creating {}: ", file.display())), "{error}");
        let error = create_folder(&file.join("b"), 0o700).unwrap_err().to_string();
        assert_eq!(error.matches("creating").count(), 1, "{error}");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert_eq!(create_folder(&link, 0o700).unwrap(), Folder::Found);
        assert_eq!(create_folder(&link.join("d/e"), 0o700).unwrap(), Folder::Made);
    }

    #[test]
    fn a_folder_that_is_needed_later_is_not_made_before_but_what_would_hinder_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        // Only what is above it is made to see whether it can be.
        assert_eq!(prepare_folder(&path, 0o700).unwrap(), Folder::Made);
        let next = folder.path().join("a/c");
        assert_eq!(prepare_folder(&next, 0o700).unwrap(), Folder::Absent);
        assert_eq!(look(&next), Look::Missing);
        assert_eq!(create_folder(&next, 0o700).unwrap(), Folder::Made);
        assert_eq!(prepare_folder(&next, 0o700).unwrap(), Folder::Found);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for hindered in [file.clone(), file.join("b")] {
            let error = prepare_folder(&hindered, 0o700).unwrap_err().to_string();
            assert!(error.contains("creating"), "{error}");
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert_eq!(prepare_folder(&link, 0o700).unwrap(), Folder::Found);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nothing"), &link).unwrap();
        assert!(prepare_folder(&link, 0o700).is_err(), "there is a link, and nothing can be made in its place");
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

    #[test]
    fn what_has_room_is_written_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let inode = || fs::metadata(&path).unwrap().ino();
        let read = || fs::read_to_string(&path).unwrap();
        fs::write(&path, "short").unwrap();
        let (short, kept) = (inode(), folder.path().join("kept"));
        replace(&path, b"one", Durability::Guard).unwrap();
        let first = inode();
        assert_ne!(first, short, "a file of another length is replaced");
        replace(&path, b"two and more", Durability::Guard).unwrap();
        replace(&path, b"three", Durability::Guard).unwrap();
        assert_eq!((inode(), read().trim_end(), read().len()), (first, "three", ROOM));
        replace(&path, b"four", Durability::Order).unwrap();
        assert_eq!((inode(), read().trim_end()), (first, "four"), "no name moves to what may not be on the disk");
        let old = File::open(&path).unwrap();
        replace(&path, b"five", Durability::Power).unwrap();
        assert_ne!(inode(), first, "what has to survive a loss of power is written beside it");
        drop(old);
        replace(&path, &[b'x'; ROOM + 1], Durability::Guard).unwrap();
        assert_eq!(read(), "x".repeat(ROOM + 1), "what has no room is replaced");
        replace(&path, b"six", Durability::Guard).unwrap();
        fs::hard_link(&path, &kept).unwrap();
        replace(&path, b"seven", Durability::Guard).unwrap();
        assert_eq!(read().trim_end(), "seven");
        assert_eq!(fs::read_to_string(kept).unwrap().trim_end(), "six", "what somebody keeps by another name stays");
    }
}
