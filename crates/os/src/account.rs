//! Users and groups.

#[cfg(unix)]
#[path = "account/unix.rs"]
mod platform;

use std::path::PathBuf;

use thiserror::Error;

pub use platform::{current, find, group_id, groups_of, identity};

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Number.
    pub uid: u32,
    /// Number of its main group.
    pub gid: u32,
    /// Name.
    pub name: String,
    /// Home folder.
    pub home: PathBuf,
    /// Shell.
    pub shell: PathBuf,
}

/// An account that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccountError {
    /// No such user.
    #[error("this machine has no user '{0}'")]
    NoSuchUser(String),
    /// No such group.
    #[error("this machine has no group '{0}'")]
    NoSuchGroup(String),
    /// A user given by a number without an entry has no group of its own.
    #[error("user {0} has no entry, so `group` must be given too")]
    NoGroup(u32),
}
