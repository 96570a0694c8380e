//! What a service manager is told of a service.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::manager::ManagerKind;
use super::name::ServiceName;

/// A service as it is registered with a service manager.
///
/// Whatever differs from [`Registration::new`] was asked for, and a manager that cannot do it refuses the registration and
/// names it; see [`RegistrationOption`](super::options::RegistrationOption).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// What it is called.
    pub name: ServiceName,
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// Its arguments, to be passed on exactly. They may be empty and have anything but NUL in them.
    pub arguments: Vec<String>,
    /// What people call it; without it, its name.
    pub display_name: Option<String>,
    /// What it is for, in one line.
    pub description: Option<String>,
    /// The working directory, as an absolute path; without it the program's folder.
    pub directory: Option<PathBuf>,
    /// Variables of its environment, besides those the manager gives it.
    pub environment: BTreeMap<String, String>,
    /// Whom it runs as.
    pub account: Account,
    /// When it is started.
    pub start: StartType,
    /// What must have been started before.
    pub depends_on: Vec<Dependency>,
    /// How it tells the manager what it is doing.
    pub protocol: Protocol,
    /// How long its start may take; without it, as long as the manager's own default says.
    pub start_timeout: Option<Duration>,
    /// How long its stop may take; without it, as long as the manager's own default says.
    pub stop_timeout: Option<Duration>,
    /// The signal that asks it to stop, such as `SIGINT`; without it SIGTERM, or the manager's own way on Windows.
    pub stop_signal: Option<String>,
    /// What has it read its configuration again.
    pub reload: Option<Reload>,
    /// A program with its arguments that is run to stop it. With systemd the signal follows when it has ended; with the others it is
    /// run instead of the signal.
    pub stop_command: Option<Vec<String>>,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// It says that it is well at least this often, or is restarted.
    pub watchdog: Option<Duration>,
    /// What happens to its other processes when its main process is stopped or dies.
    pub children: Children,
    /// How many files it may have open.
    pub open_files: Option<u64>,
    /// What it may not do to the machine.
    pub hardening: Hardening,
    /// Sockets the manager opens for it before it runs.
    pub sockets: Vec<Socket>,
    /// What only Windows knows.
    pub windows: Windows,
}

impl Registration {
    /// A service that is started at boot, as whoever the manager runs services as, and is restarted when it fails.
    #[must_use]
    pub fn new(name: ServiceName, program: impl Into<PathBuf>) -> Self {
        Self {
            name,
            program: program.into(),
            arguments: Vec::new(),
            display_name: None,
            description: None,
            directory: None,
            environment: BTreeMap::new(),
            account: Account::Manager,
            start: StartType::Auto,
            depends_on: Vec::new(),
            protocol: Protocol::None,
            start_timeout: None,
            stop_timeout: None,
            stop_signal: None,
            reload: None,
            stop_command: None,
            restart: Restart::default(),
            watchdog: None,
            children: Children::Ended,
            open_files: None,
            hardening: Hardening::default(),
            sockets: Vec::new(),
            windows: Windows::default(),
        }
    }
}

/// Whom a service runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// Whoever the manager runs services as: root, LocalSystem, or the user whose manager it is.
    Manager,
    /// A user, by name; on Windows `DOMAIN\name` or `.\name`.
    User {
        /// The user.
        name: String,
        /// The group, where it is not the user's own.
        group: Option<String>,
        /// The password, which Windows needs of everybody who is no managed or virtual account.
        password: Option<Secret>,
    },
    /// Windows' LocalService: few rights, nobody on the network.
    LocalService,
    /// Windows' NetworkService: few rights, the machine on the network.
    NetworkService,
    /// Windows' own account for each service, `NT SERVICE\name`.
    Virtual,
    /// A group managed service account, `DOMAIN\name$`, whose password Windows keeps.
    GroupManaged(String),
}

impl Account {
    /// An account as people write it for a service: a user; to the manager of Windows also one of its own, such as `LocalService`,
    /// `NT SERVICE\web` of the service `web`, and `DOMAIN\web$`.
    #[must_use]
    pub fn named(text: &str, service: &ServiceName, manager: ManagerKind) -> Self {
        let user = Self::User { name: text.to_owned(), group: None, password: None };
        if manager != ManagerKind::Scm {
            return user;
        }
        let lower = text.to_ascii_lowercase();
        match lower.strip_prefix("nt authority\\").unwrap_or(&lower) {
            "localsystem" | "system" => Self::Manager,
            "localservice" => Self::LocalService,
            "networkservice" => Self::NetworkService,
            own if own.strip_prefix("nt service\\") == Some(&service.as_str().to_ascii_lowercase()) => Self::Virtual,
            _ if text.ends_with('$') && text.contains('\\') => Self::GroupManaged(text.to_owned()),
            _ => user,
        }
    }
}

/// What nobody should see.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// When a service is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartType {
    /// At boot; of a user's manager, when the user's session begins.
    Auto,
    /// At boot, a while after those of `Auto`.
    Delayed,
    /// When somebody asks for it.
    Manual,
    /// Never, until it is enabled.
    Disabled,
}

/// What must have been started before a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependency {
    /// A service, by the name its manager knows it by.
    Service(String),
    /// Windows: at least one service of a load order group.
    Group(String),
    /// What the manager calls the network being up.
    Network,
}

/// How a service tells its manager what it is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Not at all: it runs as soon as it has been executed.
    None,
    /// It speaks the manager's own protocol, whichever that is, as [`crate::service`] does: sd_notify, s6's readiness descriptor,
    /// the service control dispatcher of Windows.
    Native,
}

/// What has a service read its configuration again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// A signal, such as `SIGHUP`.
    Signal(String),
    /// A program with its arguments.
    Command(Vec<String>),
    /// The service says itself when it has, as [`crate::service`] does.
    Native,
}

/// What happens when a service ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// When it is started again.
    pub policy: RestartPolicy,
    /// How long to wait before.
    pub delay: Duration,
    /// The delay grows to this.
    pub delay_max: Option<Duration>,
    /// In so many steps.
    pub steps: Option<u32>,
    /// After this long without a failure, earlier ones are forgotten.
    pub reset_after: Option<Duration>,
}

impl Default for Restart {
    /// After a failure, a second later.
    fn default() -> Self {
        Self {
            policy: RestartPolicy::OnFailure,
            delay: Duration::from_secs(1),
            delay_max: None,
            steps: None,
            reset_after: None,
        }
    }
}

/// When a service is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whenever it ends.
    Always,
    /// When it ends with anything but success.
    OnFailure,
    /// Never.
    Never,
}

/// What happens to the other processes of a service when its main process is stopped or dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// The manager ends them.
    Ended,
    /// They are left alone, and the service looks after them itself: so it is with a guard, which may be restarted while what it
    /// guards runs on.
    Kept,
}

/// What a service may not do to the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hardening {
    /// How much is taken away.
    pub level: HardeningLevel,
    /// Folders it may write to all the same.
    pub writable: Vec<PathBuf>,
}

/// How much is taken away from a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HardeningLevel {
    /// Nothing.
    #[default]
    None,
    /// What hardly any service needs: writing to the system's folders, kernel settings and modules, other users' homes, new
    /// privileges.
    Standard,
    /// What many services do not need either: devices, all capabilities, writable and executable memory, unusual system calls,
    /// address families other than local and IP.
    Strict,
}

/// A socket that the manager opens for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// What the service knows it by.
    pub name: String,
    /// Where it listens.
    pub listen: Listen,
}

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// TCP, at an address and port, such as `127.0.0.1:8080`.
    Tcp(std::net::SocketAddr),
    /// UDP.
    Udp(std::net::SocketAddr),
    /// A local socket at a path.
    Local(PathBuf),
}

/// What only Windows knows of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Windows {
    /// Whether the service has a security identifier of its own.
    pub sid: SidType,
    /// The only privileges it keeps, such as `SeChangeNotifyPrivilege`; without any, all its account has.
    pub required_privileges: Vec<String>,
    /// Who may do what with it, in the security descriptor definition language.
    pub security_descriptor: Option<String>,
    /// What else starts it.
    pub triggers: Vec<Trigger>,
    /// How long it may take when the machine is about to go down.
    pub preshutdown_timeout: Option<Duration>,
    /// The load order group it belongs to.
    pub load_order_group: Option<String>,
    /// Whether an end with an error code counts as a failure, too, and not only a crash.
    pub failures: FailureKind,
}

/// Whether a service of Windows has a security identifier of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SidType {
    /// No.
    #[default]
    None,
    /// Yes.
    Unrestricted,
    /// Yes, and it can write only where that one may.
    Restricted,
}

/// Which ends of a service are failures to Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailureKind {
    /// Crashes and ends with an error code.
    #[default]
    CrashesAndErrors,
    /// Crashes alone.
    Crashes,
}

/// What starts a service of Windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// The machine has its first address.
    NetworkUp,
    /// The machine joins a domain.
    DomainJoin,
    /// A device of this class arrives: the class's GUID.
    DeviceArrival(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_windows_have_their_own_names() {
        let user = |name: &str| Account::User { name: name.to_owned(), group: None, password: None };
        let table = [
            ("shop", user("shop")),
            (".\\shop", user(".\\shop")),
            ("LocalSystem", Account::Manager),
            ("NT AUTHORITY\\LocalService", Account::LocalService),
            ("networkservice", Account::NetworkService),
            ("NT SERVICE\\web", Account::Virtual),
            ("NT SERVICE\\other", user("NT SERVICE\\other")),
            ("SHOP\\web$", Account::GroupManaged("SHOP\\web$".to_owned())),
            ("web$", user("web$")),
        ];
        let web: ServiceName = "web".parse().unwrap();
        for (text, account) in table {
            assert_eq!(Account::named(text, &web, ManagerKind::Scm), account, "{text}");
            assert_eq!(Account::named(text, &web, ManagerKind::Systemd), user(text), "elsewhere it is a user's name");
        }
    }
}
