//! System V init: a script with an LSB header for each service, and links to it for each run level.
//!
//! init starts and stops services and watches none. So whoever asks for restarts is refused, the default among them: the
//! guard restarts what it guards, and is itself registered without. What is told here is what the script itself knows: its
//! `status` ends with the codes that LSB gives it.

mod script;

use std::fs;
use std::path::{Path, PathBuf};

use super::fact::Fact as Every;
use super::output::{self, Folder};
use super::refused;
use super::shell::{pid_file, text};
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
/// The run levels in which services run.
const LEVELS: std::ops::RangeInclusive<u8> = 2..=5;
/// What a script is run with, so that a service is given nothing of whoever asked.
const CLEAN: [&str; 2] = ["-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
const ONLY_STARTS_AND_STOPS: &str = "init starts and stops services, and nothing else";

/// See the module. The links are made by Debian's `update-rc.d`.
#[derive(Debug, Clone, Default)]
pub struct SysV {
    _private: (),
}

impl SysV {
    /// The one of this machine.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }

    fn script(name: &ServiceName) -> PathBuf {
        Path::new(SCRIPTS).join(name.as_str())
    }

    fn run(name: &ServiceName, verb: &str) -> Result<Ran, ManagerError> {
        tool::run("env", &[&CLEAN[..], &[&text(&Self::script(name)), verb]].concat())
    }

    fn tell(told: &Told<'_>, verb: &str) -> Result<Ran, ManagerError> {
        told.run("env", &[&CLEAN[..], &[&text(&Self::script(told.name)), verb]].concat())
    }

    fn cannot(&self, name: &ServiceName, verb: Verb, why: &str) -> ManagerError {
        ManagerError::CannotAct { manager: self.kind(), name: name.clone(), verb, why: why.to_owned() }
    }

    fn reload(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        let ran = Self::tell(told, "reload")?;
        match ran.code {
            Some(script::UNIMPLEMENTED) => {
                Err(self.cannot(name, Verb::Reload, "nothing was registered that has it read its configuration again"))
            }
            Some(script::NOT_RUNNING) => Err(self.cannot(name, Verb::Reload, "it does not run")),
            _ => ran.done().map(drop),
        }
    }
}

/// The links of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    None,
    /// It is stopped in every run level, and started in none.
    Off,
    /// It is started.
    On,
}

impl Links {
    fn of(name: &ServiceName) -> Self {
        let mut found = Self::None;
        for level in LEVELS {
            let folder = fs::read_dir(format!("/etc/rc{level}.d")).into_iter().flatten().flatten();
            let names = folder.filter_map(|entry| entry.file_name().into_string().ok());
            for link in names.filter(|link| link.get(3..) == Some(name.as_str())) {
                if link.starts_with('S') {
                    return Self::On;
                }
                found = Self::Off;
            }
        }
        found
    }
}

/// What `update-rc.d` makes so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A service has links.
    Linked(ServiceName),
    /// It is started in some run level.
    Started(ServiceName),
    /// It has links, and is started in no run level.
    NotStarted(ServiceName),
    /// It has none.
    NotLinked(ServiceName),
}

impl Fact {
    /// The links of its service, and whether it is so.
    fn found(&self) -> (Links, bool) {
        let (name, is_so): (_, fn(Links) -> bool) = match self {
            Self::Linked(name) => (name, |links| links != Links::None),
            Self::Started(name) => (name, |links| links == Links::On),
            Self::NotStarted(name) => (name, |links| links == Links::Off),
            Self::NotLinked(name) => (name, |links| links == Links::None),
        };
        let links = Links::of(name);
        (links, is_so(links))
    }
}

fn update(fact: Fact, words: &[&str]) -> Call {
    Call::making(Every::SysV(fact), "update-rc.d", words)
}

fn started(name: &ServiceName) -> Call {
    update(Fact::Started(name.clone()), &[name.as_str(), "enable"])
}

fn not_started(name: &ServiceName) -> Call {
    update(Fact::NotStarted(name.clone()), &[name.as_str(), "disable"])
}

impl ServiceManager for SysV {
    fn kind(&self) -> ManagerKind {
        ManagerKind::SysV
    }

    fn scope(&self) -> Scope {
        Scope::System
    }

    fn honours(&self, option: RegistrationOption) -> Result<(), &'static str> {
        honours(option)
    }

    fn refused_values(&self, registration: &Registration) -> Vec<Unsupported> {
        let mut refused = refused::values(registration);
        refused.extend(variables::refused(registration));
        // The header is read line by line.
        let texts = [
            (RegistrationOption::DisplayName, &registration.display_name),
            (RegistrationOption::Description, &registration.description),
        ];
        let several =
            texts.into_iter().filter(|(_, text)| text.as_ref().is_some_and(|text| text.contains(['\n', '\r'])));
        refused.extend(several.map(|(option, _)| Unsupported { option, why: refused::LINE_END }));
        refused
    }

    fn plan_of(&self, registration: &Registration) -> Plan {
        let name = &registration.name;
        let script = Step::file(Self::script(name), 0o755, script::script(registration));
        let linked = |what: &str| update(Fact::Linked(name.clone()), &[name.as_str(), what]);
        let (links, then) = match registration.start {
            StartType::Auto | StartType::Delayed => (linked("defaults"), started(name)),
            StartType::Manual | StartType::Disabled => (linked("defaults-disabled"), not_started(name)),
        };
        let remove = update(Fact::NotLinked(name.clone()), &["-f", name.as_str(), "remove"]);
        let links = Step::Call { call: links, undo: Some(remove) };
        let mut steps = variables::steps(&script::variables_file(name), registration);
        let written = output::folder(self.kind(), name);
        steps.extend(output::steps(&written, Folder::Closed));
        steps.extend(output::rotated(name, &written));
        steps.extend([script, links, Step::call(then)]);
        Plan { steps, after_undo: Vec::new() }
    }

    fn removal_of(&self, name: &ServiceName) -> Plan {
        let script = Step::NoFile { path: Self::script(name), ownership: Ownership::Marked };
        let mut steps = vec![script, Step::call(update(Fact::NotLinked(name.clone()), &[name.as_str(), "remove"]))];
        steps.extend(variables::no_file(&script::variables_file(name)));
        steps.extend(output::not_rotated(name));
        steps.extend(output::no_steps(&output::folder(self.kind(), name)));
        Plan { steps, after_undo: Vec::new() }
    }

    fn log_of(&self, name: &ServiceName) -> Option<PathBuf> {
        Some(output::file(&output::folder(self.kind(), name)))
    }

    /// One that has failed has left a note of its process, and perhaps others of its group.
    fn is_to_be_stopped(&self, state: State) -> bool {
        !matches!(state, State::NotInstalled | State::Stopped)
    }

    fn call(&self, call: &Call) -> Result<(), ManagerError> {
        tool::command(call)?.done().map(drop)
    }

    fn differences_of(&self, call: &Call) -> Result<Vec<Difference>, ManagerError> {
        let (links, is_so) = match call.fact() {
            Some(Every::SysV(fact)) => fact.found(),
            Some(Every::OpenRc(_) | Every::Runit(_) | Every::S6(_) | Every::Dinit(_) | Every::FreeBsdRc(_)) | None => {
                (Links::None, false)
            }
        };
        let difference = Difference {
            what: call.to_string(),
            installed: Some(format!("links: {links:?}")),
            wanted: Some("done".to_owned()),
        };
        Ok(if is_so { vec![] } else { vec![difference] })
    }

    fn act_by(&self, name: &ServiceName, verb: Verb, deadline: Deadline) -> Result<(), ManagerError> {
        let told = Told { manager: self, name, verb, deadline };
        if !Self::script(name).is_file() {
            return Err(ManagerError::NotInstalled { name: name.clone(), manager: self.kind() });
        }
        match verb {
            Verb::Start | Verb::Stop | Verb::Restart => Self::tell(&told, verb.as_str())?.done().map(drop),
            Verb::Pause | Verb::Continue => Err(self.cannot(name, verb, ONLY_STARTS_AND_STOPS)),
            Verb::Reload => self.reload(&told),
            Verb::Enable => self.call(&started(name)),
            Verb::Disable => self.call(&not_started(name)),
        }
    }

    fn status(&self, name: &ServiceName) -> Result<Status, ManagerError> {
        if !Self::script(name).is_file() {
            return Ok(Status::NOT_INSTALLED);
        }
        let start = match Links::of(name) {
            Links::On => StartType::Auto,
            Links::Off | Links::None => StartType::Manual,
        };
        let ran = Self::run(name, "status")?;
        let state = match ran.code {
            Some(0) => State::Running,
            // It is dead, and its file is still there: nobody stopped it.
            Some(1 | 2) => State::Failed,
            Some(script::STOPPED) => State::Stopped,
            _ => return Err(ran.failure()),
        };
        let pid = fs::read_to_string(pid_file(name)).ok();
        let pid = pid.and_then(|text| text.lines().next()?.trim().parse().ok()).filter(|_| state == State::Running);
        Ok(Status { state, pid, start: Some(start), exit: None, text: None, progress: None })
    }
}

fn honours(option: RegistrationOption) -> Result<(), &'static str> {
    use RegistrationOption as O;
    const RESTARTS: &str =
        "init watches no services, so none is started again; ask for restart = never, or let the guard restart it";
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
        | O::StopCommand
        | O::ReloadSignal
        | O::ReloadCommand
        | O::RestartNever
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
        O::ReloadNative => Err(refused::RELOAD_NATIVE),
        O::RestartAlways | O::RestartOnFailure | O::RestartDelay | O::RestartBackoff | O::RestartReset => Err(RESTARTS),
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
