//! The systemd journal's socket.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// Room for entries the journal has not taken yet, in bytes; what its own library asks for.
const SEND_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Sends entries in the journal's native protocol.
#[derive(Debug)]
pub struct JournalSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl JournalSocket {
    /// Where the journal listens.
    pub const PATH: &str = "/run/systemd/journal/socket";

    /// Ready to send to the journal at a path, whether or not it is there yet.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new(path: PathBuf) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        // A smaller buffer holds less.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER_BYTES);
        Ok(Self { socket, path })
    }

    /// Sends one entry; never waits.
    ///
    /// # Errors
    /// When the journal is not there or does not keep up.
    pub fn send(&self, entry: &[u8]) -> io::Result<()> {
        self.socket.send_to(entry, &self.path).map(|_| ())
    }
}
