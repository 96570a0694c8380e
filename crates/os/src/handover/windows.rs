//! On Windows no process can go on as another program: the next guard is another process, which adopts.

use std::io;
use std::os::windows::io::OwnedHandle;
use std::path::PathBuf;

/// Something that was kept, in the hands of the next program.
pub type Kept = OwnedHandle;

/// Why no process can go on as another program here; `None` where it can.
#[must_use]
pub const fn why_not() -> Option<&'static str> {
    Some(
        "on Windows a guard cannot go on as another program: `menshen down --leave` ends it alone, and the other version, \
         started with `menshen up`, takes over what runs",
    )
}

/// The program that this process is.
#[must_use]
pub fn myself() -> PathBuf {
    std::env::current_exe().unwrap_or_default()
}

/// What the next program of this process gets: nothing, for there is none.
#[derive(Debug, Default)]
pub struct Keep(());

impl Keep {
    /// Keeps nothing.
    ///
    /// # Errors
    /// Always.
    pub fn add<T>(&mut self, _kept: &T) -> io::Result<i32> {
        Err(nobody())
    }

    /// Keeps nothing.
    ///
    /// # Errors
    /// Always.
    pub fn add_bytes(&mut self, _bytes: &[u8]) -> io::Result<i32> {
        Err(nobody())
    }
}

/// Takes nothing.
///
/// # Errors
/// Always.
pub fn take(_number: i32) -> io::Result<Kept> {
    Err(nobody())
}

/// Takes nothing.
///
/// # Errors
/// Always.
pub fn take_bytes(_number: i32) -> io::Result<Vec<u8>> {
    Err(nobody())
}

pub(crate) fn nobody() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why_not().unwrap_or_default())
}
