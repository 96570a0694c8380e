//! From a pipe into a file, or into another pipe, by the kernel: what leaves the one is in the other, and nothing else, at
//! every instruction at which the guard may be killed. Reading and writing in two steps does not have that property.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

use super::processor::Crowding;
use super::sink::Sink;
use super::{PIPE_BYTES, Pipe};
use crate::error::context;

/// Who may read a log: the guard's account, and its group.
const LOG_MODE: u32 = 0o640;
/// So many bytes that wait in a pipe are many: to keep their writer waiting would cost more than a second pipe does.
const MANY_BYTES: usize = 128 * 1024;

/// A file that output is copied into. Only the guard writes to it, so it is not opened for appending, which the kernel's
/// copy refuses; the caller says where.
#[derive(Debug)]
pub struct LogFile(pub(super) File);

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
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

/// What came of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes left the pipe and are in the file; at least one.
    Bytes(usize),
    /// The pipe is empty.
    Nothing,
    /// The kernel does not copy into such a file.
    Refused,
}

impl FileId {
    /// The file with this number on this device, as [`Self::parts`] has them.
    #[must_use]
    pub const fn new(device: u64, number: u64) -> Self {
        Self { device, number }
    }

    /// Its device, and its number there.
    #[must_use]
    pub const fn parts(self) -> (u64, u64) {
        (self.device, self.number)
    }

    /// Which file this is.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::of_metadata(&file.metadata()?))
    }

    fn of_metadata(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), number: metadata.ino() }
    }
}

impl LogFile {
    /// Opens a log, and creates it first where it is not there.
    ///
    /// # Errors
    /// When it cannot be opened, or something else than a file is in its place.
    pub fn open(path: &Path) -> io::Result<Self> {
        let what = || context(format!("opening {}", path.display()));
        // Without NONBLOCK, a FIFO in its place would be waited for.
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(LOG_MODE)
            .custom_flags(flags)
            .open(path)
            .map_err(what())?;
        if !file.metadata().map_err(what())?.is_file() {
            return Err(what()(io::Error::new(io::ErrorKind::AlreadyExists, "something else is in its place")));
        }
        Ok(Self(file))
    }

    /// What is at a path now; `None` if nothing is.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn look(path: &Path) -> io::Result<Option<FileState>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(FileState { id: FileId::of_metadata(&metadata), length: metadata.len() })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(context(format!("looking at {}", path.display()))(error)),
        }
    }

    /// What this file is now.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn state(&self) -> io::Result<FileState> {
        let metadata = self.0.metadata()?;
        Ok(FileState { id: FileId::of_metadata(&metadata), length: metadata.len() })
    }

    /// When it was created, or else last written, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn created_ms(&self) -> io::Result<i64> {
        let metadata = self.0.metadata()?;
        let time = metadata.created().or_else(|_| metadata.modified())?;
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Writes at an offset, and says how much: at least one byte, perhaps not all.
    ///
    /// # Errors
    /// When nothing could be written.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Reads at an offset until the buffer is full or the file ends, and says how much.
    ///
    /// # Errors
    /// When the system cannot read.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Cuts it, or lengthens it with zeroes.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}

impl Pipe {
    /// How many bytes it holds.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn waiting(&self) -> io::Result<usize> {
        Ok(usize::try_from(rustix::io::ioctl_fionread(&self.end)?).unwrap_or(usize::MAX))
    }

    /// Loses so many bytes, or what there is.
    ///
    /// # Errors
    /// When the system cannot read.
    pub fn discard(&self, bytes: usize) -> io::Result<()> {
        let mut buffer = vec![0; bytes];
        let mut left = bytes;
        while left > 0
            && let Some(count) = self.read(&mut buffer[..left])?
        {
            left -= count;
        }
        Ok(())
    }

    /// Moves at most so many bytes into a file at an offset. A byte either is in the pipe or in the file, even if the guard
    /// is killed meanwhile.
    ///
    /// # Errors
    /// When the file cannot be written; what it did not take stays in the pipe.
    pub fn move_into(&self, file: &LogFile, offset: u64, bytes_max: usize) -> io::Result<Moved> {
        move_into(&self.end, file, offset, bytes_max)
    }
}

fn move_into(from: &OwnedFd, file: &LogFile, mut offset: u64, bytes_max: usize) -> io::Result<Moved> {
    loop {
        let moved = rustix::pipe::splice(from, None, &file.0, Some(&mut offset), bytes_max, SpliceFlags::NONBLOCK);
        return match moved {
            Ok(0) | Err(Errno::AGAIN) => Ok(Moved::Nothing),
            Ok(count) => Ok(Moved::Bytes(count)),
            Err(Errno::INTR) => continue,
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(Moved::Refused),
            Err(error) => Err(error.into()),
        };
    }
}

/// Looks at what a pipe holds without taking it.
#[derive(Debug)]
pub struct Peek {
    read: OwnedFd,
    write: OwnedFd,
}

impl Peek {
    /// Ready to look.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Less than wished for is enough: less is seen at once.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Self { read, write })
    }

    /// From now on sees no more at once than a spool takes at once.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn see_no_more_than(&self, spool: &Spool) -> io::Result<()> {
        let most = rustix::pipe::fcntl_getpipe_size(&spool.pipe.end)?;
        if most < rustix::pipe::fcntl_getpipe_size(&self.write)? {
            rustix::pipe::fcntl_setpipe_size(&self.write, most)?;
        }
        Ok(())
    }

    /// Fills a buffer with the first bytes of a pipe, which keeps them, and says how many. Zero if there are none; fewer
    /// than there are, sometimes.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn look(&self, pipe: &Pipe, buffer: &mut [u8]) -> io::Result<usize> {
        let seen = self.see(pipe, buffer.len())?;
        let mut filled = 0;
        while filled < seen {
            match rustix::io::read(&self.read, &mut buffer[filled..seen]) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(filled)
    }

    /// Takes up the first bytes of a pipe, which keeps them, if many wait there, and says how many; zero if few do. Where many
    /// did the last time, it is not asked how many do now: whoever asks waits for whoever writes. What was taken up is to be
    /// [put](Self::put) into a file or [forgotten](Self::forget) next.
    ///
    /// As long as the kernel moves bytes out of a pipe into a file, whoever writes to the pipe waits. This has the pages in a
    /// second pipe, too, from which a file is written while the first takes more.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn take_up(&self, pipe: &Pipe, bytes_max: usize) -> io::Result<usize> {
        if bytes_max < MANY_BYTES || !(pipe.had_many.load(Ordering::Relaxed) || self.can_see_many(pipe)?) {
            return Ok(0);
        }
        let seen = self.see(pipe, bytes_max)?;
        pipe.had_many.store(seen >= MANY_BYTES, Ordering::Relaxed);
        Ok(seen)
    }

    /// Whether many bytes wait in a pipe, and there is room for them here: an unprivileged guard with many services gets small
    /// pipes.
    fn can_see_many(&self, pipe: &Pipe) -> io::Result<bool> {
        Ok(pipe.waiting()? >= MANY_BYTES && rustix::pipe::fcntl_getpipe_size(&self.write)? >= MANY_BYTES)
    }

    /// Writes what was taken up, which is so many bytes, into a file at an offset, and says how many it took. What it does not
    /// take is forgotten.
    ///
    /// # Errors
    /// When the file took none.
    pub fn put(&self, bytes: usize, file: &LogFile, offset: u64) -> io::Result<Moved> {
        let mut put = 0;
        while put < bytes {
            match move_into(&self.read, file, offset + put as u64, bytes - put) {
                Ok(Moved::Bytes(count)) => put += count,
                stopped @ (Ok(Moved::Nothing | Moved::Refused) | Err(_)) => {
                    self.forget()?;
                    return if put > 0 { Ok(Moved::Bytes(put)) } else { stopped };
                }
            }
        }
        Ok(Moved::Bytes(put))
    }

    /// Forgets what was taken up.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn forget(&self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match rustix::io::read(&self.read, &mut buffer) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Has the first bytes of a pipe in this one, too, and says how many.
    fn see(&self, pipe: &Pipe, bytes_max: usize) -> io::Result<usize> {
        loop {
            match rustix::pipe::tee(&pipe.end, &self.write, bytes_max, SpliceFlags::NONBLOCK) {
                Ok(seen) => return Ok(seen.min(bytes_max)),
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A pipe that takes bytes out of others, all of them at once, and loses them when it is told to. A FIFO of a name: whoever
/// opens it next sees whether there is something in it, as long as anybody has held it meanwhile.
#[derive(Debug)]
pub struct Spool {
    pipe: Pipe,
    null: OwnedFd,
    /// Made when many bytes are to be lost; none if the system has none.
    sink: OnceLock<Option<Sink>>,
    crowding: Crowding,
}

impl Spool {
    /// Opens the FIFO at a path, and creates it first where it is not there.
    ///
    /// # Errors
    /// When it cannot be created or opened, or something else is in its place.
    pub fn open(path: &Path) -> io::Result<Self> {
        let pipe = Pipe::open(path, None)?;
        pipe.widen();
        let null = rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { pipe, null, sink: OnceLock::new(), crowding: Crowding::new() })
    }

    /// How many bytes it holds.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn waiting(&self) -> io::Result<usize> {
        self.pipe.waiting()
    }

    /// Takes so many bytes out of a pipe: at once, if a [`Peek`] that sees no more than this takes has seen them there, and
    /// this is empty. Fewer, if somebody else has taken some meanwhile.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn take(&self, from: &Pipe, bytes: usize) -> io::Result<()> {
        move_there(&from.end, &self.pipe.end, bytes)?;
        if bytes >= MANY_BYTES {
            self.crowding.step();
        }
        Ok(())
    }

    /// Loses what it holds.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn clear(&self) -> io::Result<()> {
        let mut left = self.waiting()?;
        if left >= MANY_BYTES
            && let Some(sink) = self.sink.get_or_init(|| Sink::start(&self.null).ok())
        {
            // What it does not take is lost here.
            left -= sink.take(&self.pipe.end, left).unwrap_or(0);
        }
        move_there(&self.pipe.end, &self.null, left).map(drop)
    }
}

/// Moves so many bytes, or what there is and what there is room for, and says how many.
pub(super) fn move_there(from: &OwnedFd, to: &OwnedFd, bytes: usize) -> io::Result<usize> {
    let mut left = bytes;
    while left > 0 {
        match rustix::pipe::splice(from, None, to, None, left, SpliceFlags::NONBLOCK) {
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(count) => left = left.saturating_sub(count),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes - left)
}

/// Lets everything else on the machine go before this thread.
pub fn step_back() {
    // A thread that may not is as quick as any other; nothing depends on it.
    let _ = rustix::process::nice(19);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;

    use super::*;

    fn written(path: &Path, bytes: &[u8]) -> Pipe {
        let pipe = Pipe::open(path, None).unwrap();
        pipe.widen();
        rustix::io::write(pipe.program_end().unwrap().0.as_fd(), bytes).unwrap();
        pipe
    }

    #[test]
    fn what_moves_is_in_the_file_and_what_does_not_stays_in_the_pipe() {
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
        assert_eq!(fs::read(&path).unwrap(), b"before one two");
    }

    #[test]
    fn a_file_the_kernel_moves_nothing_into_is_refused_and_the_pipe_keeps_all() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = written(&folder.path().join("out"), b"kept");
        let appended = OpenOptions::new().append(true).create(true).open(folder.path().join("log")).unwrap();
        assert_eq!(pipe.move_into(&LogFile(appended), 0, 4).unwrap(), Moved::Refused);
        assert_eq!(pipe.waiting().unwrap(), 4);
    }

    #[test]
    fn looking_takes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = written(&folder.path().join("out"), b"line\nrest");
        let peek = Peek::new().unwrap();
        let mut buffer = [0; 6];
        for _ in 0..3 {
            assert_eq!(peek.look(&pipe, &mut buffer).unwrap(), 6);
            assert_eq!(&buffer, b"line\nr");
        }
        assert_eq!(pipe.waiting().unwrap(), 9);
        let empty = Pipe::open(&folder.path().join("empty"), None).unwrap();
        assert_eq!(peek.look(&empty, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn many_bytes_are_put_into_a_file_and_stay_in_the_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "before ").unwrap();
        let file = LogFile::open(&path).unwrap();
        let pipe = written(&folder.path().join("out"), b"first ");
        let peek = Peek::new().unwrap();
        assert_eq!(peek.take_up(&pipe, 1 << 20).unwrap(), 0, "they are few");
        rustix::io::write(pipe.program_end().unwrap().0.as_fd(), &[b'x'; MANY_BYTES]).unwrap();
        assert_eq!(peek.take_up(&pipe, MANY_BYTES - 1).unwrap(), 0, "few are wanted");
        let all = MANY_BYTES + 6;
        for bytes in [MANY_BYTES, all] {
            assert_eq!(peek.take_up(&pipe, bytes).unwrap(), bytes);
            assert_eq!(peek.put(bytes, &file, 7).unwrap(), Moved::Bytes(bytes));
            assert_eq!(pipe.waiting().unwrap(), all);
        }
        let log = fs::read(&path).unwrap();
        assert!(log.starts_with(b"before first xx") && log.len() == 7 + all);
        let other = written(&folder.path().join("other"), b"few");
        assert_eq!(peek.take_up(&other, 1 << 20).unwrap(), 0, "they are few of another");
        pipe.discard(all - 3).unwrap();
        assert_eq!(peek.take_up(&pipe, 1 << 20).unwrap(), 3, "nobody has asked how many");
        assert_eq!(peek.put(3, &file, 7).unwrap(), Moved::Bytes(3));
        assert_eq!(peek.take_up(&pipe, 1 << 20).unwrap(), 0, "they are known to be few");
    }

    #[test]
    fn what_a_file_does_not_take_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = written(&folder.path().join("out"), &[b'x'; MANY_BYTES]);
        let appended = OpenOptions::new().append(true).create(true).open(folder.path().join("log")).unwrap();
        let peek = Peek::new().unwrap();
        for _ in 0..2 {
            let bytes = peek.take_up(&pipe, 1 << 20).unwrap();
            assert_eq!(bytes, MANY_BYTES);
            assert_eq!(peek.put(bytes, &LogFile(appended.try_clone().unwrap()), 0).unwrap(), Moved::Refused);
        }
        assert_eq!(peek.take_up(&pipe, 1 << 20).unwrap(), MANY_BYTES);
        peek.forget().unwrap();
        let other = written(&folder.path().join("other"), b"line");
        let mut buffer = [0; 8];
        assert_eq!(peek.look(&other, &mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"line");
    }

    #[test]
    fn a_spool_takes_what_was_seen_at_once_and_tells_the_next_who_opens_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let spool = Spool::open(&path).unwrap();
        let peek = Peek::new().unwrap();
        peek.see_no_more_than(&spool).unwrap();
        // Each of these writes takes a page of the pipe.
        let pipe = written(&folder.path().join("out"), &[b'x'; 2049]);
        for _ in 1..200 {
            rustix::io::write(pipe.program_end().unwrap().0.as_fd(), &[b'x'; 2049]).unwrap();
        }
        let mut buffer = vec![0; 1 << 20];
        let seen = peek.look(&pipe, &mut buffer).unwrap();
        assert_eq!(seen, 200 * 2049);
        spool.take(&pipe, seen - 1).unwrap();
        assert_eq!((pipe.waiting().unwrap(), spool.waiting().unwrap()), (1, seen - 1));
        let next = Spool::open(&path).unwrap();
        drop(spool);
        assert_eq!(next.waiting().unwrap(), seen - 1);
        next.clear().unwrap();
        assert_eq!(next.waiting().unwrap(), 0);
        next.take(&pipe, 2).unwrap();
        assert_eq!(next.waiting().unwrap(), 1, "there was one");
    }

    #[test]
    fn a_spool_loses_all_of_many_bytes_whatever_its_sink_takes() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("spool")).unwrap();
        let pipe = written(&folder.path().join("out"), &[b'x'; PIPE_BYTES]);
        for (bytes, has_sink) in [(MANY_BYTES - 1, false), (MANY_BYTES, true), (PIPE_BYTES - 2 * MANY_BYTES, true)] {
            spool.take(&pipe, bytes).unwrap();
            assert_eq!(spool.waiting().unwrap(), bytes);
            spool.clear().unwrap();
            assert_eq!(spool.waiting().unwrap(), 0);
            assert_eq!(spool.sink.get().is_some_and(Option::is_some), has_sink);
        }
        assert_eq!(pipe.waiting().unwrap(), 1);
        // Where the system has no thread, it does without.
        let without = Spool { sink: OnceLock::from(None), ..spool };
        rustix::io::write(pipe.program_end().unwrap().0.as_fd(), &[b'x'; MANY_BYTES]).unwrap();
        without.take(&pipe, MANY_BYTES).unwrap();
        without.clear().unwrap();
        assert_eq!(without.waiting().unwrap(), 0);
    }

    #[test]
    fn a_folder_a_link_or_a_pipe_in_a_logs_place_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("folder")).unwrap();
        std::os::unix::fs::symlink("/dev/null", path("link")).unwrap();
        let _pipe = Pipe::open(&path("pipe"), None).unwrap();
        for name in ["folder", "link", "pipe"] {
            let error = LogFile::open(&path(name)).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
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
