//! What programs write on Windows: each stream into a file of its own, the *spool*, to which the program's handle can only
//! append. So nothing is lost whatever becomes of the guard, and no writer ever waits. The guard follows the spools, moves
//! what comes to the logs, and gives their room on the disk back behind itself; the logs are the guard's alone, and rotate
//! under a running writer.
//!
//! How far a spool was read stands beside it in a *mark*, a small file that is mapped into memory: a number that changes at
//! once, and that the next guard finds, whenever this one is killed.

#[path = "windows/copy.rs"]
mod copy;
#[path = "windows/event_log.rs"]
mod event_log;
#[path = "windows/journal.rs"]
mod journal;
#[path = "windows/mark.rs"]
mod mark;
#[path = "windows/readers.rs"]
mod readers;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt as _, OpenOptionsExt as _};
use std::os::windows::io::OwnedHandle;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

use windows_sys::Win32::Foundation::ERROR_SHARING_VIOLATION;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_APPEND_DATA, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, SYNCHRONIZE,
};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::{FILE_ZERO_DATA_INFORMATION, FSCTL_SET_SPARSE, FSCTL_SET_ZERO_DATA};

pub use copy::{FileId, FileState, LogFile, Moved, Peek, Spool, step_back};
pub use event_log::EventLog;
pub use journal::JournalSocket;
pub use readers::{ReadWaker, Readers};

use crate::account::Identity;
use crate::error::context;
use crate::fail_point::{FailPoint, reach};
use crate::handover::Kept;
use crate::win32::{checked, raw, size_of_u32};
use mark::Mark;

/// Everybody may read, write, rename and remove what somebody has open.
const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
/// The room of what was read is given back in pieces of this size, in bytes.
const GIVE_BACK_BYTES: u64 = 4 * 1024 * 1024;

/// An open file or pipe.
#[derive(Debug)]
pub struct Descriptor(pub(crate) OwnedHandle);

impl From<Kept> for Descriptor {
    fn from(kept: Kept) -> Self {
        Self(kept)
    }
}

impl Descriptor {
    /// The descriptor of an open file.
    #[must_use]
    pub fn from_file(file: File) -> Self {
        Self(file.into())
    }

    /// Whether both mean the same open file. The system does not tell.
    #[must_use]
    pub const fn is_same(&self, _other: &Self) -> bool {
        false
    }
}

/// The guard's end of a spool.
#[derive(Debug)]
pub struct Pipe {
    path: PathBuf,
    spooled: Arc<Spooled>,
}

/// What a program has written, and how far that was read.
#[derive(Debug)]
pub(crate) struct Spooled {
    file: File,
    mark: Mark,
}

impl Spooled {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// How far it was read. One that is shorter was begun anew.
    fn taken(&self) -> io::Result<u64> {
        // The length first: what is begun anew is cut before the mark goes back.
        let length = self.length()?;
        let taken = self.mark.taken();
        if taken <= length {
            return Ok(taken);
        }
        self.mark.set_taken(0);
        Ok(0)
    }

    /// How many bytes are to be read.
    fn waiting(&self) -> io::Result<u64> {
        let taken = self.taken()?;
        Ok(self.length()?.saturating_sub(taken))
    }
}

impl Pipe {
    /// Opens the spool at a path, and creates it first where it is not there. Whoever writes into it is handed an open file, and
    /// needs no right of its own. What a guard before this one has moved of it
    /// without having said so is found out.
    ///
    /// # Errors
    /// When it cannot be created or opened.
    pub fn open(path: &Path, _owner: Option<&Identity>) -> io::Result<Self> {
        let what = || context(format!("opening the spool {}", path.display()));
        if !path.exists() {
            let made = OpenOptions::new().write(true).create(true).truncate(false).share_mode(SHARE_ALL).open(path);
            // Where the volume has no sparse files, room is given back when the spool is begun anew.
            let _ = set_sparse(&made.map_err(what())?);
            reach(FailPoint::PipeMade);
        }
        let file = OpenOptions::new().read(true).share_mode(SHARE_ALL).open(path).map_err(what())?;
        let mark = Mark::open(path, FileId::of(&file)?).map_err(what())?;
        mark.settle();
        Ok(Self { path: path.to_owned(), spooled: Arc::new(Spooled { file, mark }) })
    }

    /// A spool holds what the disk has room for.
    pub const fn widen(&self) {}

    /// A spool cannot be removed while a program writes into it, but to where nobody finds it. `None`.
    #[must_use]
    pub const fn removed(_path: &Path, _pid: u32, _number: u32) -> Option<Self> {
        None
    }

    pub(crate) const fn spooled(&self) -> &Arc<Spooled> {
        &self.spooled
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new end for a program to write into.
    ///
    /// # Errors
    /// When the spool is gone or cannot be opened.
    pub fn program_end(&self) -> io::Result<Arc<Descriptor>> {
        open_program_end(&self.path)
    }

    /// Reads what is there; `None` if there is nothing.
    ///
    /// # Errors
    /// When the system cannot read.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let count = self.look(buffer)?;
        self.advance(count);
        Ok((count > 0).then_some(count))
    }

    /// Fills a buffer with what comes next, which stays there.
    fn look(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.spooled.taken()?;
        let mut filled = 0;
        while filled < buffer.len() {
            match self.spooled.file.seek_read(&mut buffer[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// So many bytes more were read.
    fn advance(&self, bytes: usize) {
        let taken = self.spooled.mark.taken();
        let now = taken + bytes as u64;
        self.spooled.mark.set_taken(now);
        if now / GIVE_BACK_BYTES > taken / GIVE_BACK_BYTES {
            // What is not given back now is when the spool is begun anew.
            let _ = self.give_back(now / GIVE_BACK_BYTES * GIVE_BACK_BYTES);
        }
    }

    /// Gives the room on the disk back of everything up to here.
    fn give_back(&self, to: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).share_mode(SHARE_ALL).open(&self.path)?;
        let zero = FILE_ZERO_DATA_INFORMATION { FileOffset: 0, BeyondFinalZero: to.cast_signed() };
        let size = size_of_u32::<FILE_ZERO_DATA_INFORMATION>();
        let mut returned = 0;
        // SAFETY: the file is open for calls that wait, and the structure is as long as is said.
        checked(unsafe {
            DeviceIoControl(
                raw(&file),
                FSCTL_SET_ZERO_DATA,
                (&raw const zero).cast(),
                size,
                ptr::null_mut(),
                0,
                &raw mut returned,
                ptr::null_mut(),
            )
        })
    }
}

/// A new end of the spool at a path for a program to write into. If all of it was read and nobody writes into it any more, it
/// is begun anew.
///
/// # Errors
/// When it is gone or cannot be opened.
pub fn open_program_end(path: &Path) -> io::Result<Arc<Descriptor>> {
    let what = || context(format!("opening the spool {}", path.display()));
    begin_anew(path).map_err(what())?;
    let access = FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE;
    let end = OpenOptions::new().access_mode(access).share_mode(SHARE_ALL).open(path).map_err(what())?;
    Ok(Arc::new(Descriptor(end.into())))
}

fn begin_anew(path: &Path) -> io::Result<()> {
    // Nobody else may have it open for writing.
    let file = match OpenOptions::new().write(true).share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE).open(path) {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION.cast_signed()) => return Ok(()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mark = Mark::open(path, FileId::of(&file)?)?;
    if length > 0 && mark.taken() == length && mark.is_at_rest() {
        // A guard that is killed in between leaves a mark behind the end, which is none.
        file.set_len(0)?;
        mark.set_taken(0);
    }
    Ok(())
}

/// Removes the spool at a path, with its mark.
pub fn remove_pipe(path: &Path) {
    // What is gone already is as it should be.
    let _ = fs::remove_file(path);
    let _ = fs::remove_file(mark::path(path));
}

fn set_sparse(file: &File) -> io::Result<()> {
    let mut returned = 0;
    // SAFETY: the file is open for calls that wait, and the call takes and gives nothing.
    checked(unsafe {
        DeviceIoControl(
            raw(file),
            FSCTL_SET_SPARSE,
            ptr::null(),
            0,
            ptr::null_mut(),
            0,
            &raw mut returned,
            ptr::null_mut(),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn write(end: &Descriptor, bytes: &[u8]) {
        File::from(end.0.try_clone().unwrap()).write_all(bytes).unwrap();
    }

    #[test]
    fn what_is_written_while_nobody_reads_is_read_by_the_next_who_opens_the_spool() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let first = Pipe::open(&path, None).unwrap();
        let writer = first.program_end().unwrap();
        write(&writer, b"one ");
        let mut buffer = [0; 16];
        assert_eq!(first.read(&mut buffer).unwrap(), Some(4));
        drop(first);
        write(&writer, b"kept");
        let next = Pipe::open(&path, None).unwrap();
        assert_eq!(next.read(&mut buffer).unwrap(), Some(4));
        assert_eq!(&buffer[..4], b"kept");
        assert_eq!(next.read(&mut buffer).unwrap(), None);
    }

    #[test]
    fn a_spool_is_begun_anew_when_nobody_writes_and_all_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let pipe = Pipe::open(&path, None).unwrap();
        let writer = pipe.program_end().unwrap();
        write(&writer, b"abc");
        pipe.read(&mut [0; 16]).unwrap();
        drop(pipe.program_end().unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), 3, "somebody writes");
        drop(writer);
        let writer = pipe.program_end().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        write(&writer, b"d");
        assert_eq!(pipe.waiting().unwrap(), 1);
    }
}
