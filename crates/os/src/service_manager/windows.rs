//! On Windows no manager listens on a socket of the environment; the service control manager calls the program it has started.

use std::io;

/// See the module.
#[derive(Debug)]
pub enum ServiceManager {}

impl ServiceManager {
    /// The manager that wants to be told; there is none.
    ///
    /// # Errors
    /// Never.
    pub const fn of_environment() -> io::Result<Option<Self>> {
        Ok(None)
    }

    /// Tells it something.
    ///
    /// # Errors
    /// Never.
    pub const fn tell(&self, _message: &str) -> io::Result<()> {
        match *self {}
    }

    /// The same without waiting for it.
    ///
    /// # Errors
    /// Never.
    pub const fn mention(&self, _message: &str) -> io::Result<()> {
        match *self {}
    }
}

/// How often the manager wants to hear that this process lives; it never asks.
#[must_use]
pub const fn watchdog() -> Option<std::time::Duration> {
    None
}

/// Writes down that this process was told to end: nobody asks for that here.
pub const fn note_told() {}
