//! Users and groups.

mod name;
#[cfg(unix)]
#[path = "account/unix.rs"]
pub(crate) mod platform;
#[cfg(windows)]
#[path = "account/windows.rs"]
pub(crate) mod platform;

use std::fmt;

use thiserror::Error;

pub use name::{BadName, Domain, WindowsName};
pub use platform::{GroupId, Identity, User, UserId, current, find, group_id, identity, logon_of};

/// Whom something is to run as.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The user; the guard's own without it.
    pub user: Option<&'a str>,
    /// The user's password.
    pub password: Option<&'a Password>,
    /// The group; the user's own without it.
    pub group: Option<&'a str>,
    /// Supplementary groups; those of the user without it.
    pub groups: Option<&'a [String]>,
}

/// A password, which nothing shows by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

/// What it takes to run something as somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logon {
    /// Nothing: it is whom the guard runs as.
    Own,
    /// The guard's own rights. There is no password.
    Rights,
    /// Its password, besides them.
    Password,
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
    /// This system has no such thing.
    #[error("`{0}` is not available on this system")]
    Unavailable(&'static str),
    /// A password that belongs to nobody.
    #[error("`password` says nothing without `user`")]
    NoUser,
    /// A user of Windows has a password.
    #[error("running something as '{0}' takes its password: `password`")]
    NeedsPassword(String),
    /// Other accounts have none.
    #[error("'{0}' has no password; `password` must be left out")]
    HasNoPassword(String),
    /// Nobody can become LocalSystem.
    #[error("only a guard that runs as LocalSystem itself can run something as LocalSystem")]
    NotLocalSystem,
}
