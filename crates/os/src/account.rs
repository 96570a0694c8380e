//! Users and groups.

#[cfg(unix)]
#[path = "account/unix.rs"]
pub(crate) mod platform;
#[cfg(windows)]
#[path = "account/windows.rs"]
pub(crate) mod platform;

use thiserror::Error;

pub use platform::{GroupId, Identity, User, UserId, current, find, group_id, identity};

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
    #[error("`{0}` is not available on this system: every service runs as the guard's own account")]
    Unavailable(&'static str),
}
