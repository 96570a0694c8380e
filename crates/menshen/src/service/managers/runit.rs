//! runit: a folder for each service, with the scripts that `runsv` runs.
//!
//! - `run` executes the program. `finish` is run when it has ended: it ends what is left of its processes, notes how the
//!   program ended, and waits or has runsv give it up.
//! - `log/run` writes what the program writes into files, of which it keeps some.
//! - `control/t` and `control/h` are run instead of sending SIGTERM and SIGHUP, where another way was agreed.
//! - `down` keeps runsv from starting it by itself; `disabled`, which is ours, keeps us from starting it. Without a link in the
//!   scanned folder there is no runsv, and what runs is stopped: so a service has its link for as long as it is installed.
//!
//! The state is read from `supervise/status`, which runsv keeps for programs (runsv(8)).

mod scripts;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fact::Fact as Every;
use super::refused;
use super::shell::text;
use super::supervised::{DISABLED, DOWN, Fact, not_disabled, said_by};
use super::tool::{self, Ran, Told};
use super::variables;
use crate::service::deadline::Deadline;
use crate::service::manager::{Difference, ManagerError, ManagerKind, Scope, ServiceManager, Verb};
use crate::service::name::ServiceName;
use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::plan::{Call, Ownership, Plan, Step};
use crate::service::registration::{Registration, StartType};
use crate::service::status::{Exit, State, Status};

/// Where what services write is kept.
const LOGS: &str = "/var/log/runit";
/// How long runsvdir may take to see a change; it looks every five seconds.
const SEEN_WITHIN: Duration = Duration::from_secs(15);
/// How long a start or a stop is waited for where the service says nothing else.
const DONE_WITHIN: Duration = Duration::from_secs(60);
/// What a stop may take beyond the time the service has for it.
const GRACE: Duration = Duration::from_secs(10);
/// A file of ours in the service's folder: how many seconds its stop may take.
const STOP_TIMEOUT: &str = "stop-timeout";
/// A file of ours in the service's folder: its variables.
const VARIABLES: &str = "variables";
/// What `finish` keeps below `supervise`: the code, the signal, and `failed` where runsv was told to give the service up.
const ENDED: &str = "supervise/ended";

/// Where runit's folders are. Distributions differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The folder of the services' folders.
    pub services: PathBuf,
    /// The folder that `runsvdir` scans for links to them.
    pub scanned: PathBuf,
    /// The folder of the folders of what they write.
    pub logs: PathBuf,
}

impl Places {
    /// As most machines have them.
    #[must_use]
    pub fn usual() -> Self {
        Self { services: "/etc/sv".into(), scanned: "/etc/service".into(), logs: LOGS.into() }
    }

    /// As this machine has them: the first of the known folders that there is.
    #[must_use]
    pub fn found() -> Self {
        let first = |folders: &[&str]| {
            let there = folders.iter().find(|folder| Path::new(folder).is_dir());
            there.or_else(|| folders.first()).map(PathBuf::from).unwrap_or_default()
        };
        let scanned = first(&["/etc/service", "/var/service", "/service"]);
        Self { services: first(&["/etc/sv"]), scanned, logs: LOGS.into() }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Runit {
    places: Places,
}

impl Runit {
    /// With folders at these places.
    #[must_use]
    pub const fn new(places: Places) -> Self {
        Self { places }
    }

    fn folder(&self, name: &ServiceName) -> PathBuf {
        self.places.services.join(name.as_str())
    }

    fn link(&self, name: &ServiceName) -> PathBuf {
        self.places.scanned.join(name.as_str())
    }

    /// The folder of what it writes.
    fn logs(&self, name: &ServiceName) -> PathBuf {
        self.places.logs.join(name.as_str())
    }

    fn hold_installed(&self, name: &ServiceName) -> Result<(), ManagerError> {
        if self.folder(name).join("run").is_file() {
            Ok(())
        } else {
            Err(ManagerError::NotInstalled { name: name.clone(), manager: self.kind() })
        }
    }

    fn cannot(&self, name: &ServiceName, verb: Verb, why: &str) -> ManagerError {
        ManagerError::CannotAct { manager: self.kind(), name: name.clone(), verb, why: why.to_owned() }
    }

    fn start(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        if self.start_type(name) == StartType::Disabled {
            return Err(self.cannot(name, Verb::Start, "it is disabled; enable it first"));
        }
        self.await_supervised(name)?;
        let folder = self.folder(name);
        let is_up = || Supervised::read(&folder).is_some_and(|seen| seen.run == Run::Up);
        if is_up() && self.status(name)?.state != State::Stopping {
            return Ok(());
        }
        forget_end(&folder)?;
        sv(&["up", &text(&folder)])?.done()?;
        // One that ends at once may never be seen up.
        told.or_after(DONE_WITHIN).until(|| Ok(is_up() || folder.join(ENDED).exists()))
    }

    /// Waits until it is down, for as long as the service has for its stop.
    fn stop(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        let folder = self.folder(name);
        if is_supervised(&folder)? {
            sv(&["down", &text(&folder)])?.done()?;
            let seconds = fs::read_to_string(folder.join(STOP_TIMEOUT)).ok().and_then(|text| text.trim().parse().ok());
            let within = seconds.map_or(DONE_WITHIN, |seconds| Duration::from_secs(seconds) + GRACE);
            let is_down = || Ok(Supervised::read(&folder).is_none_or(|seen| seen.run == Run::Down));
            told.or_after(within).until(is_down)?;
        }
        // Whoever stops a service that has failed has seen it.
        forget_end(&folder)
    }

    /// Sends what changes the state of a running service, and waits until it is in that state.
    fn tell_running(&self, told: &Told<'_>, command: &str) -> Result<(), ManagerError> {
        let Told { name, verb, .. } = *told;
        let state = self.status(name)?.state;
        if !matches!(state, State::Running | State::Paused) {
            return Err(self.cannot(name, verb, "it does not run"));
        }
        sv(&[command, &text(&self.folder(name))])?.done()?;
        match tool::reached_by(verb) {
            Some(wanted) => self.wait_for(name, wanted, told.or_after(DONE_WITHIN).deadline.left()).map(drop),
            None => Ok(()),
        }
    }

    fn reload(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        if !self.folder(name).join("control/h").is_file() {
            return Err(self.cannot(
                name,
                Verb::Reload,
                "nothing was registered that has it read its configuration again",
            ));
        }
        self.tell_running(told, "hup")
    }

    /// It is not started before the next boot.
    fn enable(&self, name: &ServiceName) -> Result<(), ManagerError> {
        let plan = Plan { steps: self.steps_of_start(name, StartType::Auto), after_undo: Vec::new() };
        self.carry_out(&plan).map(drop)
    }

    fn start_type(&self, name: &ServiceName) -> StartType {
        let folder = self.folder(name);
        match (self.link(name).exists() && !folder.join(DISABLED).exists(), folder.join(DOWN).exists()) {
            (false, _) => StartType::Disabled,
            (true, true) => StartType::Manual,
            (true, false) => StartType::Auto,
        }
    }

    fn keep_down(&self, name: &ServiceName) -> Call {
        Call::making(Every::Runit(Fact::KeptDown(name.clone())), "touch", &[&text(&self.folder(name).join(DOWN))])
    }

    fn let_up(&self, name: &ServiceName) -> Call {
        Call::making(Every::Runit(Fact::LetUp(name.clone())), "rm", &["-f", &text(&self.folder(name).join(DOWN))])
    }

    fn await_supervised(&self, name: &ServiceName) -> Result<(), ManagerError> {
        let folder = self.folder(name);
        let is_logged = || Supervised::read(&folder.join("log")).is_none_or(|seen| seen.run == Run::Up);
        if tool::until(SEEN_WITHIN, || Ok(is_supervised(&folder)? && is_logged()))? {
            return Ok(());
        }
        let call = format!("supervise {}", folder.display());
        let told = format!("no runsv within {SEEN_WITHIN:?}; does runsvdir scan {}?", self.places.scanned.display());
        Err(ManagerError::Call { manager: self.kind(), call, told })
    }

    /// The steps by which a service is there and supervised, and does not run before somebody wants it to.
    fn steps_of_start(&self, name: &ServiceName, start: StartType) -> Vec<Step> {
        let (folder, link) = (self.folder(name), self.link(name));
        let linked = Step::Link { path: link, target: folder.clone() };
        let fact = Every::Runit(Fact::Supervised(name.clone()));
        let supervised = Step::call(Call::making(fact, "sv", &["status", &text(&folder)]));
        let empty = |file: &str| said_by(&folder, file);
        let not_disabled = not_disabled(&folder);
        match start {
            // Only a service that is new is kept down, and only until it is supervised.
            StartType::Auto | StartType::Delayed => {
                let down = Step::Call { call: self.keep_down(name), undo: Some(self.let_up(name)) };
                vec![down, linked, supervised, not_disabled, Step::call(self.let_up(name))]
            }
            StartType::Manual => vec![empty(DOWN), linked, supervised, not_disabled],
            StartType::Disabled => vec![empty(DISABLED), empty(DOWN), linked, supervised],
        }
    }
}

impl ServiceManager for Runit {
    fn kind(&self) -> ManagerKind {
        ManagerKind::Runit
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
        vec![self.link(&registration.name)]
    }

    fn plan_of(&self, registration: &Registration) -> Plan {
        let folder = self.folder(&registration.name);
        let variables = folder.join(VARIABLES);
        let service = scripts::executed(registration, &variables);
        let mut steps = vec![Step::Folder { path: folder.clone(), mode: 0o755 }];
        steps.extend(variables::steps(&variables, registration));
        steps.push(Step::file(folder.join("run"), 0o755, scripts::run(&service, &self.places.scanned)));
        steps.push(Step::file(folder.join("finish"), 0o755, scripts::finish(registration)));
        let logs = self.logs(&registration.name);
        steps.extend([Step::folder(&self.places.logs), Step::Folder { path: logs.clone(), mode: 0o750 }]);
        steps.push(Step::folder(folder.join("log")));
        steps.push(Step::file(folder.join("log/run"), 0o755, scripts::log(registration, &logs)));
        steps.push(Step::Folder { path: folder.join("control"), mode: 0o755 });
        let optional = [
            ("control/t", 0o755, scripts::terminate(&service)),
            ("control/h", 0o755, scripts::reload(&service)),
            (STOP_TIMEOUT, 0o644, scripts::stop_timeout(registration)),
        ];
        for (name, mode, content) in optional {
            let (path, ownership) = (folder.join(name), Ownership::ByPlace);
            steps.push(match content {
                Some(content) => Step::File { path, mode, content, ownership },
                None => Step::NoFile { path, ownership },
            });
        }
        steps.extend(self.steps_of_start(&registration.name, registration.start));
        Plan { steps, after_undo: Vec::new() }
    }

    fn removal_of(&self, name: &ServiceName) -> Plan {
        let folder = self.folder(name);
        let fact = Every::Runit(Fact::NotSupervised(name.clone()));
        let shutdown = Call::making(fact, "sv", &["-w", "30", "shutdown", &text(&folder)]);
        let steps = vec![
            // Whether it is ours is seen first.
            Step::NoFile { path: folder.join("run"), ownership: Ownership::Marked },
            Step::NoFile { path: self.link(name), ownership: Ownership::ByPlace },
            Step::call(shutdown),
            Step::NoFolder { path: folder },
            Step::NoFolder { path: self.logs(name) },
            Step::NoEmptyFolder { path: self.places.logs.clone() },
        ];
        Plan { steps, after_undo: Vec::new() }
    }

    fn log_of(&self, name: &ServiceName) -> Option<PathBuf> {
        Some(self.logs(name).join("current"))
    }

    fn call(&self, call: &Call) -> Result<(), ManagerError> {
        match runit_fact(call) {
            Some(Fact::Supervised(name)) => self.await_supervised(name),
            Some(Fact::NotSupervised(name)) => {
                let ran = tool::command(call)?;
                // runsvdir ends it as well when it sees that the link is gone.
                if ran.code != Some(0) && is_supervised(&self.folder(name))? { Err(ran.failure()) } else { Ok(()) }
            }
            Some(Fact::KeptDown(_) | Fact::LetUp(_)) | None => tool::command(call)?.done().map(drop),
        }
    }

    fn differences_of(&self, call: &Call) -> Result<Vec<Difference>, ManagerError> {
        let is_so = match runit_fact(call) {
            Some(Fact::Supervised(name)) => is_supervised(&self.folder(name))?,
            Some(Fact::NotSupervised(name)) => !is_supervised(&self.folder(name))?,
            Some(Fact::KeptDown(name)) => self.link(name).exists(),
            Some(Fact::LetUp(name)) => !self.folder(name).join(DOWN).exists(),
            None => false,
        };
        Ok(if is_so { vec![] } else { vec![Difference::undone(call)] })
    }

    fn act_by(&self, name: &ServiceName, verb: Verb, deadline: Deadline) -> Result<(), ManagerError> {
        let told = Told { manager: self, name, verb, deadline };
        self.hold_installed(name)?;
        match verb {
            Verb::Start => self.start(&told),
            Verb::Stop => self.stop(&told),
            Verb::Restart => self.stop(&told).and_then(|()| self.start(&told)),
            Verb::Pause => self.tell_running(&told, "pause"),
            Verb::Continue => self.tell_running(&told, "cont"),
            Verb::Reload => self.reload(&told),
            Verb::Enable => self.enable(name),
            Verb::Disable => tool::command(&self.keep_down(name))?.done().map(drop),
        }
    }

    fn status(&self, name: &ServiceName) -> Result<Status, ManagerError> {
        let folder = self.folder(name);
        if self.hold_installed(name).is_err() {
            return Ok(Status::NOT_INSTALLED);
        }
        let start = self.start_type(name);
        let seen = if is_supervised(&folder)? { Supervised::read(&folder) } else { None };
        let ended = Ended::read(&folder);
        let state = seen.as_ref().map_or(State::Stopped, |seen| seen.state(ended.as_ref()));
        let pid = seen.filter(|seen| seen.run == Run::Up).map(|seen| seen.pid);
        Ok(Status { state, pid, start: Some(start), exit: ended.map(|ended| ended.exit), text: None, progress: None })
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
        | O::AccountGroup
        | O::StartManual
        | O::StartDisabled
        | O::DependsOnService
        | O::StopTimeout
        | O::StopSignal
        | O::StopCommand
        | O::ReloadSignal
        | O::ReloadCommand
        | O::RestartAlways
        | O::RestartOnFailure
        | O::RestartNever
        | O::RestartDelay
        | O::ChildrenKept
        | O::OpenFiles => Ok(()),
        O::AccountPassword => Err(refused::PASSWORD),
        O::AccountLocalService | O::AccountNetworkService | O::AccountVirtual | O::AccountGroupManaged => {
            Err(refused::WINDOWS_ACCOUNT)
        }
        O::StartDelayed => Err(refused::DELAYED),
        O::DependsOnGroup => Err(refused::GROUP),
        O::DependsOnNetwork => Err("runit does not know of the network; name the service that brings it up"),
        O::ProtocolNative => Err(refused::PROTOCOL),
        O::StartTimeout => Err(refused::START_TIMEOUT),
        O::ReloadNative => Err(refused::RELOAD_NATIVE),
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

fn runit_fact(call: &Call) -> Option<&Fact> {
    match call.fact()? {
        Every::Runit(fact) => Some(fact),
        Every::OpenRc(_) | Every::SysV(_) | Every::S6(_) | Every::Dinit(_) | Every::FreeBsdRc(_) => None,
    }
}

fn sv(arguments: &[&str]) -> Result<Ran, ManagerError> {
    tool::run("sv", arguments)
}

/// Forgets how the program ended the last time.
fn forget_end(folder: &Path) -> Result<(), ManagerError> {
    match fs::remove_file(folder.join(ENDED)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(ManagerError::File { what: "removing", path: folder.join(ENDED), source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether a runsv is there. `sv status` ends with anything but 0 if there is none (sv(8)).
fn is_supervised(folder: &Path) -> Result<bool, ManagerError> {
    Ok(sv(&["status", &text(folder)])?.code == Some(0))
}

/// What runsv says of a service: `supervise/status`, in the form that daemontools gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Supervised {
    run: Run,
    pid: u32,
    is_paused: bool,
    is_wanted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Down,
    Up,
    Finishing,
}

impl Supervised {
    fn read(folder: &Path) -> Option<Self> {
        Self::of(&fs::read(folder.join("supervise/status")).ok()?)
    }

    /// Twelve bytes of time; the process, the least significant byte first; whether it is paused, is wanted (`u`), was sent
    /// SIGTERM; and its state.
    fn of(status: &[u8]) -> Option<Self> {
        let status: &[u8; 20] = status.try_into().ok()?;
        let pid = u32::from_le_bytes(status[12..16].try_into().ok()?);
        let run = match status[19] {
            0 => Run::Down,
            1 => Run::Up,
            2 => Run::Finishing,
            _ => return None,
        };
        Some(Self { run, pid, is_paused: status[16] != 0, is_wanted: status[17] == b'u' })
    }

    fn state(&self, ended: Option<&Ended>) -> State {
        let has_failed = ended.is_some_and(|ended| ended.verdict == Verdict::Failed);
        match (self.run, self.is_wanted) {
            (Run::Up, true) if self.is_paused => State::Paused,
            (Run::Up, true) => State::Running,
            (Run::Up, false) => State::Stopping,
            (Run::Finishing | Run::Down, true) => State::Backoff,
            (Run::Finishing | Run::Down, false) if has_failed => State::Failed,
            (Run::Finishing, false) => State::Stopping,
            (Run::Down, false) => State::Stopped,
        }
    }
}

/// What `finish` noted when the program had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ended {
    exit: Exit,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    None,
    Failed,
}

impl Ended {
    fn read(folder: &Path) -> Option<Self> {
        Self::of(&fs::read_to_string(folder.join(ENDED)).ok()?)
    }

    fn of(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let code: i32 = words.next()?.parse().ok()?;
        let signal: i32 = words.next()?.parse().ok()?;
        let exit = if code >= 0 { Exit::Code(code) } else { Exit::Signal(signal) };
        let verdict = if words.next() == Some("failed") { Verdict::Failed } else { Verdict::None };
        Some(Self { exit, verdict })
    }
}
