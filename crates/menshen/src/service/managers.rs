//! The service managers, one file each.
//!
//! What a manager is told is rendered on every operating system, so that it can be shown and tested on any. Only telling it
//! needs the real one.

pub mod dinit;
pub mod fact;
pub mod freebsd;
pub mod launchd;
pub mod openrc;
mod output;
mod refused;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod round_trip;
pub mod runit;
pub mod s6;
pub mod scm;
mod shell;
pub mod supervised;
pub mod systemd;
pub mod sysv;
mod tool;
mod variables;

use super::manager::{ManagerError, ManagerKind, Scope, ServiceManager};

/// The manager of a kind, for the services of the machine or of the user who asks.
///
/// # Errors
/// When this operating system has no such manager, or the manager keeps no services of users.
pub fn of(kind: ManagerKind, scope: Scope) -> Result<Box<dyn ServiceManager>, ManagerError> {
    let is_unix = std::env::consts::FAMILY == "unix";
    match kind {
        ManagerKind::Systemd => Ok(Box::new(systemd::Systemd::found(scope)?)),
        ManagerKind::Scm => Ok(Box::new(scm::Scm::found(scope)?)),
        ManagerKind::OpenRc => of_unix(kind, scope, openrc::OpenRc::new),
        ManagerKind::SysV => of_unix(kind, scope, sysv::SysV::new),
        ManagerKind::Runit => of_unix(kind, scope, || runit::Runit::new(runit::Places::found())),
        ManagerKind::Dinit => {
            hold_there(kind, is_unix)?;
            Ok(Box::new(dinit::Dinit::new(scope, dinit::Places::found(scope))))
        }
        ManagerKind::Launchd => {
            hold_there(kind, std::env::consts::OS == "macos")?;
            Ok(Box::new(launchd::Launchd::new(launchd::Domain::found(scope)?)))
        }
        ManagerKind::FreeBsdRc => {
            hold_there(kind, std::env::consts::OS == "freebsd")?;
            of_unix(kind, scope, freebsd::FreeBsdRc::new)
        }
        ManagerKind::S6 => of_unix(kind, scope, || s6::S6::new(s6::Places::found())),
    }
}

/// The manager of a kind as it is assumed where there is none to ask: it says what it honours, and shows what it would do for
/// services of the machine.
#[must_use]
pub fn assumed(kind: ManagerKind) -> Box<dyn ServiceManager> {
    match kind {
        ManagerKind::Systemd => Box::new(systemd::Systemd::assumed()),
        ManagerKind::Scm => Box::new(scm::Scm),
        ManagerKind::Launchd => Box::new(launchd::Launchd::new(launchd::Domain::System)),
        ManagerKind::OpenRc => Box::new(openrc::OpenRc::new()),
        ManagerKind::SysV => Box::new(sysv::SysV::new()),
        ManagerKind::Runit => Box::new(runit::Runit::new(runit::Places::usual())),
        ManagerKind::S6 => Box::new(s6::S6::new(s6::Places::usual())),
        ManagerKind::Dinit => Box::new(dinit::Dinit::new(Scope::System, dinit::Places::usual())),
        ManagerKind::FreeBsdRc => Box::new(freebsd::FreeBsdRc::new()),
    }
}

/// A manager of the machine's services on systems like Unix.
fn of_unix<Manager: ServiceManager + 'static>(
    kind: ManagerKind,
    scope: Scope,
    manager: impl FnOnce() -> Manager,
) -> Result<Box<dyn ServiceManager>, ManagerError> {
    hold_there(kind, std::env::consts::FAMILY == "unix")?;
    match scope {
        Scope::System => Ok(Box::new(manager())),
        Scope::User => Err(ManagerError::NoSuchScope { manager: kind, scope }),
    }
}

fn hold_there(kind: ManagerKind, is_there: bool) -> Result<(), ManagerError> {
    if is_there { Ok(()) } else { Err(ManagerError::Elsewhere { manager: kind }) }
}
