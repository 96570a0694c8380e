//! OpenRC: a script for each service that says what is to be executed, and links to it for each run level.
//!
//! A service that is restarted is given to `supervise-daemon`, another to `start-stop-daemon`. OpenRC's own scripts put the
//! variables into a command which they evaluate once more.

mod script;

pub(super) use self::script::is_reloaded;

use std::fs;
use std::path::{Path, PathBuf};

use super::fact::Fact as Every;
use super::output::{self, Folder};
use super::refused;
use super::shell::pid_file;
use super::tool::{self, Ran, Told};
use super::variables;
use crate::service::deadline::Deadline;
use crate::service::manager::{Difference, ManagerError, ManagerKind, Scope, ServiceManager, Verb};
use crate::service::name::ServiceName;
use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::plan::{Call, Ownership, Plan, Step};
use crate::service::registration::{Registration, StartType};
use crate::service::status::{State, Status};

/// Where the scripts are.
const SCRIPTS: &str = "/etc/init.d";
/// Where else it looks for scripts, and finds them only where there is none of that name among the others.
const LOCAL_SCRIPTS: &str = "/usr/local/etc/init.d";
/// Where the links are, in a folder for each run level.
const RUN_LEVELS: &str = "/etc/runlevels";
/// Where OpenRC keeps what it knows of services until the next boot.
const OPTIONS: &str = "/run/openrc/options";

/// See the module. OpenRC keeps services of users from 0.60 on; those are not spoken to.
#[derive(Debug, Clone, Default)]
pub struct OpenRc {
    _private: (),
}

impl OpenRc {
    /// The one of this machine.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }

    fn script(name: &ServiceName) -> PathBuf {
        Path::new(SCRIPTS).join(name.as_str())
    }

    /// `openrc-run` hears of its script's end by a signal. When the machine has much to do that may come before it has noted which
    /// process the script is, is lost, and it waits for ever.
    fn ask(name: &ServiceName) -> Result<Ran, ManagerError> {
        tool::ask("rc-service", &[name.as_str(), "status"])
    }

    fn cannot(&self, name: &ServiceName, verb: Verb, why: &str) -> ManagerError {
        ManagerError::CannotAct { manager: self.kind(), name: name.clone(), verb, why: why.to_owned() }
    }

    fn reload(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        let script = fs::read_to_string(Self::script(name)).unwrap_or_default();
        if !is_reloaded(&script) {
            return Err(self.cannot(
                name,
                Verb::Reload,
                "nothing was registered that has it read its configuration again",
            ));
        }
        if self.status(name)?.state != State::Running {
            return Err(self.cannot(name, Verb::Reload, "it does not run"));
        }
        tell(told, "reload")?.done().map(drop)
    }
}

fn tell(told: &Told<'_>, verb: &str) -> Result<Ran, ManagerError> {
    told.run("rc-service", &[told.name.as_str(), verb])
}

/// Whether it is started in some run level.
fn is_enabled(name: &str) -> bool {
    let levels = fs::read_dir(RUN_LEVELS).into_iter().flatten().flatten();
    levels.map(|level| level.path().join(name)).any(|link| link.symlink_metadata().is_ok())
}

/// The program that runs for a service: the child of its supervise-daemon, which OpenRC notes, or what the file has that
/// start-stop-daemon writes.
fn pid_of(name: &ServiceName) -> Option<u32> {
    let read = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse().ok();
    let child = read(Path::new(OPTIONS).join(name.as_str()).join("child_pid"));
    child.or_else(|| read(pid_file(name).into())).filter(|pid| Path::new(&format!("/proc/{pid}")).is_dir())
}

/// What `rc-update` makes so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A service is started at boot.
    Started(ServiceName),
    /// It is not.
    NotStarted(ServiceName),
}

fn started(name: &ServiceName) -> Call {
    Call::making(Every::OpenRc(Fact::Started(name.clone())), "rc-update", &["add", name.as_str(), "default"])
}

fn not_started(name: &ServiceName) -> Call {
    Call::making(Every::OpenRc(Fact::NotStarted(name.clone())), "rc-update", &["del", name.as_str(), "default"])
}

impl ServiceManager for OpenRc {
    fn kind(&self) -> ManagerKind {
        ManagerKind::OpenRc
    }

    fn scope(&self) -> Scope {
        Scope::System
    }

    fn honours(&self, option: RegistrationOption) -> Result<(), &'static str> {
        honours(option)
    }

    fn refused_values(&self, registration: &Registration) -> Vec<Unsupported> {
        refused::values(registration).into_iter().chain(variables::refused(registration)).collect()
    }

    fn namesakes(&self, registration: &Registration) -> Vec<PathBuf> {
        vec![Path::new(LOCAL_SCRIPTS).join(registration.name.as_str())]
    }

    fn plan_of(&self, registration: &Registration) -> Plan {
        let name = &registration.name;
        let script = Step::file(Self::script(name), 0o755, script::script(registration));
        let started = match registration.start {
            StartType::Auto | StartType::Delayed => Step::Call { call: started(name), undo: Some(not_started(name)) },
            StartType::Manual | StartType::Disabled => {
                Step::Call { call: not_started(name), undo: Some(started(name)) }
            }
        };
        let mut steps = variables::steps(&script::variables_file(name), registration);
        let written = output::folder(self.kind(), name);
        steps.extend(output::steps(&written, Folder::Passable));
        steps.extend(output::rotated(name, &written));
        steps.extend([script, started]);
        Plan { steps, after_undo: Vec::new() }
    }

    fn removal_of(&self, name: &ServiceName) -> Plan {
        let not_started = Step::Call { call: not_started(name), undo: Some(started(name)) };
        let script = Step::NoFile { path: Self::script(name), ownership: Ownership::Marked };
        let options = Step::NoFolder { path: Path::new(OPTIONS).join(name.as_str()) };
        let mut steps = vec![script, not_started, options];
        steps.extend(variables::no_file(&script::variables_file(name)));
        steps.extend(output::not_rotated(name));
        steps.extend(output::no_steps(&output::folder(self.kind(), name)));
        Plan { steps, after_undo: Vec::new() }
    }

    fn log_of(&self, name: &ServiceName) -> Option<PathBuf> {
        Some(output::file(&output::folder(self.kind(), name)))
    }

    /// One that has failed has left notes of its process and of how it was started.
    fn is_to_be_stopped(&self, state: State) -> bool {
        !matches!(state, State::NotInstalled | State::Stopped)
    }

    fn call(&self, call: &Call) -> Result<(), ManagerError> {
        tool::command(call)?.done().map(drop)
    }

    fn differences_of(&self, call: &Call) -> Result<Vec<Difference>, ManagerError> {
        let is_so = match call.fact() {
            Some(Every::OpenRc(Fact::Started(name))) => is_enabled(name.as_str()),
            Some(Every::OpenRc(Fact::NotStarted(name))) => !is_enabled(name.as_str()),
            Some(Every::SysV(_) | Every::Runit(_) | Every::S6(_) | Every::Dinit(_) | Every::FreeBsdRc(_)) | None => {
                false
            }
        };
        Ok(if is_so { vec![] } else { vec![Difference::undone(call)] })
    }

    fn act_by(&self, name: &ServiceName, verb: Verb, deadline: Deadline) -> Result<(), ManagerError> {
        let told = Told { manager: self, name, verb, deadline };
        if !Self::script(name).is_file() {
            return Err(ManagerError::NotInstalled { name: name.clone(), manager: self.kind() });
        }
        match verb {
            Verb::Start | Verb::Restart => {
                read_scripts(&told)?;
                tell(&told, verb.as_str())?.done().map(drop)
            }
            Verb::Stop => tell(&told, verb.as_str())?.done().map(drop),
            Verb::Pause | Verb::Continue => Err(self.cannot(name, verb, "OpenRC cannot pause services")),
            Verb::Reload => self.reload(&told),
            Verb::Enable if is_enabled(name.as_str()) => Ok(()),
            Verb::Enable => self.call(&started(name)),
            Verb::Disable if !is_enabled(name.as_str()) => Ok(()),
            Verb::Disable => self.call(&not_started(name)),
        }
    }

    /// By the codes that OpenRC's `status` ends with.
    fn status(&self, name: &ServiceName) -> Result<Status, ManagerError> {
        if !Self::script(name).is_file() {
            return Ok(Status::NOT_INSTALLED);
        }
        let start = if is_enabled(name.as_str()) { StartType::Auto } else { StartType::Manual };
        let ran = Self::ask(name)?;
        let pid = pid_of(name);
        let state = match ran.code {
            Some(0) if pid.is_some() => State::Running,
            // Between two runs its supervise-daemon waits.
            Some(0) => State::Backoff,
            Some(3) => State::Stopped,
            Some(4) => State::Stopping,
            Some(8 | 16) => State::Starting,
            Some(32 | 64) => State::Failed,
            _ => return Err(ran.failure()),
        };
        let pid = pid.filter(|_| matches!(state, State::Running | State::Stopping));
        Ok(Status { state, pid, start: Some(start), exit: None, text: None, progress: None })
    }
}

/// Has OpenRC read all scripts. By itself it does where one is newer than what it has read, in whole seconds: of a script that
/// was written in the second in which it read the others it would know nothing, and not stop the service when the machine goes
/// down. Where it cannot, as a script of somebody else's may be to blame for, the service can be started all the same.
fn read_scripts(told: &Told<'_>) -> Result<(), ManagerError> {
    told.run("rc-update", &["--update"]).map(drop)
}

fn honours(option: RegistrationOption) -> Result<(), &'static str> {
    use RegistrationOption as O;
    match option {
        O::DisplayName
        | O::Description
        | O::Directory
        | O::Environment
        | O::AccountUser
        | O::AccountGroup
        | O::StartManual
        | O::DependsOnService
        | O::DependsOnNetwork
        | O::StopTimeout
        | O::StopSignal
        | O::ReloadSignal
        | O::ReloadCommand
        | O::RestartAlways
        | O::RestartNever
        | O::RestartDelay
        | O::ChildrenKept
        | O::OpenFiles => Ok(()),
        O::AccountPassword => Err(refused::PASSWORD),
        O::AccountLocalService | O::AccountNetworkService | O::AccountVirtual | O::AccountGroupManaged => {
            Err(refused::WINDOWS_ACCOUNT)
        }
        O::StartDelayed => Err(refused::DELAYED),
        O::StartDisabled => Err(refused::DISABLED),
        O::DependsOnGroup => Err(refused::GROUP),
        O::ProtocolNative => Err(refused::PROTOCOL),
        O::StartTimeout => Err(refused::START_TIMEOUT),
        O::StopCommand => Err("supervise-daemon stops services by signals only; name one (stop_signal)"),
        O::ReloadNative => Err(refused::RELOAD_NATIVE),
        O::RestartOnFailure => {
            Err("supervise-daemon starts a service again however it ended; ask for restart = always or never")
        }
        O::RestartBackoff => Err(refused::BACKOFF),
        O::RestartReset => Err(refused::RESET),
        O::Watchdog => Err(refused::WATCHDOG),
        O::HardeningStandard | O::HardeningStrict => Err(refused::HARDENING),
        O::SocketTcp | O::SocketUdp | O::SocketLocal => Err(refused::SOCKETS),
        O::WindowsSid
        | O::WindowsRequiredPrivileges
        | O::WindowsSecurityDescriptor
        | O::WindowsTriggers
        | O::WindowsPreshutdownTimeout
        | O::WindowsLoadOrderGroup
        | O::WindowsFailures => Err(refused::WINDOWS),
    }
}
