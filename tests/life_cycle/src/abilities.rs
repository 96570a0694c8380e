//! A row for each manager: how the sample speaks to it, and what it cannot do.
//!
//! Which options of a registration a manager honours is not here: the suite asks it.

use std::path::PathBuf;

use menshen::service::registration::Protocol;
use menshen::service::{ManagerKind, Scope, State};

/// What a manager can do, as far as the trait does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Which manager.
    pub kind: ManagerKind,
    /// How the sample tells it what it is doing.
    pub protocol: Protocol,
    /// Whether a service can be paused.
    pub pause: Pause,
    /// Who ends the children of a service that is stopped.
    pub tree: Tree,
    /// Who starts again what ended by itself, where the registration says so.
    pub restart: Restart,
    /// How long it is remembered that a service failed.
    pub failure: Failure,
    /// The states in which a program that fails at once may be seen to have failed.
    pub failed_as: &'static [State],
    /// What must be as before once everything is uninstalled.
    pub places: &'static [Place],
}

/// Whether a service can be paused and continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It can.
    Can,
    /// It cannot, and is told so.
    Cannot,
}

/// Who ends the children of a service that is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    /// The manager does, even one that hears of nothing.
    EndedByManager,
    /// Nobody: a service looks after its own.
    EndsByItself,
}

/// Who starts again what ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// The manager, if it honours it.
    Manager,
    /// Nobody, whatever the manager was told: so it is with Wine's of the manager of Windows.
    Nobody,
}

/// How long it is remembered that a service failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Until somebody stops it.
    UntilStop,
    /// Until it is started again.
    UntilStart,
}

/// Where a manager keeps something of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A folder or file, for the machine's services.
    System(&'static str),
    /// A folder or file below the home of the user, for theirs.
    Home(&'static str),
}

impl Abilities {
    /// Where the manager keeps something of these services.
    #[must_use]
    pub fn places_in(&self, scope: Scope) -> Vec<PathBuf> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let place = |place: &Place| match (place, scope) {
            (Place::System(path), Scope::System) => Some(PathBuf::from(path)),
            (Place::Home(path), Scope::User) => home.as_ref().map(|home| home.join(path)),
            (Place::System(_), Scope::User) | (Place::Home(_), Scope::System) => None,
        };
        self.places.iter().filter_map(place).collect()
    }
}

/// A row for each.
pub const ALL: &[Abilities] = &[
    Abilities {
        kind: ManagerKind::Systemd,
        protocol: Protocol::Native,
        pause: Pause::Can,
        tree: Tree::EndedByManager,
        restart: Restart::Manager,
        failure: Failure::UntilStop,
        failed_as: &[State::Backoff, State::Failed],
        places: &[
            Place::System("/etc/systemd"),
            Place::System("/var/lib/systemd"),
            Place::System("/run/systemd/system"),
            Place::System("/run/systemd/transient"),
            Place::Home(".config"),
        ],
    },
    Abilities {
        kind: ManagerKind::Scm,
        protocol: Protocol::Native,
        pause: Pause::Can,
        tree: Tree::EndsByItself,
        restart: Restart::Manager,
        failure: Failure::UntilStart,
        failed_as: &[State::Backoff, State::Failed],
        places: &[],
    },
    Abilities {
        kind: ManagerKind::OpenRc,
        protocol: Protocol::None,
        pause: Pause::Cannot,
        tree: Tree::EndsByItself,
        restart: Restart::Manager,
        failure: Failure::UntilStop,
        failed_as: &[State::Backoff, State::Failed],
        places: &[
            Place::System("/etc/init.d"),
            Place::System("/etc/conf.d"),
            Place::System("/etc/runlevels"),
            Place::System("/etc/menshen/environment"),
            Place::System("/etc/logrotate.d"),
            Place::System("/var/log/openrc"),
        ],
    },
    Abilities {
        kind: ManagerKind::SysV,
        protocol: Protocol::None,
        pause: Pause::Cannot,
        tree: Tree::EndedByManager,
        restart: Restart::Manager,
        failure: Failure::UntilStop,
        failed_as: &[State::Failed],
        places: &[
            Place::System("/etc/init.d"),
            Place::System("/etc/rc0.d"),
            Place::System("/etc/rc1.d"),
            Place::System("/etc/rc2.d"),
            Place::System("/etc/rc3.d"),
            Place::System("/etc/rc4.d"),
            Place::System("/etc/rc5.d"),
            Place::System("/etc/rc6.d"),
            Place::System("/etc/menshen/environment"),
            Place::System("/etc/logrotate.d"),
            Place::System("/var/log/sysv"),
        ],
    },
    Abilities {
        kind: ManagerKind::Runit,
        protocol: Protocol::None,
        pause: Pause::Can,
        tree: Tree::EndedByManager,
        restart: Restart::Manager,
        failure: Failure::UntilStop,
        failed_as: &[State::Backoff, State::Failed],
        places: &[
            Place::System("/etc/sv"),
            Place::System("/etc/service"),
            Place::System("/etc/runit"),
            Place::System("/var/log/runit"),
        ],
    },
    Abilities {
        kind: ManagerKind::S6,
        protocol: Protocol::None,
        pause: Pause::Can,
        tree: Tree::EndedByManager,
        restart: Restart::Manager,
        failure: Failure::UntilStop,
        failed_as: &[State::Backoff, State::Failed],
        places: &[
            Place::System("/etc/s6"),
            Place::System("/etc/s6-linux-init"),
            Place::System("/run/service"),
            Place::System("/var/log/s6"),
        ],
    },
    Abilities {
        kind: ManagerKind::Dinit,
        protocol: Protocol::None,
        pause: Pause::Cannot,
        tree: Tree::EndsByItself,
        restart: Restart::Manager,
        failure: Failure::UntilStop,
        failed_as: &[State::Starting, State::Failed],
        places: &[
            Place::System("/etc/dinit.d"),
            Place::System("/etc/logrotate.d"),
            Place::System("/var/log/dinit"),
            Place::Home(".config/dinit.d"),
            Place::Home(".local/state/dinit"),
        ],
    },
    Abilities {
        kind: ManagerKind::Launchd,
        protocol: Protocol::None,
        pause: Pause::Cannot,
        tree: Tree::EndedByManager,
        restart: Restart::Manager,
        failure: Failure::UntilStop,
        failed_as: &[State::Backoff, State::Failed],
        places: &[
            Place::System("/Library/LaunchDaemons"),
            Place::System("/Library/Logs/menshen"),
            Place::Home("Library/LaunchAgents"),
            Place::Home("Library/Logs/menshen"),
        ],
    },
    Abilities {
        kind: ManagerKind::FreeBsdRc,
        protocol: Protocol::None,
        pause: Pause::Cannot,
        tree: Tree::EndsByItself,
        restart: Restart::Manager,
        failure: Failure::UntilStop,
        failed_as: &[State::Backoff],
        places: &[
            Place::System("/etc/rc.conf"),
            Place::System("/usr/local/etc/rc.d"),
            Place::System("/usr/local/etc/menshen/environment"),
            Place::System("/usr/local/etc/newsyslog.conf.d"),
            Place::System("/var/log/freebsd-rc"),
        ],
    },
];

/// The row of a manager.
#[must_use]
pub fn of(kind: ManagerKind) -> Option<&'static Abilities> {
    ALL.iter().find(|row| row.kind == kind)
}
