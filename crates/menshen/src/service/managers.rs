//! The service managers, one file each.
//!
//! What a manager is told is rendered on every operating system, so that it can be shown and tested on any. Only telling it
//! needs the real one.

pub mod scm;
pub mod systemd;

use super::manager::{ManagerError, ManagerKind, Scope, ServiceManager};

/// The manager of a kind, for the services of the machine or of the user who asks.
///
/// # Errors
/// When this operating system has no such manager, or the manager keeps no services of users.
pub fn of(kind: ManagerKind, scope: Scope) -> Result<Box<dyn ServiceManager>, ManagerError> {
    match kind {
        ManagerKind::Systemd => Ok(Box::new(systemd::Systemd::found(scope)?)),
        ManagerKind::Scm
        | ManagerKind::Launchd
        | ManagerKind::OpenRc
        | ManagerKind::SysV
        | ManagerKind::Runit
        | ManagerKind::S6
        | ManagerKind::Dinit
        | ManagerKind::FreeBsdRc => Err(ManagerError::Elsewhere { manager: kind }),
    }
}
