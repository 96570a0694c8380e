//! FreeBSD's rc.d: a script for each service, which gives the program to daemon(8), and a variable in `rc.conf`.

mod script;

pub(super) use self::script::{is_by_hand, is_reloaded};

use std::fs;
use std::path::{Path, PathBuf};

use super::fact::Fact as Every;
use super::output::{self, Folder};
use super::refused;
use super::tool::{self, Told};
use super::variables;
use crate::service::deadline::Deadline;
use crate::service::manager::{Difference, ManagerError, ManagerKind, Scope, ServiceManager, Verb};
use crate::service::name::ServiceName;
use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::plan::{Call, Ownership, Plan, Step};
use crate::service::registration::{Registration, StartType};
use crate::service::status::{State, Status};

/// Where scripts are that are not FreeBSD's own.
const SCRIPTS: &str = "/usr/local/etc/rc.d";
/// Where the scripts of the system itself are, which are found before ours.
const SYSTEM_SCRIPTS: &str = "/etc/rc.d";

/// Where newsyslog(8) is told of files; it reads those that end in `.conf`.
const ROTATIONS: &str = "/usr/local/etc/newsyslog.conf.d";

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct FreeBsdRc {
    _private: (),
}

impl FreeBsdRc {
    /// The one of this machine.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }

    fn script(name: &ServiceName) -> PathBuf {
        Path::new(SCRIPTS).join(name.as_str())
    }

    fn rotation(name: &ServiceName) -> PathBuf {
        Path::new(ROTATIONS).join(format!("menshen-{name}.conf"))
    }

    fn run(name: &ServiceName, verb: &str) -> Result<tool::Ran, ManagerError> {
        tool::run("service", &[name.as_str(), verb])
    }

    fn tell(told: &Told<'_>, verb: &str) -> Result<(), ManagerError> {
        told.run("service", &[told.name.as_str(), verb])?.done().map(drop)
    }

    fn cannot(&self, name: &ServiceName, verb: Verb, why: &str) -> ManagerError {
        ManagerError::CannotAct { manager: self.kind(), name: name.clone(), verb, why: why.to_owned() }
    }

    /// When a service is started: rc.conf says whether, and its script whether that is at boot.
    fn start_type(name: &ServiceName) -> Result<StartType, ManagerError> {
        let is_enabled = tool::run("sysrc", &["-c", &enabling(name, "YES")])?.code == Some(0);
        let script = fs::read_to_string(Self::script(name)).unwrap_or_default();
        Ok(match (is_enabled, is_by_hand(&script)) {
            (false, _) => StartType::Disabled,
            (true, true) => StartType::Manual,
            (true, false) => StartType::Auto,
        })
    }

    fn start(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        if Self::start_type(name)? == StartType::Disabled {
            return Err(self.cannot(name, told.verb, "it is disabled; enable it first"));
        }
        if self.status(name)?.state == State::Stopped { Self::tell(told, "start") } else { Ok(()) }
    }

    fn stop(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        if self.status(told.name)?.state == State::Stopped { Ok(()) } else { Self::tell(told, "onestop") }
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
        Self::tell(told, "onereload")
    }

    fn enable(&self, name: &ServiceName) -> Result<(), ManagerError> {
        self.call(&set(name, "YES"))?;
        if Self::start_type(name)? == StartType::Manual {
            return Err(self.cannot(name, Verb::Enable, "its script says that it is started by hand; install it anew"));
        }
        Ok(())
    }
}

/// What `sysrc` sets.
fn enabling(name: &ServiceName, value: &str) -> String {
    format!("{}_enable={value}", script::variable(name))
}

/// What `sysrc` makes so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A variable has a value.
    Set {
        /// Both, as `NAME=VALUE`.
        setting: String,
    },
    /// `rc.conf` has nothing of a variable.
    NotSet {
        /// Its name.
        variable: String,
    },
}

fn set(name: &ServiceName, value: &str) -> Call {
    let setting = enabling(name, value);
    Call::making(Every::FreeBsdRc(Fact::Set { setting: setting.clone() }), "sysrc", &[&setting])
}

impl ServiceManager for FreeBsdRc {
    fn kind(&self) -> ManagerKind {
        ManagerKind::FreeBsdRc
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
        vec![Path::new(SYSTEM_SCRIPTS).join(registration.name.as_str())]
    }

    fn plan_of(&self, registration: &Registration) -> Plan {
        let name = &registration.name;
        let (value, other) = match registration.start {
            StartType::Auto | StartType::Delayed | StartType::Manual => ("YES", "NO"),
            StartType::Disabled => ("NO", "YES"),
        };
        let mut steps = variables::steps(&script::variables_file(name), registration);
        let written = output::folder(self.kind(), name);
        steps.extend(output::steps(&written, Folder::Closed));
        steps.extend([
            Step::folder(ROTATIONS),
            Step::file(Self::rotation(name), 0o644, script::rotation(name, &written)),
            Step::folder(SCRIPTS),
            Step::file(Self::script(name), 0o755, script::script(registration)),
            Step::Call { call: set(name, value), undo: Some(set(name, other)) },
        ]);
        Plan { steps, after_undo: Vec::new() }
    }

    fn removal_of(&self, name: &ServiceName) -> Plan {
        let script = Step::NoFile { path: Self::script(name), ownership: Ownership::Marked };
        let variable = format!("{}_enable", script::variable(name));
        let fact = Every::FreeBsdRc(Fact::NotSet { variable: variable.clone() });
        let forget = Call::making(fact, "sysrc", &["-x", &variable]);
        let mut steps = vec![script, Step::call(forget)];
        steps.extend(variables::no_file(&script::variables_file(name)));
        steps.push(Step::NoFile { path: Self::rotation(name), ownership: Ownership::Marked });
        steps.push(Step::NoEmptyFolder { path: ROTATIONS.into() });
        steps.extend(output::no_steps(&output::folder(self.kind(), name)));
        Plan { steps, after_undo: Vec::new() }
    }

    fn log_of(&self, name: &ServiceName) -> Option<PathBuf> {
        Some(output::file(&output::folder(self.kind(), name)))
    }

    fn call(&self, call: &Call) -> Result<(), ManagerError> {
        tool::command(call)?.done().map(drop)
    }

    fn differences_of(&self, call: &Call) -> Result<Vec<Difference>, ManagerError> {
        let is_so = match call.fact() {
            Some(Every::FreeBsdRc(Fact::Set { setting })) => tool::run("sysrc", &["-c", setting])?.code == Some(0),
            Some(Every::FreeBsdRc(Fact::NotSet { variable })) => {
                tool::run("sysrc", &["-n", "-q", variable])?.code != Some(0)
            }
            Some(Every::OpenRc(_) | Every::SysV(_) | Every::Runit(_) | Every::S6(_) | Every::Dinit(_)) | None => false,
        };
        Ok(if is_so { vec![] } else { vec![Difference::undone(call)] })
    }

    fn act_by(&self, name: &ServiceName, verb: Verb, deadline: Deadline) -> Result<(), ManagerError> {
        let told = Told { manager: self, name, verb, deadline };
        if !Self::script(name).is_file() {
            return Err(ManagerError::NotInstalled { name: name.clone(), manager: self.kind() });
        }
        match verb {
            Verb::Start => self.start(&told),
            Verb::Stop => self.stop(&told),
            Verb::Restart => self.stop(&told).and_then(|()| self.start(&told)),
            Verb::Pause | Verb::Continue => Err(self.cannot(name, verb, "rc cannot pause services")),
            Verb::Reload => self.reload(&told),
            Verb::Enable => self.enable(name),
            Verb::Disable => self.call(&set(name, "NO")),
        }
    }

    fn status(&self, name: &ServiceName) -> Result<Status, ManagerError> {
        if !Self::script(name).is_file() {
            return Ok(Status::NOT_INSTALLED);
        }
        let is_supervised = Self::run(name, "onestatus")?.code == Some(0);
        let pid = fs::read_to_string(script::child_file(name)).ok().and_then(|text| text.trim().parse::<u32>().ok());
        let lives = match pid {
            Some(pid) => tool::run("kill", &["-0", &pid.to_string()])?.code == Some(0),
            None => false,
        };
        let state = match (is_supervised, lives) {
            (true, true) => State::Running,
            (true, false) => State::Backoff,
            (false, _) => State::Stopped,
        };
        let start = Some(Self::start_type(name)?);
        Ok(Status {
            state,
            pid: pid.filter(|_| state == State::Running),
            start,
            exit: None,
            text: None,
            progress: None,
        })
    }
}

fn honours(option: RegistrationOption) -> Result<(), &'static str> {
    use RegistrationOption as O;
    match option {
        O::DisplayName
        | O::Description
        | O::Directory
        | O::Environment
        | O::AccountUser
        | O::StartManual
        | O::StartDisabled
        | O::DependsOnService
        | O::DependsOnNetwork
        | O::ReloadSignal
        | O::RestartAlways
        | O::RestartNever
        | O::RestartDelay
        | O::ChildrenKept
        | O::OpenFiles => Ok(()),
        O::AccountGroup => Err("daemon(8) runs a program in its user's own groups; make the group the user's"),
        O::AccountPassword => Err(refused::PASSWORD),
        O::AccountLocalService | O::AccountNetworkService | O::AccountVirtual | O::AccountGroupManaged => {
            Err(refused::WINDOWS_ACCOUNT)
        }
        O::StartDelayed => Err(refused::DELAYED),
        O::DependsOnGroup => Err(refused::GROUP),
        O::ProtocolNative => Err(refused::PROTOCOL),
        O::StartTimeout => Err(refused::START_TIMEOUT),
        O::StopTimeout => Err("rc waits for a stop as long as it takes; let the guard stop the program"),
        O::StopSignal | O::StopCommand => Err("daemon(8) passes on SIGTERM only; let the guard stop the program"),
        O::ReloadCommand => Err("only a signal reaches the program; name one"),
        O::ReloadNative => Err(refused::RELOAD_NATIVE),
        O::RestartOnFailure => {
            Err("daemon(8) starts a program again however it ended; ask for restart = always or never")
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
