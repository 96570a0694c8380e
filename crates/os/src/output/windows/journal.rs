//! There is no systemd journal on Windows.

use std::io;
use std::path::PathBuf;

/// Sends entries to the journal; there is none.
#[derive(Debug)]
pub enum JournalSocket {}

impl JournalSocket {
    /// Where it would be: nowhere.
    pub const PATH: &str = "";

    /// Finds nothing to send to.
    ///
    /// # Errors
    /// Always.
    pub fn new(_path: PathBuf) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "there is no systemd journal on Windows"))
    }

    /// Sends one entry.
    ///
    /// # Errors
    /// Never.
    pub const fn send(&self, _entry: &[u8]) -> io::Result<()> {
        match *self {}
    }
}
