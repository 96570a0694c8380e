//! A datagram socket that is told the sender's credentials.

use std::fs;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg, sockopt};

use super::Datagram;
use crate::account::UserId;
use crate::error::context;
use crate::handover::Kept;
use crate::output::Descriptor;

/// The longest message taken, in bytes; systemd's own bound. What is longer is cut.
const MESSAGE_BYTES_MAX: usize = 4096;
/// The most descriptors one message may bring; the kernel's own bound (`SCM_MAX_FD`).
const DESCRIPTORS_MAX: usize = 253;

/// The guard's end.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
}

impl NotifySocket {
    /// Binds the socket at a path, in the place of what an earlier guard left there. Any program may write to it: who it
    /// was is told by the kernel with each message.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let what = || context(format!("binding the notify socket {}", path.display()));
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(what()(error)),
        }
        let socket = UnixDatagram::bind(path).map_err(what())?;
        socket.set_nonblocking(true).map_err(what())?;
        sockopt::set_socket_passcred(&socket, true).map_err(io::Error::from).map_err(what())?;
        crate::file::platform::set_group_access(path, 0o666, None).map_err(what())?;
        Ok(Self { socket })
    }

    /// The socket that the program before this one had, in the same process: what was said since waits there.
    ///
    /// # Errors
    /// When it is no socket.
    pub fn kept(descriptor: Kept) -> io::Result<Self> {
        let socket = UnixDatagram::from(descriptor);
        sockopt::set_socket_passcred(&socket, true).map_err(io::Error::from)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Where it is bound.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.socket.local_addr().ok()?.as_pathname().map(Path::to_owned)
    }

    /// The next message, if there is one.
    pub(crate) fn receive(&self) -> Option<Datagram> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX), ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags).ok()?;
        bytes.truncate(received.bytes);
        let is_cut = received.flags.contains(ReturnFlags::TRUNC);
        let mut datagram = Datagram { bytes, is_cut, pid: 0, user: UserId(u32::MAX), descriptors: Vec::new() };
        for message in ancillary.drain() {
            match message {
                RecvAncillaryMessage::ScmCredentials(sender) => {
                    datagram.pid = u32::try_from(sender.pid.as_raw_nonzero().get()).unwrap_or(0);
                    datagram.user = UserId(sender.uid.as_raw());
                }
                RecvAncillaryMessage::ScmRights(descriptors) => {
                    datagram.descriptors.extend(descriptors.map(|descriptor: OwnedFd| Descriptor(descriptor)));
                }
                _ => {}
            }
        }
        Some(datagram)
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_with_its_senders_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = NotifySocket::bind(&path).unwrap();
        assert!(socket.receive().is_none());
        let program = UnixDatagram::unbound().unwrap();
        program.send_to(b"READY=1", &path).unwrap();
        let datagram = socket.receive().unwrap();
        assert_eq!(datagram.bytes, b"READY=1");
        assert_eq!(datagram.pid, std::process::id());
    }

    #[test]
    fn what_an_earlier_guard_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        drop(NotifySocket::bind(&path).unwrap());
        assert!(NotifySocket::bind(&path).is_ok());
    }

    #[test]
    fn a_message_that_is_too_long_is_known_to_be_cut_and_an_empty_one_is_a_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = NotifySocket::bind(&path).unwrap();
        let program = UnixDatagram::unbound().unwrap();
        program.send_to(&[b'x'; 10_000], &path).unwrap();
        let cut = socket.receive().unwrap();
        assert!(cut.is_cut && cut.bytes.len() == MESSAGE_BYTES_MAX);
        program.send_to(&[b'x'; MESSAGE_BYTES_MAX], &path).unwrap();
        let whole = socket.receive().unwrap();
        assert!(!whole.is_cut && whole.bytes.len() == MESSAGE_BYTES_MAX);
        program.send_to(b"", &path).unwrap();
        assert_eq!(socket.receive().unwrap().bytes, b"");
    }
}
