//! What the kernel says.

use std::ffi::OsString;

use rustix::process::{Resource, getrlimit};

use super::Kind;

/// The kind of system this is.
pub const KIND: Kind = Kind::Unix;

/// The machine's name, for people.
#[must_use]
pub fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// How many file descriptors this process may have.
#[must_use]
pub fn descriptors_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The environment of this process.
pub fn variables() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}
