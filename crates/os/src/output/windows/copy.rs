//! From a spool into a log: what is noted of a step is such that the next guard finds out how far it came, at every
//! instruction at which this one may be killed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_BACKUP_SEMANTICS,
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES, GetFileInformationByHandle,
};
use windows_sys::Win32::System::Threading::{GetCurrentThread, SetThreadPriority, THREAD_PRIORITY_IDLE};

use super::mark::{Mark, NotedPath};
use super::{Pipe, SHARE_ALL};
use crate::error::context;
use crate::memory::platform::{Mapped, Record};
use crate::output::Aside;
use crate::win32::{checked, raw};

/// The most that is moved at once, in bytes.
const MOVE_BYTES_MAX: usize = 256 * 1024;

/// A file that output is moved into. Only the guard writes to it; the caller says where.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    path: PathBuf,
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    volume: u64,
    number: u64,
}

/// What a file is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    /// Which.
    pub id: FileId,
    /// How long, in bytes.
    pub length: u64,
}

/// What came of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes left the spool and are in the file; at least one.
    Bytes(usize),
    /// The spool is empty.
    Nothing,
    /// The system does not move into such a file.
    Refused,
}

impl FileId {
    /// The file with this number on this volume, as [`Self::parts`] has them.
    #[must_use]
    pub const fn new(volume: u64, number: u64) -> Self {
        Self { volume, number }
    }

    /// Its volume, and its number there.
    #[must_use]
    pub const fn parts(self) -> (u64, u64) {
        (self.volume, self.number)
    }

    /// Which file this is.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(state_of(file)?.id)
    }
}

fn state_of(file: &File) -> io::Result<FileState> {
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the file is open, and the structure is there to be written to.
    checked(unsafe { GetFileInformationByHandle(raw(file), &raw mut found) })?;
    let whole = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let id = FileId::new(found.dwVolumeSerialNumber.into(), whole(found.nFileIndexHigh, found.nFileIndexLow));
    Ok(FileState { id, length: whole(found.nFileSizeHigh, found.nFileSizeLow) })
}

impl LogFile {
    /// Opens a log, and creates it first where it is not there.
    ///
    /// # Errors
    /// When it cannot be opened, or something else than a file is in its place.
    pub fn open(path: &Path) -> io::Result<Self> {
        let what = || context(format!("opening {}", path.display()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).share_mode(SHARE_ALL);
        let file = options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path).map_err(what())?;
        let attributes = file.metadata().map_err(what())?.file_attributes();
        if attributes & (FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DIRECTORY) != 0 {
            return Err(what()(io::Error::new(io::ErrorKind::AlreadyExists, "something else is in its place")));
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// What is at a path now; `None` if nothing is.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn look(path: &Path) -> io::Result<Option<FileState>> {
        let mut options = OpenOptions::new();
        options.access_mode(FILE_READ_ATTRIBUTES).share_mode(SHARE_ALL);
        options.custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT);
        match options.open(path).and_then(|file| state_of(&file)) {
            Ok(state) => Ok(Some(state)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(context(format!("looking at {}", path.display()))(error)),
        }
    }

    /// What this file is now.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn state(&self) -> io::Result<FileState> {
        state_of(&self.file)
    }

    /// When it was created, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn created_ms(&self) -> io::Result<i64> {
        let time = self.file.metadata()?.created()?;
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Writes at an offset, and says how much: at least one byte, perhaps not all.
    ///
    /// # Errors
    /// When nothing could be written.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match self.file.seek_write(bytes, offset)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }

    /// Reads at an offset until the buffer is full or the file ends, and says how much.
    ///
    /// # Errors
    /// When the system cannot read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.seek_read(&mut buffer[filled..], offset + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    /// Cuts it, or lengthens it with zeroes.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    /// Sets no room aside: the system does so itself for a file that grows.
    ///
    /// # Errors
    /// Never.
    pub fn set_aside(&self, _offset: u64, _bytes: u64) -> io::Result<Aside> {
        Ok(Aside::Needless)
    }

    /// Gives back what was set aside behind its end.
    ///
    /// # Errors
    /// Never.
    pub fn give_back(&self) -> io::Result<()> {
        Ok(())
    }

    /// How much room it takes, in bytes: as much as it is long, as nothing is set aside.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn room(&self) -> io::Result<u64> {
        Ok(self.state()?.length)
    }
}

impl Pipe {
    /// How many bytes it holds.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn waiting(&self) -> io::Result<usize> {
        Ok(usize::try_from(self.spooled.waiting()?).unwrap_or(usize::MAX))
    }

    /// Loses so many bytes, or what there is.
    ///
    /// # Errors
    /// When the system cannot read.
    pub fn discard(&self, bytes: usize) -> io::Result<()> {
        self.advance(bytes.min(self.waiting()?));
        Ok(())
    }

    /// Moves at most so many bytes into a file at an offset, which is where it ends. A byte either is to be read or in the
    /// file, even if the guard is killed meanwhile: the next one looks how long the file has become.
    ///
    /// # Errors
    /// When the file cannot be written; what it did not take is to be read still.
    pub fn move_into(&self, file: &LogFile, offset: u64, bytes_max: usize) -> io::Result<Moved> {
        let mut buffer = vec![0; bytes_max.min(MOVE_BYTES_MAX).min(self.waiting()?)];
        let count = self.look(&mut buffer)?;
        if count == 0 {
            return Ok(Moved::Nothing);
        }
        self.spooled.mark.begin(count, &file.path, file.state()?.id, offset);
        let written = file.write_at(&buffer[..count], offset);
        if let Ok(count) = written {
            self.advance(count);
        }
        self.spooled.mark.end();
        written.map(Moved::Bytes)
    }
}

/// Looks at what a spool holds without taking it.
#[derive(Debug)]
pub struct Peek(());

impl Peek {
    /// Ready to look.
    ///
    /// # Errors
    /// Never.
    pub const fn new() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// What is seen at once can be taken at once.
    ///
    /// # Errors
    /// Never.
    pub const fn see_no_more_than(&self, _spool: &Spool) -> io::Result<()> {
        Ok(())
    }

    /// Fills a buffer with the first bytes of a spool, which keeps them, and says how many. Zero if there are none.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn look(&self, pipe: &Pipe, buffer: &mut [u8]) -> io::Result<usize> {
        pipe.look(buffer)
    }

    /// Nothing: whoever writes to a spool waits for nobody.
    ///
    /// # Errors
    /// Never.
    pub const fn take_up(&self, _pipe: &Pipe, _bytes_max: usize) -> io::Result<usize> {
        Ok(0)
    }

    /// Writes what was taken up, which is nothing.
    ///
    /// # Errors
    /// Never.
    pub const fn put(&self, _bytes: usize, _file: &LogFile, _offset: u64) -> io::Result<Moved> {
        Ok(Moved::Nothing)
    }

    /// Forgets what was taken up, which is nothing.
    ///
    /// # Errors
    /// Never.
    pub const fn forget(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows of bytes that they were taken, all of them at once, until it is told to forget it. A file of a name: whoever opens it
/// next sees it.
#[derive(Debug)]
pub struct Spool(Mapped<Taken>);

/// What was taken last.
#[repr(C)]
#[derive(Debug)]
struct Taken {
    /// How much; zero if that is forgotten.
    bytes: AtomicU64,
    /// Of which spool, and up to where.
    device: AtomicU64,
    number: AtomicU64,
    to: AtomicU64,
    path: NotedPath,
}

// SAFETY: all of it is atomic.
unsafe impl Record for Taken {}

impl Spool {
    /// Opens what is at a path, and creates it first where it is not there. What a guard before this one has taken and not
    /// marked as read is marked.
    ///
    /// # Errors
    /// When it cannot be created or opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let taken = Mapped::<Taken>::open(path)?;
        let bytes = taken.bytes.load(Ordering::Acquire);
        if bytes > 0 {
            let id = FileId::new(taken.device.load(Ordering::Acquire), taken.number.load(Ordering::Acquire));
            let to = taken.to.load(Ordering::Acquire);
            let from = taken.path.get();
            if LogFile::look(&from)?.is_some_and(|state| state.id == id) {
                let mark = Mark::open(&from, id)?;
                if mark.taken() == to - bytes {
                    mark.set_taken(to);
                }
            }
        }
        Ok(Self(taken))
    }

    /// How many bytes were taken.
    ///
    /// # Errors
    /// Never.
    pub fn waiting(&self) -> io::Result<usize> {
        Ok(usize::try_from(self.0.bytes.load(Ordering::Acquire)).unwrap_or(usize::MAX))
    }

    /// Takes so many bytes out of a spool, at once: the number of them is written last, and counts.
    ///
    /// # Errors
    /// When the system does not tell which spool that is.
    pub fn take(&self, from: &Pipe, bytes: usize) -> io::Result<()> {
        let (device, number) = FileId::of(&from.spooled.file)?.parts();
        self.0.path.set(&from.path);
        self.0.device.store(device, Ordering::Release);
        self.0.number.store(number, Ordering::Release);
        self.0.to.store(from.spooled.mark.taken() + bytes as u64, Ordering::Release);
        self.0.bytes.store(bytes as u64, Ordering::Release);
        from.advance(bytes);
        Ok(())
    }

    /// Forgets what was taken.
    ///
    /// # Errors
    /// Never.
    pub fn clear(&self) -> io::Result<()> {
        self.0.bytes.store(0, Ordering::Release);
        Ok(())
    }
}

/// Lets everything else on the machine go before this thread.
pub fn step_back() {
    // SAFETY: the thread is this one. One that may not is as quick as any other; nothing depends on it.
    unsafe { SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_IDLE) };
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    fn written(path: &Path, bytes: &[u8]) -> Pipe {
        let pipe = Pipe::open(path, None).unwrap();
        File::from(pipe.program_end().unwrap().0.try_clone().unwrap()).write_all(bytes).unwrap();
        pipe
    }

    #[test]
    fn what_moves_is_in_the_file_and_what_does_not_is_still_to_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = written(&folder.path().join("out"), b"one two");
        let path = folder.path().join("log");
        fs::write(&path, "before ").unwrap();
        let file = LogFile::open(&path).unwrap();
        assert_eq!(pipe.move_into(&file, 7, 4).unwrap(), Moved::Bytes(4));
        assert_eq!(fs::read(&path).unwrap(), b"before one ");
        assert_eq!(pipe.waiting().unwrap(), 3);
        assert_eq!(pipe.move_into(&file, 11, 100).unwrap(), Moved::Bytes(3));
        assert_eq!(pipe.move_into(&file, 14, 100).unwrap(), Moved::Nothing);
    }

    #[test]
    fn what_a_guard_took_and_did_not_mark_is_marked_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = written(&folder.path().join("out"), b"line\nrest");
        let spool = Spool::open(&folder.path().join("spool")).unwrap();
        spool.take(&pipe, 5).unwrap();
        // As if it had been killed in between.
        pipe.spooled.mark.set_taken(0);
        for _ in 0..2 {
            let next = Spool::open(&folder.path().join("spool")).unwrap();
            assert_eq!((next.waiting().unwrap(), pipe.waiting().unwrap()), (5, 4));
        }
        spool.clear().unwrap();
        assert_eq!(Spool::open(&folder.path().join("spool")).unwrap().waiting().unwrap(), 0);
    }

    #[test]
    fn a_file_is_told_from_another_of_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(LogFile::look(&path).unwrap(), None);
        let file = LogFile::open(&path).unwrap();
        file.write_at(b"abc", 0).unwrap();
        assert_eq!(LogFile::look(&path).unwrap(), Some(file.state().unwrap()));
        fs::rename(&path, folder.path().join("moved")).unwrap();
        let other = LogFile::open(&path).unwrap();
        assert_ne!(other.state().unwrap().id, file.state().unwrap().id);
    }
}
