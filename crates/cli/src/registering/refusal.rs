//! What somebody who registers services may not or cannot do.

use std::io::{Error, ErrorKind};
use std::path::Path;

use menshen_os::error::describe;

use crate::failure::{Exit, Failure};

/// Something the caller may not do, with what there is instead.
pub(crate) fn denied(what: impl Into<String>) -> Failure {
    Failure::new(Exit::NotPermitted, what)
        .help("services of the machine are root's to change; `--user` installs one of your own")
}

/// A file or folder with which something, such as `writing`, did not work.
pub(crate) fn unusable(what: &'static str, path: &Path, error: &Error) -> Failure {
    let told = format!("{what} {}: {}", path.display(), describe(error));
    if error.kind() == ErrorKind::PermissionDenied { denied(told) } else { Failure::new(Exit::Failed, told) }
}
