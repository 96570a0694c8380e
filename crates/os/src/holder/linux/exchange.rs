//! The holder when the guard is gone, and the next guard, who asks it for what it holds.
//!
//! The holder sends packets of rows, each row with the descriptor of its process, and a packet of one byte at the end. It holds on:
//! the guard that asks may be killed, too. It ends when another socket takes the place of its own, or none does.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg, sockopt,
};

use super::ledger::{self, Written};
use super::shadow::NAME;
use crate::error::context;
use crate::handover::take as take_number;

/// So many descriptors go in one packet; the kernel's bound is 253.
const PACKET_ROWS_MAX: usize = 200;
/// A place, a run and a process.
const ROW_BYTES: usize = 20;
/// How long either waits for the other. A holder on a busy machine may not have executed itself yet.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What was held.
#[derive(Debug, Default)]
pub(crate) struct Taken(Vec<Held>);

/// One process of an earlier guard, that may have ended.
#[derive(Debug)]
struct Held {
    place: u64,
    run: u64,
    pid: u32,
    pidfd: OwnedFd,
}

impl Taken {
    /// The descriptor of a process.
    pub(crate) fn pidfd(&self, place: u64, pid: u32) -> Option<BorrowedFd<'_>> {
        self.0.iter().find(|held| held.place == place && held.pid == pid).map(|held| held.pidfd.as_fd())
    }

    /// The process of the latest run of a program, from this run on, if it has ended.
    pub(crate) fn ended(&self, place: u64, from: u64) -> Option<u32> {
        let latest =
            self.0.iter().filter(|held| held.place == place && held.run >= from).max_by_key(|held| held.run)?;
        crate::system::remembered_exit(latest.pidfd.as_fd()).map(|_| latest.pid)
    }
}

/// Asks the holder at this path, if there is one.
///
/// # Errors
/// When it does not answer, or not as a holder does.
pub(crate) fn take(path: &Path) -> io::Result<Taken> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    match SocketAddrUnix::new(path).and_then(|address| rustix::net::connect(&socket, &address)) {
        Ok(()) => {}
        // None was here, or it is gone as the guard is.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NAMETOOLONG) => {
            return Ok(Taken::default());
        }
        Err(error) => return Err(context(format!("connecting to {}", path.display()))(error.into())),
    }
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_WITHIN))?;
    let mut taken = Taken::default();
    while receive(socket.as_fd(), &mut taken).map_err(context(format!("asking {}", path.display())))? {}
    Ok(taken)
}

/// Takes one packet. Whether there are more.
fn receive(socket: BorrowedFd<'_>, taken: &mut Taken) -> io::Result<bool> {
    let mut bytes = [0; PACKET_ROWS_MAX * ROW_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PACKET_ROWS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let given = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        RecvAncillaryMessage::ScmCredentials(_) | _ => None,
    });
    let pidfds: Vec<OwnedFd> = given.flatten().collect();
    match received.bytes {
        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
        1 => return Ok(false),
        _ => {}
    }
    let rows: Vec<Held> =
        bytes[..received.bytes].chunks_exact(ROW_BYTES).zip(pidfds).map(|(row, pidfd)| held(row, pidfd)).collect();
    if rows.len() * ROW_BYTES != received.bytes {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet without its descriptors"));
    }
    taken.0.extend(rows);
    Ok(true)
}

fn held(row: &[u8], pidfd: OwnedFd) -> Held {
    let long = |at: usize| u64::from_ne_bytes(std::array::from_fn(|index| row[at + index]));
    let pid = u32::from_ne_bytes(std::array::from_fn(|index| row[16 + index]));
    Held { place: long(0), run: long(8), pid, pidfd }
}

fn packet(rows: &[Held]) -> Vec<u8> {
    let bytes = |row: &Held| {
        let (place, run, pid) = (row.place.to_ne_bytes(), row.run.to_ne_bytes(), row.pid.to_ne_bytes());
        place.into_iter().chain(run).chain(pid)
    };
    rows.iter().flat_map(bytes).collect()
}

/// Holds what the guard left under these numbers until nobody can ask for it any more: the process began as a guard's second
/// one, and executed itself when that was gone.
///
/// # Errors
/// When nothing was left, or the system cannot.
pub fn hold(ledger: RawFd, socket: RawFd, inode: u64, path: &Path) -> io::Result<()> {
    let listener = take_number(socket)?;
    let rows = ledger::read(take_number(ledger)?)?;
    leave_everything()?;
    let held: Vec<Held> = rows.into_iter().filter_map(pick_up).collect();
    // They lose what is in them when nobody holds them.
    let _pipes = take_pipes()?;
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let is_there = || fs::symlink_metadata(path).is_ok_and(|metadata| metadata.ino() == inode);
    if is_there() {
        // Its number of links changes when it is removed or replaced.
        inotify::add_watch(&watch, path, inotify::WatchFlags::ATTRIB | inotify::WatchFlags::MOVE_SELF)?;
    }
    while is_there() {
        let mut ready = [PollFd::new(&listener, PollFlags::IN), PollFd::new(&watch, PollFlags::IN)];
        poll(&mut ready, None)?;
        if ready[0].revents().contains(PollFlags::IN) {
            // Whoever asked and went away may ask again.
            let _ = answer(listener.as_fd(), &held);
        }
        let mut events = [MaybeUninit::uninit(); 512];
        let mut reader = inotify::Reader::new(&watch, &mut events);
        while reader.next().is_ok() {}
    }
    Ok(())
}

/// Ends the holder that the version before this one started, in this very process.
pub fn end_earlier(holder: &OwnedFd) {
    // If it has ended already, that is what was wanted.
    let _ = rustix::process::pidfd_send_signal(holder, rustix::process::Signal::KILL);
}

/// Whatever the guard was started with and in is not the holder's business.
fn leave_everything() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(rustix::thread::set_name(NAME)?)
}

fn pick_up(row: Written) -> Option<Held> {
    let Written { place, run, pid, pidfd } = row;
    Some(Held { place, run, pid, pidfd: take_number(pidfd).ok()? })
}

/// All pipes with a name. What else is open was not closed by the exec because it never is, and belongs to nobody here.
fn take_pipes() -> io::Result<Vec<OwnedFd>> {
    let open: Vec<RawFd> =
        fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    let left = open.into_iter().filter_map(|number| take_number(number).ok());
    Ok(left.filter(is_named_pipe).collect())
}

fn is_named_pipe(descriptor: &OwnedFd) -> bool {
    let is_pipe =
        rustix::fs::fstat(descriptor).is_ok_and(|about| FileType::from_raw_mode(about.st_mode) == FileType::Fifo);
    let link = || fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    is_pipe && link().is_ok_and(|link| link.is_absolute())
}

fn answer(listener: BorrowedFd<'_>, held: &[Held]) -> io::Result<()> {
    let socket = rustix::net::accept_with(listener, SocketFlags::CLOEXEC)?;
    let caller = sockopt::socket_peercred(&socket)?;
    if !caller.uid.is_root() && caller.uid != rustix::process::geteuid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(ANSWER_WITHIN))?;
    for rows in held.chunks(PACKET_ROWS_MAX) {
        let pidfds: Vec<BorrowedFd<'_>> = rows.iter().map(|row| row.pidfd.as_fd()).collect();
        send(&socket, &packet(rows), &pidfds)?;
    }
    send(&socket, &[0], &[])
}

fn send(socket: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PACKET_ROWS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}
