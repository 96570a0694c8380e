//! Windows has no such sockets.

use std::io;
use std::path::Path;

use crate::handover::Kept;

/// The guard's end; there is none.
#[derive(Debug)]
pub enum NotifySocket {}

impl NotifySocket {
    /// Binds nothing.
    ///
    /// # Errors
    /// Always.
    pub fn bind(_path: &Path) -> io::Result<Self> {
        Err(unavailable())
    }

    /// Takes nothing over.
    ///
    /// # Errors
    /// Always.
    pub fn kept(_socket: Kept) -> io::Result<Self> {
        Err(unavailable())
    }
}

fn unavailable() -> io::Error {
    let why = "Windows has no notify sockets: `notify = {}` as a probe cannot be answered there";
    io::Error::new(io::ErrorKind::Unsupported, why)
}
