//! No manager hands sockets over on Windows; only a rehearsal does.

use std::convert::Infallible;
use std::net;

use tokio::net::{TcpListener, UdpSocket};

use super::super::sockets::{Socket, SocketKind, SocketsError};

/// What a rehearsal hands over.
pub(in super::super) type Descriptor = net::TcpListener;
/// Nothing is taken that could be damaged.
pub(in super::super) type TakeError = Infallible;

pub(in super::super) const fn of_listener(listener: net::TcpListener) -> Descriptor {
    listener
}

pub(in super::super) fn tcp_listener(socket: Socket) -> Result<TcpListener, SocketsError> {
    let Socket { name, descriptor } = socket;
    let listener = descriptor.set_nonblocking(true).and_then(|()| TcpListener::from_std(descriptor));
    listener.map_err(|source| SocketsError::System { name, source })
}

pub(in super::super) fn udp_socket(socket: Socket) -> Result<UdpSocket, SocketsError> {
    Err(SocketsError::OtherKind { name: socket.name, wanted: SocketKind::Udp })
}
