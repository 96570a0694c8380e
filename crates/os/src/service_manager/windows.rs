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
}

/// Writes down that this process was told to end: nobody asks for that here.
pub const fn note_told() {}
