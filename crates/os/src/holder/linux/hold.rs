//! The holder when the guard is gone.
//!
//! It answers every guard that asks, because that may be killed, too, and ends when another socket takes the place of its own,
//! or none does. What programs say meanwhile is heard: a full socket would have them wait.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, inotify};
use rustix::net::{SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::ledger::{self, Written};
use super::packet::{ANSWER_WITHIN, Held, PROCESSES_MAX, Said, send_end, send_processes, send_said};
use super::shadow::NAME;
use crate::handover::take as take_number;
use crate::notify_socket::NotifySocket;

/// What a program says beyond this while no guard is there is not kept. Most say one thing only, again and again.
const SAID_MAX: usize = 64;
/// What it says again and again.
const ALIVE: &[u8] = b"WATCHDOG=1";

/// What is held.
#[derive(Debug, Default)]
struct Store {
    processes: Vec<Held>,
    /// They lose what is in them when nobody holds them.
    pipes: Vec<OwnedFd>,
    sockets: Vec<Listening>,
}

/// A notify socket, and what was said over it.
#[derive(Debug)]
struct Listening {
    path: PathBuf,
    socket: NotifySocket,
    said: Vec<Said>,
}

/// Holds what the guard left until nobody can ask for it any more: the process began as a guard's second one, and executed
/// itself when that was gone. The arguments are the numbers of the ledger's and the socket's descriptors, the inode at the
/// socket's path, and that path.
///
/// # Errors
/// When nothing was left, or the system cannot.
pub fn hold(arguments: &[OsString]) -> io::Result<()> {
    let unknown = || io::Error::new(io::ErrorKind::InvalidInput, "only a guard knows how to start this");
    let [ledger, socket, inode, path] = arguments else { return Err(unknown()) };
    let number = |text: &OsString| text.to_str().and_then(|text| text.parse().ok());
    let (Some(ledger), Some(socket)) = (number(ledger), number(socket)) else { return Err(unknown()) };
    let inode = inode.to_str().and_then(|text| text.parse().ok()).ok_or_else(unknown)?;
    hold_these(ledger, socket, inode, Path::new(path))
}

fn hold_these(ledger: RawFd, socket: RawFd, inode: u64, path: &Path) -> io::Result<()> {
    let listener = take_number(socket)?;
    let rows = ledger::read(take_number(ledger)?)?;
    leave_everything()?;
    let mut store = Store { processes: rows.into_iter().filter_map(process).collect(), ..Store::default() };
    store.take_rest(path.parent().unwrap_or(path))?;
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let is_there = || fs::symlink_metadata(path).is_ok_and(|metadata| metadata.ino() == inode);
    if is_there() {
        // Its number of links changes when it is removed or replaced.
        inotify::add_watch(&watch, path, inotify::WatchFlags::ATTRIB | inotify::WatchFlags::MOVE_SELF)?;
        // It may be moved away with its folder, too, or with one above, as far as that may be watched.
        let folder = path.parent().unwrap_or(path);
        inotify::add_watch(&watch, folder, inotify::WatchFlags::MOVE_SELF)?;
        for above in fs::canonicalize(folder)?.ancestors().skip(1) {
            let _ = inotify::add_watch(&watch, above, inotify::WatchFlags::MOVE_SELF);
        }
    }
    while is_there() {
        let is_asked = wait(&listener, &watch, &store)?;
        store.listen();
        if is_asked {
            // Whoever asked and went away may ask again.
            let _ = answer(&listener, &store);
        }
        let mut events = [MaybeUninit::uninit(); 512];
        let mut reader = inotify::Reader::new(&watch, &mut events);
        while reader.next().is_ok() {}
    }
    Ok(())
}

/// Waits until something happens. Whether a guard asks.
fn wait(listener: &OwnedFd, watch: &OwnedFd, store: &Store) -> io::Result<bool> {
    let sockets = store.sockets.iter().map(|listening| listening.socket.as_fd());
    let awaited = [listener.as_fd(), watch.as_fd()].into_iter().chain(sockets);
    let mut awaited: Vec<PollFd<'_>> = awaited.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    match poll(&mut awaited, None) {
        Ok(_) => Ok(!awaited[0].revents().is_empty()),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whatever the guard was started with and in is not the holder's business.
fn leave_everything() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(rustix::thread::set_name(NAME)?)
}

fn process(row: Written) -> Option<Held> {
    let Written { place, run, pid, pidfd } = row;
    Some(Held { place, run, pid, pidfd: take_number(pidfd).ok()? })
}

impl Store {
    /// Takes the pipes and the notify sockets in a folder. What else is open was not closed by the exec because it never is,
    /// and belongs to nobody here.
    fn take_rest(&mut self, folder: &Path) -> io::Result<()> {
        // The system knows of pipes by paths without links.
        let real = fs::canonicalize(folder)?;
        let numbers: Vec<RawFd> =
            fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        for descriptor in numbers.into_iter().filter_map(|number| take_number(number).ok()) {
            if is_pipe_of(&descriptor, &real) {
                self.pipes.push(descriptor);
            } else if let Some(path) = notify_path(&descriptor).filter(|path| path.parent() == Some(folder)) {
                self.sockets.push(Listening { path, socket: NotifySocket::kept(descriptor)?, said: Vec::new() });
            }
        }
        Ok(())
    }

    /// Hears what programs say.
    fn listen(&mut self) {
        for Listening { path, socket, said } in &mut self.sockets {
            // One socket keeps no other waiting for long.
            for datagram in std::iter::from_fn(|| socket.receive()).take(SAID_MAX) {
                if datagram.bytes.trim_ascii() == ALIVE {
                    // The last time counts.
                    said.retain(|said| said.datagram.bytes.trim_ascii() != ALIVE);
                }
                if said.len() < SAID_MAX {
                    said.push(Said { socket: path.clone(), datagram });
                }
            }
        }
    }
}

fn is_pipe_of(descriptor: &OwnedFd, folder: &Path) -> bool {
    let is_pipe =
        rustix::fs::fstat(descriptor).is_ok_and(|about| FileType::from_raw_mode(about.st_mode) == FileType::Fifo);
    let link = || fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    is_pipe && link().is_ok_and(|link| link.starts_with(folder))
}

fn notify_path(descriptor: &OwnedFd) -> Option<PathBuf> {
    sockopt::socket_type(descriptor).ok().filter(|kind| *kind == SocketType::DGRAM)?;
    let address = SocketAddrUnix::try_from(rustix::net::getsockname(descriptor).ok()?).ok()?;
    Some(PathBuf::from(address.path()?.to_str().ok()?))
}

fn answer(listener: &OwnedFd, store: &Store) -> io::Result<()> {
    let socket = rustix::net::accept_with(listener, SocketFlags::CLOEXEC)?;
    let caller = sockopt::socket_peercred(&socket)?;
    if !caller.uid.is_root() && caller.uid != rustix::process::geteuid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(ANSWER_WITHIN))?;
    for processes in store.processes.chunks(PROCESSES_MAX) {
        send_processes(&socket, processes)?;
    }
    for said in store.sockets.iter().flat_map(|listening| &listening.said) {
        send_said(&socket, said)?;
    }
    send_end(&socket)
}

/// Ends the holder that the version before this one started, in this very process.
pub fn end_earlier(holder: &OwnedFd) {
    // If it has ended already, that is what was wanted.
    let _ = rustix::process::pidfd_send_signal(holder, rustix::process::Signal::KILL);
}
