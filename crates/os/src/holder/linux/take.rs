//! The next guard, who asks for what was held.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::packet::{ANSWER_WITHIN, Held, Packet, Said, receive};
use crate::error::context;
use crate::notify_socket::Datagram;

/// What was held.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    processes: Vec<Held>,
    said: Vec<Said>,
}

impl Taken {
    /// The descriptor of a process.
    pub(crate) fn pidfd(&self, place: u64, pid: u32) -> Option<BorrowedFd<'_>> {
        self.processes.iter().find(|held| held.place == place && held.pid == pid).map(|held| held.pidfd.as_fd())
    }

    /// The process of the latest run of a program, from this run on, if it has ended.
    pub(crate) fn ended(&self, place: u64, from: u64) -> Option<u32> {
        let runs = self.processes.iter().filter(|held| held.place == place && held.run >= from);
        let latest = runs.max_by_key(|held| held.run)?;
        crate::system::remembered_exit(latest.pidfd.as_fd()).map(|_| latest.pid)
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
