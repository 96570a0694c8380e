//! What the holder and the next guard say to each other: packets, each with the descriptors it is about.

use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use crate::account::UserId;
use crate::notify_socket::Datagram;
use crate::output::Descriptor;

/// How long either waits for the other. A holder on a busy machine may not have executed itself yet.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// So many descriptors go in one packet; the kernel's bound is 253, and that of a notify message, too.
const DESCRIPTORS_MAX: usize = 253;
/// So many processes go in one packet.
pub(super) const PROCESSES_MAX: usize = 200;
/// A place, a run and a process.
const PROCESS_BYTES: usize = 20;
/// More than the longest packet: what was said over a notify socket, with the socket's path.
const PACKET_BYTES_MAX: usize = 16 * 1024;

/// One process of an earlier guard, that may have ended.
#[derive(Debug)]
pub(super) struct Held {
    pub place: u64,
    pub run: u64,
    pub pid: u32,
    pub pidfd: OwnedFd,
}

/// What was said over a notify socket while no guard was there to hear it.
#[derive(Debug)]
pub(super) struct Said {
    /// The path of the socket.
    pub socket: PathBuf,
    pub datagram: Datagram,
}

/// One packet.
#[derive(Debug)]
pub(super) enum Packet {
    Processes(Vec<Held>),
    Said(Said),
    End,
}

/// What a packet begins with.
mod kind {
    pub(super) const PROCESSES: u8 = b'P';
    pub(super) const SAID: u8 = b'S';
    pub(super) const END: u8 = b'E';
}

/// Sends processes, at most [`PROCESSES_MAX`].
pub(super) fn send_processes(socket: &OwnedFd, held: &[Held]) -> io::Result<()> {
    let bytes = |held: &Held| {
        let (place, run, pid) = (held.place.to_ne_bytes(), held.run.to_ne_bytes(), held.pid.to_ne_bytes());
        place.into_iter().chain(run).chain(pid)
    };
    let bytes: Vec<u8> = [kind::PROCESSES].into_iter().chain(held.iter().flat_map(bytes)).collect();
    send(socket, &bytes, &held.iter().map(|held| held.pidfd.as_fd()).collect::<Vec<_>>())
}

/// Sends what was said.
pub(super) fn send_said(socket: &OwnedFd, said: &Said) -> io::Result<()> {
    let Datagram { bytes, is_cut, pid, user, descriptors } = &said.datagram;
    let path = said.socket.as_os_str().as_bytes();
    let length = u16::try_from(path.len()).map_err(|_| io::ErrorKind::InvalidFilename)?;
    let mut packet = vec![kind::SAID, u8::from(*is_cut)];
    packet.extend(pid.to_ne_bytes().into_iter().chain(user.0.to_ne_bytes()).chain(length.to_ne_bytes()));
    packet.extend(path.iter().chain(bytes));
    send(socket, &packet, &descriptors.iter().map(AsFd::as_fd).collect::<Vec<_>>())
}

/// Says that this was all.
pub(super) fn send_end(socket: &OwnedFd) -> io::Result<()> {
    send(socket, &[kind::END], &[])
}

fn send(socket: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more descriptors than go in one packet"));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for a packet.
pub(super) fn receive(socket: &OwnedFd) -> io::Result<Packet> {
    let mut bytes = vec![0; PACKET_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let given = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        RecvAncillaryMessage::ScmCredentials(_) | _ => None,
    });
    let descriptors: Vec<OwnedFd> = given.flatten().collect();
    let unknown = || io::Error::new(io::ErrorKind::InvalidData, "not what a holder says");
    match bytes[..received.bytes].split_first().ok_or(io::ErrorKind::UnexpectedEof)? {
        (&kind::PROCESSES, rest) => processes(rest, descriptors).map(Packet::Processes).ok_or_else(unknown),
        (&kind::SAID, rest) => said(rest, descriptors).map(Packet::Said).ok_or_else(unknown),
        (&kind::END, []) => Ok(Packet::End),
        _ => Err(unknown()),
    }
}

fn processes(bytes: &[u8], pidfds: Vec<OwnedFd>) -> Option<Vec<Held>> {
    let process = |(mut bytes, pidfd): (&[u8], OwnedFd)| {
        let (place, run) = (u64::from_ne_bytes(take(&mut bytes)?), u64::from_ne_bytes(take(&mut bytes)?));
        Some(Held { place, run, pid: u32::from_ne_bytes(take(&mut bytes)?), pidfd })
    };
    (bytes.len() == pidfds.len() * PROCESS_BYTES)
        .then(|| bytes.chunks_exact(PROCESS_BYTES).zip(pidfds).map(process).collect())?
}

fn said(mut bytes: &[u8], descriptors: Vec<OwnedFd>) -> Option<Said> {
    let [is_cut] = take(&mut bytes)?;
    let (pid, user) = (u32::from_ne_bytes(take(&mut bytes)?), u32::from_ne_bytes(take(&mut bytes)?));
    let length = u16::from_ne_bytes(take(&mut bytes)?);
    let (path, bytes) = bytes.split_at_checked(usize::from(length))?;
    let descriptors = descriptors.into_iter().map(Descriptor::from).collect();
    let datagram = Datagram { bytes: bytes.to_vec(), is_cut: is_cut != 0, pid, user: UserId(user), descriptors };
    Some(Said { socket: OsStr::from_bytes(path).into(), datagram })
}

/// Takes the first of the bytes.
fn take<const COUNT: usize>(bytes: &mut &[u8]) -> Option<[u8; COUNT]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn descriptor() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn what_is_sent_is_received() {
        let (holder, guard) = pair();
        let held: Vec<Held> =
            (1..=3).map(|number| Held { place: number << 40, run: number, pid: 7, pidfd: descriptor() }).collect();
        send_processes(&holder, &held).unwrap();
        let bytes = vec![b'x'; 4096];
        let datagram =
            Datagram { bytes, is_cut: true, pid: 5, user: UserId(6), descriptors: vec![descriptor().into()] };
        send_said(&holder, &Said { socket: "/run/a".into(), datagram }).unwrap();
        send_end(&holder).unwrap();
        let Packet::Processes(processes) = receive(&guard).unwrap() else { panic!("processes came first") };
        let rows: Vec<_> = processes.iter().map(|held| (held.place, held.run, held.pid)).collect();
        assert_eq!(rows, [(1 << 40, 1, 7), (2 << 40, 2, 7), (3 << 40, 3, 7)]);
        let Packet::Said(Said { socket, datagram }) = receive(&guard).unwrap() else { panic!("then what was said") };
        assert_eq!(socket, PathBuf::from("/run/a"));
        assert_eq!((datagram.bytes.len(), datagram.is_cut, datagram.pid, datagram.user), (4096, true, 5, UserId(6)));
        assert_eq!(datagram.descriptors.len(), 1);
        assert!(matches!(receive(&guard).unwrap(), Packet::End));
    }

    #[test]
    fn what_no_holder_says_is_refused() {
        let (holder, guard) = pair();
        for bytes in [b"X".as_slice(), b"E ", b"P123", b"S", b"S\0\0\0\0\0\0\0\0\0\xff\xff"] {
            send(&holder, bytes, &[]).unwrap();
            assert_eq!(receive(&guard).unwrap_err().kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        drop(holder);
        assert_eq!(receive(&guard).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
