//! Sockets that came through an exec.

use std::io;
use std::net;
use std::os::fd::OwnedFd;

pub(in super::super) use menshen_activation::take::TakeError;
use menshen_activation::take::{self, Handed};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::sockopt::socket_type;
use rustix::net::{AddressFamily, SocketType, getsockname};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener};

use super::super::sockets::{Socket, SocketKind, Sockets, SocketsError};

/// Its descriptor.
pub(in super::super) type Descriptor = OwnedFd;

/// Those of this process, once.
pub(super) fn take() -> Result<Sockets, SocketsError> {
    let handed = take::take().map_err(SocketsError::Damaged)?;
    Ok(Sockets::new(handed.into_iter().map(|Handed { name, descriptor }| Socket { name, descriptor }).collect()))
}

pub(in super::super) fn of_listener(listener: net::TcpListener) -> Descriptor {
    listener.into()
}

pub(in super::super) fn tcp_listener(socket: Socket) -> Result<TcpListener, SocketsError> {
    let (name, socket) = (socket.name.clone(), expect(socket, SocketKind::TcpListener)?);
    TcpListener::from_std(socket.into()).map_err(|source| SocketsError::System { name, source })
}

pub(in super::super) fn udp_socket(socket: Socket) -> Result<UdpSocket, SocketsError> {
    let (name, socket) = (socket.name.clone(), expect(socket, SocketKind::Udp)?);
    UdpSocket::from_std(socket.into()).map_err(|source| SocketsError::System { name, source })
}

/// What only Unix has.
impl Socket {
    /// It as one that accepts local connections.
    ///
    /// # Errors
    /// When it is another kind.
    pub fn unix_listener(self) -> Result<UnixListener, SocketsError> {
        let (name, socket) = (self.name.clone(), expect(self, SocketKind::LocalListener)?);
        UnixListener::from_std(socket.into()).map_err(|source| SocketsError::System { name, source })
    }

    /// It as one for local datagrams.
    ///
    /// # Errors
    /// When it is another kind.
    pub fn unix_datagram(self) -> Result<UnixDatagram, SocketsError> {
        let (name, socket) = (self.name.clone(), expect(self, SocketKind::LocalDatagram)?);
        UnixDatagram::from_std(socket.into()).map_err(|source| SocketsError::System { name, source })
    }

    /// Its descriptor, for whatever else systemd hands over: a FIFO, a device, what the service had it keep.
    #[must_use]
    pub fn into_descriptor(self) -> OwnedFd {
        self.descriptor
    }
}

/// A socket of this kind, which nobody waits for within the runtime.
fn expect(socket: Socket, wanted: SocketKind) -> Result<OwnedFd, SocketsError> {
    let Socket { name, descriptor } = socket;
    if kind_of(&descriptor) != Some(wanted) {
        return Err(SocketsError::OtherKind { name, wanted });
    }
    match never_wait(&descriptor) {
        Ok(()) => Ok(descriptor),
        Err(source) => Err(SocketsError::System { name, source }),
    }
}

/// `None` for what is no socket, and for sockets that are nothing of these. Whether a listener listens is seen when it accepts.
fn kind_of(descriptor: &OwnedFd) -> Option<SocketKind> {
    let kind = socket_type(descriptor).ok()?;
    let family = getsockname(descriptor).ok()?.address_family();
    let is_ip = family == AddressFamily::INET || family == AddressFamily::INET6;
    match kind {
        SocketType::STREAM if is_ip => Some(SocketKind::TcpListener),
        SocketType::DGRAM if is_ip => Some(SocketKind::Udp),
        SocketType::STREAM if family == AddressFamily::UNIX => Some(SocketKind::LocalListener),
        SocketType::DGRAM if family == AddressFamily::UNIX => Some(SocketKind::LocalDatagram),
        _ => None,
    }
}

fn never_wait(descriptor: &OwnedFd) -> io::Result<()> {
    let flags = fcntl_getfl(descriptor)?;
    Ok(fcntl_setfl(descriptor, flags | OFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net as local;

    use super::*;

    fn socket(name: &str, descriptor: impl Into<OwnedFd>) -> Socket {
        Socket { name: name.to_owned(), descriptor: descriptor.into() }
    }

    fn rehearse<T>(play: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play)
    }

    #[test]
    fn each_is_taken_by_its_name_once_and_the_others_stay_in_order() {
        let file = || std::fs::File::open("/dev/null").unwrap();
        let mut sockets = Sockets::new(["web", "local", "web", "admin"].map(|name| socket(name, file())).into());
        assert_eq!(sockets.take("local").unwrap().name(), "local");
        assert!(sockets.take("local").is_none() && sockets.take("").is_none());
        assert!(sockets.take("web").is_some() && sockets.len() == 2);
        let names: Vec<String> = sockets.into_iter().map(|socket| socket.name().to_owned()).collect();
        assert_eq!(names, ["web", "admin"]);
    }

    #[test]
    fn a_socket_is_what_it_is_and_nothing_else() {
        rehearse(async {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            let tcp = net::TcpListener::bind("[::1]:0").or_else(|_| net::TcpListener::bind("127.0.0.1:0")).unwrap();
            let address = tcp.local_addr().unwrap();
            let listener = socket("web", tcp).tcp_listener().unwrap();
            let (_, accepted) = tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
            drop(accepted.unwrap());
            socket("dns", net::UdpSocket::bind("127.0.0.1:0").unwrap()).udp_socket().unwrap();
            socket("local", local::UnixListener::bind(path("a")).unwrap()).unix_listener().unwrap();
            socket("notes", local::UnixDatagram::bind(path("b")).unwrap()).unix_datagram().unwrap();

            let others = [
                socket("x", net::UdpSocket::bind("127.0.0.1:0").unwrap()),
                socket("x", local::UnixListener::bind(path("c")).unwrap()),
                socket("x", std::fs::File::open("/dev/null").unwrap()),
            ];
            for other in others {
                let refused = other.tcp_listener().unwrap_err();
                assert_eq!(refused.to_string(), "the socket 'x' that was handed over is no listener for TCP");
            }
            let refused = socket("x", net::TcpListener::bind("127.0.0.1:0").unwrap()).unix_listener().unwrap_err();
            assert!(matches!(refused, SocketsError::OtherKind { wanted: SocketKind::LocalListener, .. }), "{refused}");
        });
    }
}
