//! Descriptors over an exec.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use super::Way;

/// Standard input, output and error are everybody's.
const FIRST_OWN: i32 = 3;

/// Something that was kept, in the hands of the next program.
pub type Kept = OwnedFd;

/// A process can execute another program.
#[must_use]
pub const fn way() -> Way {
    Way::SameProcess
}

/// A terminal is its children's, too.
pub(super) const fn keep_console(_command: &mut Command) {}

/// The program that this process is.
#[must_use]
pub fn myself() -> PathBuf {
    "/proc/self/exe".into()
}

/// What the next program of this process gets. Until then every program started gets it, too, so it is the last thing made.
#[derive(Debug, Default)]
pub struct Keep(Vec<OwnedFd>);

impl Keep {
    /// Keeps a descriptor; the number under which the next program finds it.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn add(&mut self, descriptor: &impl AsFd) -> io::Result<i32> {
        let kept = fcntl_dupfd_cloexec(descriptor, FIRST_OWN)?;
        fcntl_setfd(&kept, FdFlags::empty())?;
        let number = kept.as_raw_fd();
        self.0.push(kept);
        Ok(number)
    }

    /// Keeps bytes, for [`take_bytes`].
    ///
    /// # Errors
    /// When the system has no descriptors or memory left.
    pub fn add_bytes(&mut self, bytes: &[u8]) -> io::Result<i32> {
        self.add(&crate::memory::platform::file("handover", bytes)?)
    }
}

/// Takes what the program before kept under this number. It is there once: nothing else of this process has that number.
///
/// # Errors
/// When nothing was kept under it.
#[expect(unsafe_code, reason = "a number becomes a descriptor again")]
pub fn take(number: i32) -> io::Result<Kept> {
    let nothing = || io::Error::new(io::ErrorKind::NotFound, format!("nothing was kept under number {number}"));
    if number < FIRST_OWN {
        return Err(nothing());
    }
    // SAFETY: reading the flags of any number is harmless. What this program opens by itself is closed by an exec, and what
    // was taken is, too; so an open number that is not was kept for us, and nobody has taken it yet.
    let taken = unsafe {
        let flags = libc::fcntl(number, libc::F_GETFD);
        if flags < 0 || flags & libc::FD_CLOEXEC != 0 {
            return Err(nothing());
        }
        OwnedFd::from_raw_fd(number)
    };
    fcntl_setfd(&taken, FdFlags::CLOEXEC)?;
    Ok(taken)
}

/// Takes bytes that were kept under this number.
///
/// # Errors
/// When none were.
pub fn take_bytes(number: i32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::from(take(number)?).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn what_is_kept_is_taken_once() {
        let mut keep = Keep::default();
        let number = keep.add_bytes(b"from one to the next").unwrap();
        // As after an exec: nobody owns the number.
        keep.0.drain(..).for_each(|kept| _ = std::os::fd::IntoRawFd::into_raw_fd(kept));
        assert_eq!(take_bytes(number).unwrap(), b"from one to the next");
        assert!(take(number).is_err(), "it was taken");
    }

    #[test]
    fn what_was_not_kept_cannot_be_taken() {
        let own = File::open("/dev/null").unwrap();
        let free = fcntl_dupfd_cloexec(own.as_fd(), 500).unwrap().as_raw_fd();
        for number in [-1, 0, 2, free, own.as_raw_fd()] {
            assert_eq!(take(number).unwrap_err().kind(), io::ErrorKind::NotFound, "{number}");
        }
    }
}
