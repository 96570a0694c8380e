//! launchd: a property list for each job, daemons in the system's domain and agents in a user's.
//!
//! A job is loaded (`bootstrap`) when it is to run and unloaded (`bootout`) when it is to stop: what is loaded, launchd would
//! start again. At boot, or when a user logs in, launchd loads by itself what is enabled.

mod job;

use std::fs;
use std::path::{Path, PathBuf};

use super::output::{self, Folder};
use super::refused;
use super::shell::text;
use super::tool::{self, Ran, Told};
use crate::service::deadline::Deadline;
use crate::service::manager::{ACT_WITHIN, Difference, ManagerError, ManagerKind, Scope, ServiceManager, Verb};
use crate::service::name::ServiceName;
use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::plan::{Call, Ownership, Plan, Step};
use crate::service::registration::{Registration, RestartPolicy, StartType};
use crate::service::status::{Exit, State, Status};

/// Whose jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// The machine's.
    System,
    /// A user's, while they are logged in.
    User {
        /// Their number.
        uid: u32,
        /// Their home.
        home: PathBuf,
    },
}

impl Domain {
    /// The machine's, or that of the user who asks.
    ///
    /// # Errors
    /// When it cannot be said who that is.
    pub fn found(scope: Scope) -> Result<Self, ManagerError> {
        match scope {
            Scope::System => Ok(Self::System),
            Scope::User => {
                let said = tool::run("id", &["-u"])?.done()?;
                let uid = said.trim().parse();
                let uid = uid.map_err(|_| ManagerError::Command { command: "id -u".to_owned(), told: said.clone() })?;
                let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
                Ok(Self::User { uid, home })
            }
        }
    }

    /// As launchctl is told it.
    fn target(&self) -> String {
        match self {
            Self::System => "system".to_owned(),
            Self::User { uid, home: _ } => format!("gui/{uid}"),
        }
    }

    fn folder(&self) -> PathBuf {
        match self {
            Self::System => "/Library/LaunchDaemons".into(),
            Self::User { uid: _, home } => home.join("Library/LaunchAgents"),
        }
    }

    /// Where what jobs write is kept.
    fn logs(&self) -> PathBuf {
        let logs = "Library/Logs/menshen";
        match self {
            Self::System => Path::new("/").join(logs),
            Self::User { uid: _, home } => home.join(logs),
        }
    }

    /// Where others put theirs, which are loaded as well (launchd(8)).
    const fn other_folders(&self) -> &'static [&'static str] {
        match self {
            Self::System => &["/System/Library/LaunchDaemons"],
            Self::User { .. } => &["/Library/LaunchAgents", "/System/Library/LaunchAgents"],
        }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Launchd {
    domain: Domain,
}

impl Launchd {
    /// With the jobs of a domain.
    #[must_use]
    pub const fn new(domain: Domain) -> Self {
        Self { domain }
    }

    fn file(&self, name: &ServiceName) -> PathBuf {
        self.domain.folder().join(format!("{name}.plist"))
    }

    /// The folder of what a job writes.
    fn written(&self, name: &ServiceName) -> PathBuf {
        self.domain.logs().join(name.as_str())
    }

    fn target(&self, name: &ServiceName) -> String {
        format!("{}/{name}", self.domain.target())
    }

    fn cannot(&self, name: &ServiceName, verb: Verb, why: &str) -> ManagerError {
        ManagerError::CannotAct { manager: self.kind(), name: name.clone(), verb, why: why.to_owned() }
    }

    fn is_disabled(&self, name: &ServiceName) -> Result<bool, ManagerError> {
        let said = launchctl(&["print-disabled", &self.domain.target()])?.done()?;
        let quoted = format!("\"{name}\"");
        let line = said.lines().find_map(|line| line.trim().strip_prefix(&quoted)?.trim().strip_prefix("=>"));
        Ok(line.is_some_and(|value| matches!(value.trim(), "disabled" | "true")))
    }

    fn start(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        if self.is_disabled(name)? {
            return Err(self.cannot(name, Verb::Start, "it is disabled; enable it first"));
        }
        if Loaded::ask(name)?.is_none() {
            told.run("launchctl", &["bootstrap", &self.domain.target(), &text(&self.file(name))])?.done()?;
        }
        told.run("launchctl", &["kickstart", &self.target(name)])?.done().map(drop)
    }

    fn stop(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        if Loaded::ask(name)?.is_none() {
            return Ok(());
        }
        let ran = told.run("launchctl", &["bootout", &self.target(name)])?;
        // It may take a while after it has answered.
        match told.until(|| Ok(Loaded::ask(name)?.is_none())) {
            Err(ManagerError::Overdue { .. }) if ran.code != Some(0) => Err(ran.failure()),
            waited => waited,
        }
    }

    fn reload(&self, name: &ServiceName) -> Result<(), ManagerError> {
        let file = fs::read_to_string(self.file(name)).unwrap_or_default();
        match job::reload_signal(&file) {
            Some(signal) => launchctl(&["kill", signal, &self.target(name)])?.done().map(drop),
            None => {
                Err(self.cannot(name, Verb::Reload, "nothing was registered that has it read its configuration again"))
            }
        }
    }
}

/// What launchd is asked by a plan and may have done already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Enable,
    Disable,
    Unload,
}

/// What a plan asks, and of which job.
fn asked(call: &Call) -> Option<(Asked, ServiceName)> {
    let (_, words) = call.as_command()?;
    let [verb, target] = words else { return None };
    let asked = match verb.as_str() {
        "enable" => Asked::Enable,
        "disable" => Asked::Disable,
        "bootout" => Asked::Unload,
        _ => return None,
    };
    Some((asked, target.rsplit('/').next()?.parse().ok()?))
}

fn launchctl(words: &[&str]) -> Result<Ran, ManagerError> {
    tool::run("launchctl", words)
}

/// What `launchctl list` says of a job that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Loaded {
    pid: Option<u32>,
    /// As wait(2) has it.
    status: i32,
}

impl Loaded {
    fn ask(name: &ServiceName) -> Result<Option<Self>, ManagerError> {
        let ran = launchctl(&["list", name.as_str()])?;
        Ok((ran.code == Some(0)).then(|| Self::of(&ran.said)))
    }

    fn of(said: &str) -> Self {
        let number = |key: &str| {
            let line = said.lines().find_map(|line| line.trim().strip_prefix(&format!("\"{key}\"")));
            line?.trim().strip_prefix('=')?.trim().trim_end_matches(';').parse::<i32>().ok()
        };
        Self { pid: number("PID").and_then(|pid| pid.try_into().ok()), status: number("LastExitStatus").unwrap_or(0) }
    }

    const fn exit(self) -> Exit {
        let signal = self.status & 0x7f;
        if signal == 0 { Exit::Code((self.status >> 8) & 0xff) } else { Exit::Signal(signal) }
    }
}

impl ServiceManager for Launchd {
    fn kind(&self) -> ManagerKind {
        ManagerKind::Launchd
    }

    fn scope(&self) -> Scope {
        match self.domain {
            Domain::System => Scope::System,
            Domain::User { .. } => Scope::User,
        }
    }

    fn honours(&self, option: RegistrationOption) -> Result<(), &'static str> {
        use RegistrationOption as O;
        match (self.scope(), option) {
            (Scope::User, O::AccountUser | O::AccountGroup) => {
                Err("an agent runs as its user; register a daemon instead")
            }
            (Scope::System | Scope::User, _) => honours(option),
        }
    }

    fn refused_values(&self, registration: &Registration) -> Vec<Unsupported> {
        let mut refused = refused::values(registration);
        if registration.start == StartType::Manual && registration.restart.policy != RestartPolicy::Never {
            let why = "launchd starts at boot whatever it starts again; ask for restart = never, or start = disabled";
            refused.push(Unsupported { option: RegistrationOption::StartManual, why });
        }
        if super::shell::directory(registration).contains(job::is_impossible) {
            let why = "it has a character that a property list cannot have";
            refused.push(Unsupported { option: RegistrationOption::Directory, why });
        }
        refused
    }

    fn namesakes(&self, registration: &Registration) -> Vec<PathBuf> {
        let file = format!("{}.plist", registration.name);
        self.domain.other_folders().iter().map(|folder| Path::new(folder).join(&file)).collect()
    }

    fn plan_of(&self, registration: &Registration) -> Plan {
        let name = &registration.name;
        let (told, back) = match registration.start {
            StartType::Auto | StartType::Delayed | StartType::Manual => ("enable", "disable"),
            StartType::Disabled => ("disable", "enable"),
        };
        let tell = |verb: &str| Call::command("launchctl", &[verb, &self.target(name)]);
        let written = self.written(name);
        let mut steps = output::steps(&written, Folder::Passable);
        steps.extend([
            Step::folder(self.domain.folder()),
            Step::file(self.file(name), 0o644, job::job(registration, &output::file(&written))),
            Step::Call { call: tell(told), undo: Some(tell(back)) },
        ]);
        Plan { steps, after_undo: Vec::new() }
    }

    fn removal_of(&self, name: &ServiceName) -> Plan {
        let file = Step::NoFile { path: self.file(name), ownership: Ownership::Marked };
        let tell = |words: &[&str]| Call::command("launchctl", words);
        // A job that does not run, or has failed, may be loaded all the same. What is loaded again is where the file is again.
        let load = tell(&["bootstrap", &self.domain.target(), &text(&self.file(name))]);
        let unload = Step::Call { call: tell(&["bootout", &self.target(name)]), undo: Some(load) };
        let enable = Step::call(tell(&["enable", &self.target(name)]));
        let written = output::no_steps(&self.written(name));
        Plan { steps: [unload, file, enable].into_iter().chain(written).collect(), after_undo: Vec::new() }
    }

    fn log_of(&self, name: &ServiceName) -> Option<PathBuf> {
        Some(output::file(&self.written(name)))
    }

    fn call(&self, call: &Call) -> Result<(), ManagerError> {
        match asked(call) {
            Some((Asked::Unload, name)) => {
                let deadline = Deadline::after(ACT_WITHIN);
                self.stop(&Told { manager: self, name: &name, verb: Verb::Stop, deadline })
            }
            Some((Asked::Enable | Asked::Disable, _)) | None => tool::command(call)?.done().map(drop),
        }
    }

    fn differences_of(&self, call: &Call) -> Result<Vec<Difference>, ManagerError> {
        let is_so = match asked(call) {
            Some((Asked::Enable, name)) => !self.is_disabled(&name)?,
            Some((Asked::Disable, name)) => self.is_disabled(&name)?,
            Some((Asked::Unload, name)) => Loaded::ask(&name)?.is_none(),
            None => false,
        };
        Ok(if is_so { vec![] } else { vec![Difference::undone(call)] })
    }

    fn act_by(&self, name: &ServiceName, verb: Verb, deadline: Deadline) -> Result<(), ManagerError> {
        let told = Told { manager: self, name, verb, deadline };
        if !self.file(name).is_file() {
            return Err(ManagerError::NotInstalled { name: name.clone(), manager: self.kind() });
        }
        match verb {
            Verb::Start => self.start(&told),
            Verb::Stop => self.stop(&told),
            Verb::Restart => self.stop(&told).and_then(|()| self.start(&told)),
            Verb::Pause | Verb::Continue => Err(self.cannot(name, verb, "launchd cannot pause jobs")),
            Verb::Reload => self.reload(name),
            Verb::Enable | Verb::Disable => launchctl(&[verb.as_str(), &self.target(name)])?.done().map(drop),
        }
    }

    fn status(&self, name: &ServiceName) -> Result<Status, ManagerError> {
        let Ok(file) = fs::read_to_string(self.file(name)) else { return Ok(Status::NOT_INSTALLED) };
        let start = match (self.is_disabled(name)?, job::runs_at_load(&file)) {
            (true, _) => StartType::Disabled,
            (false, true) => StartType::Auto,
            (false, false) => StartType::Manual,
        };
        let loaded = Loaded::ask(name)?;
        let state = match loaded {
            None | Some(Loaded { pid: None, status: 0 }) => State::Stopped,
            Some(Loaded { pid: Some(_), .. }) => State::Running,
            Some(Loaded { pid: None, .. }) if job::is_kept_alive(&file) => State::Backoff,
            Some(Loaded { pid: None, .. }) => State::Failed,
        };
        let (pid, exit) = loaded.map_or((None, None), |loaded| (loaded.pid, Some(loaded.exit())));
        Ok(Status { state, pid, start: Some(start), exit, text: None, progress: None })
    }
}

fn honours(option: RegistrationOption) -> Result<(), &'static str> {
    use RegistrationOption as O;
    const DEPENDENCIES: &str =
        "launchd starts everything at once; let the program wait for what it needs, or the guard";
    match option {
        O::DisplayName
        | O::Description
        | O::Directory
        | O::Environment
        | O::AccountUser
        | O::AccountGroup
        | O::StartManual
        | O::StartDisabled
        | O::StopTimeout
        | O::ReloadSignal
        | O::RestartAlways
        | O::RestartOnFailure
        | O::RestartNever
        | O::RestartDelay
        | O::ChildrenKept
        | O::OpenFiles
        | O::SocketTcp
        | O::SocketUdp
        | O::SocketLocal => Ok(()),
        O::AccountPassword => Err(refused::PASSWORD),
        O::AccountLocalService | O::AccountNetworkService | O::AccountVirtual | O::AccountGroupManaged => {
            Err(refused::WINDOWS_ACCOUNT)
        }
        O::StartDelayed => Err(refused::DELAYED),
        O::DependsOnService | O::DependsOnNetwork => Err(DEPENDENCIES),
        O::DependsOnGroup => Err(refused::GROUP),
        O::ProtocolNative => Err(refused::PROTOCOL),
        O::StartTimeout => Err(refused::START_TIMEOUT),
        O::StopSignal | O::StopCommand => Err("launchd stops jobs by SIGTERM; let the guard stop the program"),
        O::ReloadCommand => Err("launchd has no reload; name a signal"),
        O::ReloadNative => Err(refused::RELOAD_NATIVE),
        O::RestartBackoff => Err(refused::BACKOFF),
        O::RestartReset => Err(refused::RESET),
        O::Watchdog => Err(refused::WATCHDOG),
        O::HardeningStandard | O::HardeningStrict => Err(refused::HARDENING),
        O::WindowsSid
        | O::WindowsRequiredPrivileges
        | O::WindowsSecurityDescriptor
        | O::WindowsTriggers
        | O::WindowsPreshutdownTimeout
        | O::WindowsLoadOrderGroup
        | O::WindowsFailures => Err(refused::WINDOWS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_unloaded_before_it_is_forgotten_whether_it_runs_or_not() {
        let launchd = Launchd::new(Domain::System);
        let name: ServiceName = "web".parse().unwrap();
        let plan = launchd.removal_of(&name);
        let shown: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        let file = "/Library/LaunchDaemons/web.plist";
        assert_eq!(
            shown,
            [
                "run launchctl bootout system/web",
                &format!("remove {file}"),
                "run launchctl enable system/web",
                "remove the folder /Library/Logs/menshen/web",
                "remove the folder /Library/Logs/menshen if it is empty",
            ]
        );
        let Step::Call { call, undo: Some(undo) } = &plan.steps[0] else { panic!("{plan:?}") };
        assert_eq!(undo.to_string(), format!("run launchctl bootstrap system {file}"));
        assert_eq!(asked(call), Some((Asked::Unload, name)));
        assert_eq!(asked(undo), None, "a job that is loaded again is not asked about");
    }

    #[test]
    fn what_launchctl_lists_of_a_job_is_read() {
        let said = "{\n\t\"LimitLoadToSessionType\" = \"System\";\n\t\"LastExitStatus\" = 768;\n\t\"PID\" = 41;\n};\n";
        assert_eq!(Loaded::of(said), Loaded { pid: Some(41), status: 768 });
        assert_eq!(Loaded::of(said).exit(), Exit::Code(3));
        assert_eq!(Loaded::of("{\n\t\"LastExitStatus\" = 9;\n};\n"), Loaded { pid: None, status: 9 });
        assert_eq!(Loaded { pid: None, status: 9 }.exit(), Exit::Signal(9));
    }
}
