//! The next guard, who asks for what was held.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::packet::{ANSWER_WITHIN, Held, Packet, Said, receive};
use crate::error::context;
use crate::holder::{HeldProcess, HeldRun};
use crate::notify_socket::Datagram;

/// What was held.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    processes: Vec<Held>,
    said: Vec<Said>,
}

impl Taken {
    /// What the version before in this very process has held.
    pub(crate) fn of(processes: Vec<(HeldProcess, OwnedFd)>) -> Self {
        let held = |(HeldProcess { place, run, pid }, pidfd)| Held { place, run, pid, pidfd };
        Self { processes: processes.into_iter().map(held).collect(), said: Vec::new() }
    }

    /// The descriptor of a process.
    pub(crate) fn pidfd(&self, place: u64, pid: u32) -> Option<BorrowedFd<'_>> {
        self.processes.iter().find(|held| held.place == place && held.pid == pid).map(|held| held.pidfd.as_fd())
    }

    /// The runs of a program from this one on, in their order.
    pub(crate) fn runs(&self, place: u64, from: u64) -> Vec<HeldRun> {
        let of = self.processes.iter().filter(|held| held.place == place && held.run >= from);
        let run = |held: &Held| {
            let ended = crate::system::platform::is_over(held.pidfd.as_fd());
            HeldRun { number: held.run, pid: held.pid, ended }
        };
        let mut runs: Vec<HeldRun> = of.map(run).collect();
        runs.sort_unstable_by_key(|run| run.number);
        runs
    }

    /// All processes.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (HeldProcess, BorrowedFd<'_>)> {
        self.processes.iter().map(|held| {
            let Held { place, run, pid, ref pidfd } = *held;
            (HeldProcess { place, run, pid }, pidfd.as_fd())
        })
    }

    /// Lets go of all but the processes that are needed.
    pub(crate) fn keep(&mut self, is_needed: impl Fn(u32) -> bool) {
        self.said.clear();
        self.processes.retain(|held| is_needed(held.pid));
    }

    /// What was said over the socket at this path.
    pub(crate) fn said(&mut self, socket: &Path) -> Vec<Datagram> {
        self.said.extract_if(.., |said| said.socket == socket).map(|said| said.datagram).collect()
    }
}

/// Asks the holder at this path, if there is one.
///
/// # Errors
/// When it does not answer, or not as a holder does.
pub(crate) fn take(path: &Path) -> io::Result<Taken> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    // One that stands still and has too many callers takes no more.
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(ANSWER_WITHIN))?;
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
    loop {
        match receive(&socket).map_err(context(format!("asking {}", path.display())))? {
            Packet::Processes(processes) => taken.processes.extend(processes),
            Packet::Said(said) => taken.said.push(said),
            Packet::End => return Ok(taken),
        }
    }
}
