//! Nothing is to be done here alone.

use std::io;
use std::process::ExitCode;

/// What these words mean here; `None` for those that mean nothing.
pub(crate) fn act(_words: &[&str]) -> Option<io::Result<ExitCode>> {
    None
}
