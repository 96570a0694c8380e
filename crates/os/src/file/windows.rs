//! Files on Windows.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::windows::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use windows_sys::Win32::Foundation::{ERROR_ALREADY_EXISTS, ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION, LocalFree};
use windows_sys::Win32::Security::Authorization::{GetNamedSecurityInfoW, SE_FILE_OBJECT};
use windows_sys::Win32::Security::OWNER_SECURITY_INFORMATION;
use windows_sys::Win32::Storage::FileSystem::{
    CreateDirectoryW, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, LOCKFILE_EXCLUSIVE_LOCK,
    LOCKFILE_FAIL_IMMEDIATELY, LockFileEx,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::{Folder, Look};
use crate::account::UserId;
use crate::error::{context, describe};
use crate::fail_point::{FailPoint, reach};
use crate::handover::Kept;
use crate::win32::{Permissions, checked, raw, wide};

/// Everybody may read, write, rename and remove what somebody has open.
const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
/// Folders of the guard's own: the system, administrators and their owner. What is made in them is alike.
const PRIVATE: &str = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)";
/// Every user may look into them, too.
const READABLE: &str = "(A;OICI;GRGX;;;BU)";

/// Files lie in folders that say who may read them.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).open(path)
}

/// Opens a file to write over it; `None` if it is not there, or has another length.
pub(super) fn open_single(path: &Path, length: u64) -> Option<File> {
    let file = OpenOptions::new().write(true).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    (metadata.is_file() && metadata.len() == length).then_some(file)
}

/// Writes in one go from the beginning. Whether all was written.
pub(super) fn write_over(file: &File, content: &[u8]) -> bool {
    file.seek_write(content, 0).is_ok_and(|written| written == content.len())
}

/// Has it survive a loss of power that a file has its name: what is flushed of a file is flushed of the log of its volume.
pub(super) fn sync_name(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.sync_all()
}

/// Opens a file for reading and writing, and creates it first where it is not there.
///
/// # Errors
/// When it cannot be opened.
pub fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).share_mode(SHARE_ALL).open(path)
}

/// Creates a file that is not there. Who may read it is up to its folder.
///
/// # Errors
/// When it is there, or cannot be created.
pub fn create_new_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Writes all of this at an offset.
///
/// # Errors
/// When not all could be written.
pub fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
        }
    }
    Ok(())
}

/// Fills a buffer with what is at an offset.
///
/// # Errors
/// When it cannot be read; `UnexpectedEof` if the file ends before.
pub fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.seek_read(&mut buffer[filled..], offset + filled as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}

/// What programs are called.
const EXTENSIONS: [&str; 4] = ["exe", "com", "bat", "cmd"];

/// The files a program's bare name may mean.
#[must_use]
pub fn program_names(name: &str) -> Vec<String> {
    if is_program(Path::new(name)) {
        return vec![name.to_owned()];
    }
    EXTENSIONS.iter().map(|extension| format!("{name}.{extension}")).collect()
}

fn is_program(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// Creates a folder and what is missing above it: for the system, administrators and the owner; if these permission bits leave
/// others something, everybody may look into it. One that is there is left as it is. But of the machine's own folders, which
/// anybody could have made before, only those are used that belong to somebody who may do everything.
///
/// # Errors
/// When it cannot be created, or is somebody else's.
pub fn create_folder(path: &Path, mode: u32) -> io::Result<Folder> {
    /// Read, write, enter: for others.
    const OTHERS: u32 = 0o7;
    let what = || context(format!("creating {}", path.display()));
    if path.is_dir() {
        return if is_trusted(path) { Ok(Folder::Found) } else { Err(what()(not_ours())) };
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_folder(parent, mode)?;
    }
    let others = if mode & OTHERS == 0 { "" } else { READABLE };
    let permissions = Permissions::of(&format!("{PRIVATE}{others}")).map_err(what())?;
    let name = wide(path);
    // SAFETY: the name ends with a zero, and the permissions live on.
    match checked(unsafe { CreateDirectoryW(name.as_ptr(), permissions.attributes()) }) {
        Ok(()) => Ok(Folder::Made),
        Err(error) if is(&error, ERROR_ALREADY_EXISTS) && path.is_dir() => Ok(Folder::Found),
        Err(error) => Err(what()(error)),
    }
}

/// Creates it now: who may create something is not told without trying.
///
/// # Errors
/// Those of [`create_folder`].
pub fn prepare_folder(path: &Path, mode: u32) -> io::Result<Folder> {
    create_folder(path, mode)
}

fn not_ours() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "it is there, and belongs to somebody who is no administrator")
}

/// Whether a folder is none of the machine's own, or belongs to somebody who may do everything.
fn is_trusted(path: &Path) -> bool {
    path.starts_with(crate::paths::platform::of_machine()).then(|| owner(path)).is_none_or(|owner| {
        let own = crate::account::current().sid;
        owner.is_some_and(|owner| owner == own || crate::account::platform::is_masters(&owner))
    })
}

/// Who a file or folder belongs to.
fn owner(path: &Path) -> Option<UserId> {
    let name = wide(path);
    let (mut sid, mut descriptor) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the name ends with a zero, and what is asked for is there to be written to; the SID is part of the descriptor,
    // which is let go when it was read.
    unsafe {
        let status = GetNamedSecurityInfoW(
            name.as_ptr(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &raw mut sid,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            &raw mut descriptor,
        );
        if status != 0 {
            return None;
        }
        let owner = crate::account::platform::text_of(sid).ok().map(UserId);
        LocalFree(descriptor);
        owner
    }
}

/// Looks at a path, following links. Who may write to a file or read it is in its access list, which is not looked at.
#[must_use]
pub fn look(path: &Path) -> Look {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Look::Directory,
        Ok(_) => Look::File { executable: is_program(path), world_writable: false, world_readable: false },
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Look::Missing,
        Err(error) => Look::Unreadable(describe(&error)),
    }
}

/// Where the byte is that is locked: behind everything that is written into the file, so that it can be read.
const LOCKED_AT: u32 = 0x7fff_0000;

/// The lock of an instance: held as long as this lives, and let go by the system when the guard dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
    left_by: Option<u32>,
}

impl Lock {
    /// Takes the lock; `None` if another guard holds it.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let file = open_private(path).map_err(context(format!("opening {}", path.display())))?;
        match lock(&file) {
            Ok(()) => {}
            Err(error) if is_held(&error) => return Ok(None),
            Err(error) => return Err(context(format!("locking {}", path.display()))(error)),
        }
        reach(FailPoint::LockTaken);
        let left_by = process_in(&file);
        // Nobody depends on it; a lock that does not say whose it is can be waited for in vain, and nothing worse.
        let _ = file.set_len(0).and_then(|()| write_all_at(&file, std::process::id().to_string().as_bytes(), 0));
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
        let file = match OpenOptions::new().read(true).share_mode(SHARE_ALL).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(context(format!("opening {}", path.display()))(error)),
        };
        match lock(&file) {
            Ok(()) => Ok(false),
            Err(error) if is_held(&error) => Ok(true),
            Err(error) => Err(context(format!("locking {}", path.display()))(error)),
        }
    }

    /// The process that holds the lock at this path, as far as it has said so.
    #[must_use]
    pub fn holder(path: &Path) -> Option<u32> {
        let held = matches!(Self::is_held(path), Ok(true));
        process_in(&OpenOptions::new().read(true).share_mode(SHARE_ALL).open(path).ok().filter(|_| held)?)
    }

    /// The lock that the program before this one held. Nothing is ever handed over here; what was is a file all the same.
    #[must_use]
    pub fn kept(kept: Kept) -> Self {
        Self { file: kept.into(), left_by: None }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Where that cannot be written, the next holder takes this one for killed, and nothing worse.
        let _ = self.file.set_len(0);
    }
}

/// The process whose number is in the file of a lock.
fn process_in(mut file: &File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn lock(file: &File) -> io::Result<()> {
    let mut at = OVERLAPPED::default();
    at.Anonymous.Anonymous.Offset = LOCKED_AT;
    let flags = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
    // SAFETY: the file is open for calls that do not wait, so that nothing is written to `at` when this has returned.
    checked(unsafe { LockFileEx(raw(file), flags, 0, 1, 0, &raw mut at) })
}

fn is_held(error: &io::Error) -> bool {
    is(error, ERROR_LOCK_VIOLATION) || is(error, ERROR_SHARING_VIOLATION)
}

fn is(error: &io::Error, number: u32) -> bool {
    error.raw_os_error() == Some(number.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_says_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path).unwrap();
        assert!(first.is_some() && Lock::is_held(&path).unwrap());
        assert!(Lock::take(&path).unwrap().is_none());
        assert_eq!(Lock::holder(&path), Some(std::process::id()));
        drop(first);
        assert_eq!(Lock::take(&path).unwrap().unwrap().left_by(), None);
        // Nobody holds it, and nobody has let it go.
        fs::write(&path, "4194305").unwrap();
        assert_eq!(Lock::take(&path).unwrap().unwrap().left_by(), Some(4_194_305));
    }

    #[test]
    fn a_bare_name_is_a_program_of_any_kind() {
        assert_eq!(program_names("web"), ["web.exe", "web.com", "web.bat", "web.cmd"]);
        assert_eq!(program_names("web.EXE"), ["web.EXE"]);
        assert_eq!(program_names("web.1")[0], "web.1.exe");
    }
}
