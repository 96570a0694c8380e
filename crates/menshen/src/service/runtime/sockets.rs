//! Sockets that a service's manager has opened for it.

use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};

use super::platform::sockets as platform;

/// What a service's manager has opened for it before it ran, by the names that the manager has for them: those of a registration's
/// [`sockets`](crate::service::registration::Registration::sockets), or what a socket unit of systemd's says in
/// `FileDescriptorName=`. Several may have one name.
///
/// Of the managers systemd hands sockets over in this way, and so does whatever else sets `LISTEN_PID`, `LISTEN_FDS` and
/// `LISTEN_FDNAMES`. launchd has a call of its own for it, which this is not; all others have nothing of the kind. There, as where
/// somebody starts the program by hand, the set is empty, and the program opens its sockets itself.
///
/// ```no_run
/// # use menshen::service::{Context, Failure};
/// # async fn run(mut context: Context) -> Result<(), Failure> {
/// let listener = match context.sockets()?.take("web") {
///     Some(socket) => socket.tcp_listener()?,
///     None => tokio::net::TcpListener::bind("127.0.0.1:8080").await?,
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Sockets(Vec<Socket>);

impl Sockets {
    pub(super) const fn new(sockets: Vec<Socket>) -> Self {
        Self(sockets)
    }

    /// What a manager would have opened, for an author's tests: see [`Rehearsal::handing`](super::rehearsal::Rehearsal::handing).
    #[must_use]
    pub fn of_listeners<N: Into<String>>(listeners: impl IntoIterator<Item = (N, std::net::TcpListener)>) -> Self {
        let socket = |(name, listener): (N, std::net::TcpListener)| Socket {
            name: name.into(),
            descriptor: platform::of_listener(listener),
        };
        Self::new(listeners.into_iter().map(socket).collect())
    }

    /// Takes the first of this name. What is not taken is closed with the set, here; the manager keeps its own.
    pub fn take(&mut self, name: &str) -> Option<Socket> {
        let index = self.0.iter().position(|socket| socket.name == name)?;
        Some(self.0.remove(index))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// In the order of the manager.
impl IntoIterator for Sockets {
    type Item = Socket;
    type IntoIter = std::vec::IntoIter<Socket>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A socket that was handed over. Programs that are executed do not inherit it. It becomes one of tokio's, within whose runtime
/// the service is.
#[derive(Debug)]
pub struct Socket {
    pub(super) name: String,
    pub(super) descriptor: platform::Descriptor,
}

impl Socket {
    /// What the manager calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It as one that accepts TCP connections.
    ///
    /// # Errors
    /// When it is another kind.
    pub fn tcp_listener(self) -> Result<TcpListener, SocketsError> {
        platform::tcp_listener(self)
    }

    /// It as one for UDP.
    ///
    /// # Errors
    /// When it is another kind.
    pub fn udp_socket(self) -> Result<UdpSocket, SocketsError> {
        platform::udp_socket(self)
    }
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketKind {
    /// It accepts TCP connections.
    TcpListener,
    /// It is for UDP.
    Udp,
    /// It accepts local connections.
    LocalListener,
    /// It is for local datagrams.
    LocalDatagram,
}

impl std::fmt::Display for SocketKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::TcpListener => "listener for TCP",
            Self::Udp => "socket for UDP",
            Self::LocalListener => "local listener",
            Self::LocalDatagram => "local socket for datagrams",
        })
    }
}

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum SocketsError {
    /// What the manager says that it has handed over is not so.
    #[error("what the service manager handed over cannot be taken")]
    Damaged(#[source] platform::TakeError),
    /// It is for something else.
    #[error("the socket '{name}' that was handed over is no {wanted}")]
    OtherKind {
        /// What it is called.
        name: String,
        /// What it was to be.
        wanted: SocketKind,
    },
    /// The system refuses.
    #[error("the socket '{name}' that was handed over cannot be used")]
    System {
        /// What it is called.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
