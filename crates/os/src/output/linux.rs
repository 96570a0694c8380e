//! Pipes are FIFOs that the program itself holds open for reading and writing. When the guard dies, the program neither
//! gets SIGPIPE nor loses a byte: the pipe fills, the writer waits, and the next guard opens the FIFO by its path.

#[path = "linux/aside.rs"]
mod aside;
#[path = "linux/copy.rs"]
mod copy;
#[path = "linux/event_log.rs"]
mod event_log;
#[path = "linux/journal.rs"]
mod journal;
#[path = "linux/processor.rs"]
mod processor;
#[path = "linux/sink.rs"]
mod sink;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::epoll;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

pub use copy::{FileId, FileState, LogFile, Moved, Peek, Spool, step_back};
pub use event_log::EventLog;
pub use journal::JournalSocket;

use crate::account::Identity;
use crate::error::context;
use crate::event::Token;
use crate::fail_point::{FailPoint, reach};

/// How much a pipe that has had something to tell holds while nobody reads, in bytes. An unprivileged guard with many services
/// gets less of the system.
const PIPE_BYTES: usize = 1024 * 1024;

/// What a program moves from one descriptor to another while its descriptors are gone through is found the next time.
const LOOKS: usize = 4;

/// An open file, pipe or socket.
#[derive(Debug)]
pub struct Descriptor(pub(crate) OwnedFd);

impl From<OwnedFd> for Descriptor {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Descriptor {
    /// The descriptor of an open file.
    #[must_use]
    pub fn from_file(file: File) -> Self {
        Self(file.into())
    }

    /// Whether both mean the same open file, as after `dup`. Where the kernel does not tell, they do not.
    #[must_use]
    #[expect(unsafe_code, reason = "no crate wraps kcmp")]
    pub fn is_same(&self, other: &Self) -> bool {
        /// See kcmp(2); libc has no name for it.
        const KCMP_FILE: libc::c_int = 0;
        let me = std::process::id();
        // SAFETY: the call compares what the numbers mean and writes nothing.
        unsafe { libc::syscall(libc::SYS_kcmp, me, me, KCMP_FILE, self.0.as_raw_fd(), other.0.as_raw_fd()) == 0 }
    }
}

/// The guard's end of a FIFO.
#[derive(Debug)]
pub struct Pipe {
    path: PathBuf,
    /// Open for writing too, so that it never sees the end while no program runs.
    end: OwnedFd,
    /// It was given room for as much as it is to hold.
    is_widened: AtomicBool,
    /// The last time bytes of it were taken up, they were many.
    had_many: AtomicBool,
}

impl Pipe {
    /// Opens the FIFO at a path, and creates it first where it is not there. It belongs to the account the program runs
    /// as, so that `/dev/stdout` can be opened by it.
    ///
    /// # Errors
    /// When it cannot be created or opened, or something else is in its place.
    pub fn open(path: &Path, owner: Option<&Identity>) -> io::Result<Self> {
        let what = || context(format!("opening the pipe {}", path.display()));
        let is_made = match mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) => {
                reach(FailPoint::PipeMade);
                true
            }
            Err(rustix::io::Errno::EXIST) => false,
            Err(error) => return Err(what()(error.into())),
        };
        // One that was just made is the guard's own, and nothing else.
        if !is_made || owner.is_some() {
            claim(path, owner).map_err(what())?;
        }
        let end = open(path, OFlags::RDWR | OFlags::NONBLOCK).map_err(what())?;
        Ok(Self::of(path, end))
    }

    fn of(path: &Path, end: OwnedFd) -> Self {
        Self { path: path.to_owned(), end, is_widened: AtomicBool::new(false), had_many: AtomicBool::new(false) }
    }

    /// Has it hold 1 MiB from now on, where the system had given it 64 KiB. That takes 16 KiB of the kernel's memory, also
    /// while it is empty: of many programs most write little, and nothing to one of their streams.
    pub fn widen(&self) {
        if !self.is_widened.swap(true, Ordering::Relaxed) {
            // Less than wished for is enough: the writer then waits sooner.
            let _ = rustix::pipe::fcntl_setpipe_size(&self.end, PIPE_BYTES);
        }
    }

    /// Opens the FIFO that was at this path when a program got it as this descriptor, and that somebody has removed since, or
    /// moved away with its folder. A shell has it as another one for a moment, while it writes something elsewhere. `None` if
    /// the program does not have it, or that cannot be seen.
    #[must_use]
    pub fn removed(path: &Path, pid: u32, number: u32) -> Option<Self> {
        // The system knows of it by a path without links.
        let folder = path.parent()?;
        let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let place = real.join(path.file_name()?);
        let folder = PathBuf::from(format!("/proc/{pid}/fd"));
        let links = || {
            let all = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
            std::iter::once(folder.join(number.to_string())).chain(all)
        };
        if links().any(|link| fs::read_link(link).is_ok_and(|target| target == place)) {
            return None;
        }
        let find = |_| links().find_map(|link| open_removed(&link, &place));
        (0..LOOKS).find_map(find).map(|end| Self::of(path, end))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new end for a program to write into.
    ///
    /// # Errors
    /// When the FIFO is gone or cannot be opened.
    pub fn program_end(&self) -> io::Result<Arc<Descriptor>> {
        open_program_end(&self.path)
    }

    /// Reads what is there; `None` if there is nothing.
    ///
    /// # Errors
    /// When the system cannot read.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            return match rustix::io::read(&self.end, &mut *buffer) {
                Ok(0) => Ok(None),
                Ok(count) => Ok(Some(count)),
                Err(rustix::io::Errno::AGAIN) => Ok(None),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => Err(error.into()),
            };
        }
    }
}

/// Makes sure that it is a FIFO at this path, and its owner's.
fn claim(path: &Path, owner: Option<&Identity>) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else is in its place"));
    }
    match owner.filter(|owner| (owner.uid, owner.gid) != (metadata.uid(), metadata.gid())) {
        Some(owner) => std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}

/// Opens what a program has open, if it was at this place once.
fn open_removed(link: &Path, place: &Path) -> Option<OwnedFd> {
    let is_it = |link: &Path| was_at(link, place).unwrap_or(false);
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let end = is_it(link).then(|| rustix::fs::open(link, flags, Mode::empty()))?.ok()?;
    // The program may have got another one as this descriptor meanwhile.
    is_it(Path::new(&format!("/proc/self/fd/{}", end.as_raw_fd()))).then_some(end)
}

/// Whether what a program has open was at this place and is not any more. In a folder that was moved away it has kept its name,
/// and the program has it open for reading, too, as it would not have a pipe of its own.
fn was_at(link: &Path, place: &Path) -> Option<bool> {
    let target = fs::read_link(link).ok()?;
    let bytes = target.as_os_str().as_bytes();
    let known = bytes.strip_suffix(b" (deleted)");
    let at = Path::new(OsStr::from_bytes(known.unwrap_or(bytes)));
    if at == place {
        return Some(known.is_some());
    }
    let has_its_name = at.is_absolute() && at.file_name() == place.file_name();
    Some(has_its_name && fs::metadata(link).ok()?.file_type().is_fifo() && is_open_for_both(link)?)
}

/// Whether what a link of a process's folder leads to is open for reading and writing.
fn is_open_for_both(link: &Path) -> Option<bool> {
    let about = link.parent()?.with_file_name("fdinfo").join(link.file_name()?);
    let about = fs::read_to_string(about).ok()?;
    let flags = about.lines().find_map(|line| line.strip_prefix("flags:"))?;
    Some(i32::from_str_radix(flags.trim(), 8).ok()? & libc::O_ACCMODE == libc::O_RDWR)
}

/// Removes the FIFO at a path.
pub fn remove_pipe(path: &Path) {
    // What is gone already is as it should be.
    let _ = fs::remove_file(path);
}

/// A new end of the FIFO at a path for a program to write into.
///
/// # Errors
/// When it is gone or cannot be opened.
pub fn open_program_end(path: &Path) -> io::Result<Arc<Descriptor>> {
    let end = open(path, OFlags::RDWR).map_err(context(format!("opening the pipe {}", path.display())))?;
    Ok(Arc::new(Descriptor(end)))
}

fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Waits until one of many pipes has something to read.
#[derive(Debug)]
pub struct Readers {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
}

/// Ends a wait from another thread.
#[derive(Debug, Clone)]
pub struct ReadWaker(Arc<OwnedFd>);

/// Stands for the waker among the tokens.
const WAKE: u64 = u64::MAX;
/// How many pipes one wait reports at most; the others come with the next.
const READY_MAX: usize = 256;

impl Readers {
    /// Nothing to wait for yet.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        Ok(Self { epoll, wake: Arc::new(wake) })
    }

    /// Something to end a wait with.
    #[must_use]
    pub fn waker(&self) -> ReadWaker {
        ReadWaker(Arc::clone(&self.wake))
    }

    /// Waits for this pipe too.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn add(&self, token: Token, pipe: &Pipe) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, &pipe.end, epoll::EventData::new_u64(token.0), epoll::EventFlags::IN)?)
    }

    /// Waits for this pipe no longer.
    pub fn remove(&self, pipe: &Pipe) {
        // A pipe that was not waited for is what was asked for.
        let _ = epoll::delete(&self.epoll, &pipe.end);
    }

    /// Waits for something to read or for the waker, and says which pipes have something.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&self, timeout: Option<std::time::Duration>, ready: &mut Vec<Token>) -> io::Result<()> {
        ready.clear();
        let timeout = timeout.map(|timeout| rustix::event::Timespec::try_from(timeout).unwrap_or(LONGEST));
        let mut events = Vec::with_capacity(READY_MAX);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            match event.data.u64() {
                WAKE => clear(&self.wake),
                token => ready.push(Token(token)),
            }
        }
        Ok(())
    }
}

const LONGEST: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 1 << 30, tv_nsec: 0 };

fn clear(eventfd: &OwnedFd) {
    // Non-blocking: nothing to read means it is clear already.
    let _ = rustix::io::read(eventfd, &mut [0_u8; 8]);
}

impl ReadWaker {
    /// Ends the wait.
    pub fn wake(&self) {
        // A counter that is full wakes as well.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn what_is_written_while_nobody_reads_is_read_by_the_next_who_opens_the_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let first = Pipe::open(&path, None).unwrap();
        let writer = first.program_end().unwrap();
        drop(first);
        rustix::io::write(writer.0.as_fd(), b"kept").unwrap();
        let next = Pipe::open(&path, None).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(next.read(&mut buffer).unwrap(), Some(4));
        assert_eq!(&buffer[..4], b"kept");
        assert_eq!(next.read(&mut buffer).unwrap(), None);
    }

    #[test]
    fn a_pipe_holds_more_once_it_was_widened_also_for_the_next_who_opens_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let size = |pipe: &Pipe| rustix::pipe::fcntl_getpipe_size(&pipe.end).unwrap();
        let pipe = Pipe::open(&path, None).unwrap();
        assert_eq!(size(&pipe), 64 * 1024);
        rustix::io::write(pipe.program_end().unwrap().0.as_fd(), b"kept").unwrap();
        pipe.widen();
        pipe.widen();
        assert_eq!(size(&pipe), PIPE_BYTES);
        let next = Pipe::open(&path, None).unwrap();
        assert_eq!((size(&next), next.waiting().unwrap()), (PIPE_BYTES, 4));
    }

    #[test]
    fn a_pipe_that_was_removed_is_found_at_the_program_that_writes_into_it() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
        let path = folder.path().join("link/out");
        let writer = Pipe::open(&path, None).unwrap().program_end().unwrap();
        let (me, number) = (std::process::id(), writer.0.as_raw_fd().cast_unsigned());
        assert!(Pipe::removed(&path, me, number).is_none(), "it is there");
        fs::remove_file(&path).unwrap();
        rustix::io::write(writer.0.as_fd(), b"kept").unwrap();
        let found = Pipe::removed(&path, me, number).unwrap();
        assert_eq!(found.read(&mut [0; 16]).unwrap(), Some(4));
        assert!(Pipe::removed(&folder.path().join("err"), me, number).is_none(), "it was another one");

        // As a shell does when something it writes itself goes elsewhere.
        let elsewhere = rustix::io::fcntl_dupfd_cloexec(writer.0.as_fd(), 0).unwrap();
        drop((writer, found));
        rustix::io::write(&elsewhere, b"kept").unwrap();
        let found = Pipe::removed(&path, me, number).unwrap();
        assert_eq!(found.read(&mut [0; 16]).unwrap(), Some(4));
    }

    #[test]
    fn a_pipe_whose_folder_was_moved_away_is_found_and_no_other_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let [there, aside, others] = ["there", "aside", "others"].map(|name| folder.path().join(name));
        [&there, &others].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let path = there.join("out");
        let writer = Pipe::open(&path, None).unwrap().program_end().unwrap();
        // A program may have a pipe of the same name, from elsewhere.
        let own = Pipe::open(&others.join("out"), None).unwrap();
        let own_end = open(&others.join("out"), OFlags::WRONLY).unwrap();
        drop(own);
        let (me, number) = (std::process::id(), writer.0.as_raw_fd().cast_unsigned());
        fs::rename(&there, &aside).unwrap();
        fs::create_dir(&there).unwrap();
        drop(Pipe::open(&path, None).unwrap());
        rustix::io::write(writer.0.as_fd(), b"kept").unwrap();
        let found = Pipe::removed(&path, me, number).unwrap();
        assert_eq!(found.read(&mut [0; 16]).unwrap(), Some(4));
        drop((writer, found));
        assert!(Pipe::removed(&path, me, own_end.as_raw_fd().cast_unsigned()).is_none(), "it is the program's");
    }

    #[test]
    fn a_wait_reports_what_has_something_to_read_and_can_be_ended() {
        let folder = tempfile::tempdir().unwrap();
        let pipes = ["a", "b"].map(|name| Pipe::open(&folder.path().join(name), None).unwrap());
        let readers = Readers::new().unwrap();
        for (number, pipe) in (0..).zip(&pipes) {
            readers.add(Token(number), pipe).unwrap();
        }
        rustix::io::write(pipes[1].program_end().unwrap().0.as_fd(), b"x").unwrap();
        let mut ready = Vec::new();
        readers.wait(None, &mut ready).unwrap();
        assert_eq!(ready, [Token(1)]);
        readers.remove(&pipes[1]);
        readers.waker().wake();
        readers.wait(None, &mut ready).unwrap();
        assert_eq!(ready, []);
    }

    #[test]
    fn something_else_in_the_pipes_place_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "a file").unwrap();
        let error = Pipe::open(&path, None).unwrap_err();
        assert!(error.to_string().contains("something else"), "{error}");
    }
}
