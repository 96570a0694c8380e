//! systemd, of the machine and of a user.
//!
//! - `unit`, `quote`, `hardening`: what is written for a service, and how.
//! - `values`: values that units have no way to write.
//! - [`linger`]: why a user's services do not outlive their session, or cannot be reached at all.
//! - [`cause`]: why it stops a service.
//! - `bus`: systemd is asked over D-Bus, where there is one.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

pub use self::cause::StopCause;
use crate::service::carry_out::carry_out;
use crate::service::deadline::Deadline;
use crate::service::manager::{Difference, ManagerError, ManagerKind, Scope, ServiceManager, Verb};
use crate::service::name::ServiceName;
use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::plan::{Call, MARK, Ownership, Plan, Step};
use crate::service::registration::{Registration, StartType};
use crate::service::status::Status;

#[cfg(unix)]
#[path = "systemd/bus/unix.rs"]
mod bus;
#[cfg(windows)]
#[path = "systemd/bus/windows.rs"]
mod bus;
pub mod cause;
mod hardening;
pub mod linger;
mod quote;
mod unit;
mod values;

/// Where the machine's units are that administrators make.
const SYSTEM_UNITS: &str = "/etc/systemd/system";

/// systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Systemd {
    /// Whose services.
    pub scope: Scope,
    /// Which version it is.
    pub version: Version,
    /// The folder its units are written to.
    pub units: PathBuf,
}

/// The version of systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32);

impl Version {
    /// It waits until a service has been executed.
    pub const EXEC: Self = Self(240);
    /// It waits until a service says that it has read its configuration again.
    pub const NOTIFY_RELOAD: Self = Self(253);
    /// The wait before a restart can grow.
    pub const RESTART_STEPS: Self = Self(254);
    /// A service that has control groups of its own can be beside them.
    pub const DELEGATE_SUBGROUP: Self = Self(254);
    /// What plans are made for where there is no systemd to ask. Everything we write is known to it.
    pub const ASSUMED: Self = Self(257);

    /// From what systemd says of itself, such as `257.8-1~deb13u2`.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim_start_matches(|character: char| !character.is_ascii_digit());
        let digits = text.find(|character: char| !character.is_ascii_digit()).map_or(text, |end| &text[..end]);
        digits.parse().ok().map(Self)
    }
}

/// What systemd is asked over D-Bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To read units again, if one of these has changed since it was read.
    Reload(Vec<String>),
    /// Whether it takes a unit as it is written.
    Take(String),
    /// To start a unit at boot.
    Enable(String),
    /// Not to start a unit at boot.
    Disable(String),
    /// To stop units, one after the other.
    Stop(Vec<String>),
    /// To start units, one after the other, as they are written now.
    Start(Vec<String>),
    /// To forget that a unit has failed.
    Forget(String),
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reload(_) => formatter.write_str("ask systemd to read its units again (Reload)"),
            Self::Take(unit) => write!(formatter, "ask systemd whether it takes {unit} (LoadUnit)"),
            Self::Enable(unit) => write!(formatter, "ask systemd to enable {unit} (EnableUnitFiles)"),
            Self::Disable(unit) => write!(formatter, "ask systemd to disable {unit} (DisableUnitFiles)"),
            Self::Stop(units) => write!(formatter, "ask systemd to stop {} (StopUnit)", units.join(", ")),
            Self::Start(units) => write!(formatter, "ask systemd to start {} (StartUnit)", units.join(", ")),
            Self::Forget(unit) => write!(formatter, "ask systemd to forget that {unit} has failed (ResetFailedUnit)"),
        }
    }
}

/// Why systemd stops the service whose main process asks, which was started for this scope. One that does not answer says
/// nothing.
#[must_use]
pub fn stop_cause(scope: Scope) -> StopCause {
    bus::stop_facts(scope).map_or(StopCause::Unknown, |facts| cause::of(&facts))
}

impl Systemd {
    /// The systemd of this machine, of the version it says it is. Where there is none to ask, plans can be made all the same.
    ///
    /// # Errors
    /// When the user whose services are meant has no home.
    pub fn found(scope: Scope) -> Result<Self, ManagerError> {
        let units = match scope {
            Scope::System => PathBuf::from(SYSTEM_UNITS),
            Scope::User => user_folder()?.join("systemd/user"),
        };
        let version = bus::version(scope).unwrap_or(Version::ASSUMED);
        Ok(Self { scope, version, units })
    }

    /// The one that plans are made for where there is none to ask, for services of the machine.
    #[must_use]
    pub fn assumed() -> Self {
        Self { scope: Scope::System, version: Version::ASSUMED, units: SYSTEM_UNITS.into() }
    }

    /// The files of a service's sockets, as far as they are there and ours. A socket has any name, so they are looked for.
    fn sockets_of(&self, name: &ServiceName) -> Vec<String> {
        let prefix = unit::sockets_prefix(name);
        let entries = fs::read_dir(&self.units).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> =
            names.filter(|file| file.starts_with(&prefix) && file.ends_with(".socket")).collect();
        names.sort();
        names
    }

    /// The timer of a delayed service, if it has one of ours.
    fn timer_of(&self, name: &ServiceName) -> Option<String> {
        let timer = unit::timer_name(name);
        let text = fs::read_to_string(self.units.join(&timer)).ok()?;
        text.contains(MARK).then_some(timer)
    }

    /// Whether a service is never started.
    fn is_disabled(&self, name: &ServiceName) -> bool {
        self.units.join(unit::disabled_names(name).1).exists()
    }

    /// What has a service never started.
    fn disabling(&self, name: &ServiceName) -> Vec<Step> {
        let (folder, file) = unit::disabled_names(name);
        vec![Step::folder(self.units.join(folder)), self.write(&file, unit::disabled(name))]
    }

    /// What takes that back, where it is so. Somebody may have put something of their own beside it.
    fn no_disabling(&self, name: &ServiceName) -> Vec<Step> {
        if !self.is_disabled(name) {
            return Vec::new();
        }
        let (folder, file) = unit::disabled_names(name);
        vec![self.remove(&file), Step::NoEmptyFolder { path: self.units.join(folder) }]
    }

    /// A service that was never started can be, when somebody asks.
    fn allow(&self, name: &ServiceName) -> Result<(), ManagerError> {
        let read_again = Call::Systemd(Request::Reload(vec![unit::service_name(name)]));
        let mut steps = self.no_disabling(name);
        steps.push(Step::call(read_again.clone()));
        let plan = Plan { steps, after_undo: vec![read_again] };
        carry_out(&plan, &|call| self.call(call), &|call| self.differences_of(call)).map(drop)
    }

    /// What of a service is enabled and disabled with it.
    fn enabled_with(&self, name: &ServiceName) -> Enabled {
        Enabled { service: unit::service_name(name), timer: self.timer_of(name), sockets: self.sockets_of(name) }
    }

    /// The folders above a user's units, which need not be there yet.
    fn folders(&self) -> Vec<&Path> {
        match self.scope {
            Scope::System => Vec::new(),
            Scope::User => {
                let mut folders: Vec<&Path> = self.units.ancestors().take(USER_FOLDERS).collect();
                folders.reverse();
                folders
            }
        }
    }

    /// What takes away units of a service that stays. It comes when everything else is done: a socket that is closed cannot be
    /// opened again while its service runs.
    fn forget_units(&self, units: Vec<String>) -> Vec<Step> {
        if units.is_empty() {
            return Vec::new();
        }
        let mut steps: Vec<Step> = units.iter().map(|unit| disable(unit)).collect();
        // While they are written down they can be stopped without a trace.
        steps.push(Step::call(Call::Systemd(Request::Stop(units.clone()))));
        steps.extend(units.iter().map(|unit| self.remove(unit)));
        steps.push(Step::call(Call::Systemd(Request::Reload(units))));
        steps
    }

    fn write(&self, name: &str, content: String) -> Step {
        Step::file(self.units.join(name), 0o644, content)
    }

    fn remove(&self, name: &str) -> Step {
        Step::NoFile { path: self.units.join(name), ownership: Ownership::Marked }
    }
}

/// `.config`, `systemd` and `user`.
const USER_FOLDERS: usize = 3;

/// The units of a service that are started at boot with it.
struct Enabled {
    service: String,
    timer: Option<String>,
    sockets: Vec<String>,
}

impl Enabled {
    /// What would start the service again goes before it.
    fn in_order_of_stop(&self) -> Vec<String> {
        self.sockets.iter().chain(&self.timer).chain([&self.service]).cloned().collect()
    }
}

impl ServiceManager for Systemd {
    fn kind(&self) -> ManagerKind {
        ManagerKind::Systemd
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn hint(&self) -> Option<String> {
        match self.scope {
            Scope::System => None,
            Scope::User => linger::trouble(&linger::ThisMachine).map(|trouble| trouble.to_string()),
        }
    }

    fn honours(&self, option: RegistrationOption) -> Result<(), &'static str> {
        values::honours(option, self.scope, self.version)
    }

    fn refused_values(&self, registration: &Registration) -> Vec<Unsupported> {
        values::refused(registration)
    }

    fn namesakes(&self, registration: &Registration) -> Vec<PathBuf> {
        let folders = bus::unit_folders(self.scope).unwrap_or_else(|_| usual_folders(self.scope));
        let name = &registration.name;
        let mut units = vec![unit::service_name(name)];
        if registration.start == StartType::Delayed {
            units.push(unit::timer_name(name));
        }
        units.extend(registration.sockets.iter().map(|socket| unit::socket_name(name, &socket.name)));
        // What is among our own units is looked at when they are written.
        let others = folders.iter().filter(|folder| **folder != self.units);
        others.flat_map(|folder| units.iter().map(|unit| folder.join(unit))).collect()
    }

    fn plan_of(&self, registration: &Registration) -> Plan {
        let name = &registration.name;
        let (service, timer) = (unit::service_name(name), unit::timer_name(name));
        let mut steps: Vec<Step> = self.folders().into_iter().map(Step::folder).collect();
        steps.push(self.write(&service, unit::service(registration, self.scope, self.version)));
        steps.extend(match registration.start {
            StartType::Disabled => self.disabling(name),
            StartType::Auto | StartType::Delayed | StartType::Manual => self.no_disabling(name),
        });
        let is_delayed = registration.start == StartType::Delayed;
        if is_delayed {
            steps.push(self.write(&timer, unit::timer(registration)));
        }
        let mut sockets = Vec::new();
        for socket in &registration.sockets {
            let name = unit::socket_name(name, &socket.name);
            steps.push(self.write(&name, unit::socket(registration, socket)));
            sockets.push(name);
        }
        let mut gone: Vec<String> = self.sockets_of(name).into_iter().filter(|one| !sockets.contains(one)).collect();
        if !is_delayed {
            gone.extend(self.timer_of(name));
        }
        let written = [service.clone()].into_iter().chain(sockets.iter().cloned());
        let read_again = Call::Systemd(Request::Reload(written.collect()));
        steps.push(Step::call(read_again.clone()));
        let written = [&service].into_iter().chain(&sockets);
        steps.extend(written.map(|unit| Step::call(Call::Systemd(Request::Take(unit.clone())))));
        let (started, not_started) = match registration.start {
            StartType::Auto => ([&[service][..], &sockets].concat(), vec![]),
            StartType::Delayed => ([&[timer][..], &sockets].concat(), vec![service]),
            StartType::Manual | StartType::Disabled => (vec![], [&[service][..], &sockets].concat()),
        };
        steps.extend(not_started.iter().map(|unit| disable(unit)));
        steps.extend(started.iter().map(|unit| enable(unit)));
        steps.extend(self.forget_units(gone));
        Plan { steps, after_undo: vec![read_again] }
    }

    fn removal_of(&self, name: &ServiceName) -> Plan {
        let units = self.enabled_with(name).in_order_of_stop();
        let mut steps = vec![Step::call(Call::Systemd(Request::Stop(units.clone())))];
        steps.extend(units.iter().map(|unit| disable(unit)));
        steps.extend(units.iter().map(|unit| self.remove(unit)));
        steps.extend(self.no_disabling(name));
        steps.extend(self.folders().into_iter().rev().map(|path| Step::NoEmptyFolder { path: path.to_owned() }));
        let read_again = Call::Systemd(Request::Reload(units.clone()));
        steps.push(Step::call(read_again.clone()));
        steps.extend(units.into_iter().map(|unit| Step::call(Call::Systemd(Request::Forget(unit)))));
        Plan { steps, after_undo: vec![read_again] }
    }

    fn call(&self, call: &Call) -> Result<(), ManagerError> {
        bus::call(self.scope, request(call)?)
    }

    fn differences_of(&self, call: &Call) -> Result<Vec<Difference>, ManagerError> {
        bus::differences(self.scope, request(call)?)
    }

    fn undo_of(&self, call: &Call) -> Result<Option<Call>, ManagerError> {
        let Request::Stop(units) = request(call)? else { return Ok(None) };
        let running = bus::running(self.scope, units)?;
        Ok((!running.is_empty()).then_some(Call::Systemd(Request::Start(running))))
    }

    fn act_by(&self, name: &ServiceName, verb: Verb, deadline: Deadline) -> Result<(), ManagerError> {
        let is_disabled = self.is_disabled(name);
        match verb {
            Verb::Start | Verb::Restart if is_disabled => {
                let why = "it is disabled, and starts once it was enabled".to_owned();
                return Err(ManagerError::CannotAct { manager: self.kind(), name: name.clone(), verb, why });
            }
            Verb::Enable if is_disabled => self.allow(name)?,
            Verb::Start
            | Verb::Restart
            | Verb::Enable
            | Verb::Stop
            | Verb::Pause
            | Verb::Continue
            | Verb::Reload
            | Verb::Disable => {}
        }
        bus::act(self.scope, name, verb, deadline, &self.enabled_with(name))
    }

    fn status(&self, name: &ServiceName) -> Result<Status, ManagerError> {
        let status = bus::status(self.scope, name, self.timer_of(name).as_deref())?;
        let is_disabled = status.start.is_some() && self.is_disabled(name);
        Ok(if is_disabled { Status { start: Some(StartType::Disabled), ..status } } else { status })
    }
}

fn enable(unit: &str) -> Step {
    let undo = Some(Call::Systemd(Request::Disable(unit.to_owned())));
    Step::Call { call: Call::Systemd(Request::Enable(unit.to_owned())), undo }
}

fn disable(unit: &str) -> Step {
    let undo = Some(Call::Systemd(Request::Enable(unit.to_owned())));
    Step::Call { call: Call::Systemd(Request::Disable(unit.to_owned())), undo }
}

/// systemd is told nothing but its own requests.
fn request(call: &Call) -> Result<&Request, ManagerError> {
    match call {
        Call::Systemd(request) => Ok(request),
        Call::Command { .. } | Call::Scm(_) => Err(ManagerError::Call {
            manager: ManagerKind::Systemd,
            call: call.to_string(),
            told: "it belongs to another manager".to_owned(),
        }),
    }
}

/// Where it looks for units if nobody told it otherwise, for when it cannot be asked (systemd.unit(5)).
fn usual_folders(scope: Scope) -> Vec<PathBuf> {
    let who = match scope {
        Scope::System => "system",
        Scope::User => "user",
    };
    let folders = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];
    folders.iter().map(|folder| Path::new(folder).join("systemd").join(who)).collect()
}

/// Where the configuration of the user who asks is.
fn user_folder() -> Result<PathBuf, ManagerError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let configured = variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    configured.or_else(|| variable("HOME").map(|home| home.join(".config"))).ok_or_else(|| ManagerError::Call {
        manager: ManagerKind::Systemd,
        call: "finding the folder of the user's units".to_owned(),
        told: "neither XDG_CONFIG_HOME nor HOME is set".to_owned(),
    })
}

#[cfg(test)]
#[path = "systemd/tests.rs"]
mod tests;
