//! Steps of what only one manager has.

mod systemd;

use menshen::service::ManagerKind;

use crate::suite::Steps;

/// Those of a manager.
pub(crate) fn of(kind: ManagerKind) -> Steps {
    match kind {
        ManagerKind::Systemd => systemd::STEPS,
        ManagerKind::Scm
        | ManagerKind::Launchd
        | ManagerKind::OpenRc
        | ManagerKind::SysV
        | ManagerKind::Runit
        | ManagerKind::S6
        | ManagerKind::Dinit
        | ManagerKind::FreeBsdRc => &[],
    }
}
