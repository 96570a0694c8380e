//! s6: a folder for each service, with the scripts and settings that `s6-supervise` reads.
//!
//! - `run` executes the program. `finish` is run when it has ended: it ends what is left of its processes, and waits or, by
//!   ending with 125, has s6-supervise give it up.
//! - `log/run` writes what the program writes into files, of which it keeps some.
//! - `notification-fd`, `down-signal`, `timeout-kill` and `timeout-finish` are s6's own settings.
//! - `down` keeps s6-supervise from starting it by itself; `disabled`, which is ours, keeps us from starting it. Without a link
//!   in the scanned folder there is no s6-supervise, and what runs is stopped: so a service has its link for as long as it is
//!   installed.
//! - `data/reload` is ours: it has the program read its configuration again.

mod scripts;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fact::Fact as Every;
use super::refused;
use super::shell::text;
use super::supervised::{DISABLED, DOWN, Fact, not_disabled, said_by};
use super::tool::{self, Told};
use super::variables;
use crate::service::deadline::Deadline;
use crate::service::manager::{Difference, ManagerError, ManagerKind, Scope, ServiceManager, Verb};
use crate::service::name::ServiceName;
use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::plan::{Call, Ownership, Plan, Step};
use crate::service::registration::{Registration, StartType};
use crate::service::status::{Exit, State, Status};

/// Where what services write is kept.
const LOGS: &str = "/var/log/s6";
/// How long s6-svscan may take to begin or end supervising, in milliseconds.
const SEEN_WITHIN_MS: &str = "15000";
/// How long a start or a stop is waited for where the service says nothing else.
const DONE_WITHIN: Duration = Duration::from_secs(60);
/// What a stop may take beyond the time the service has for it.
const GRACE: Duration = Duration::from_secs(10);
/// The code of s6-svc where what it waits for was not in time.
const TIMED_OUT: i32 = 99;
/// A file of ours in the service's folder: its variables.
const VARIABLES: &str = "variables";
/// What `finish` makes below `supervise` where it has the service given up.
const FAILED: &str = "supervise/failed";
/// What s6-linux-init makes the scanned folder from at boot.
const IMAGE: &str = "/etc/s6-linux-init/current/run-image/service";
/// What s6-svstat is asked for, in the order of [`Supervised::of`].
const FIELDS: &str = "up,wantedup,ready,paused,pid,pgid,exitcode,signum";

/// Where s6's folders are. Every machine has others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The folder of the services' folders.
    pub services: PathBuf,
    /// The folder that `s6-svscan` scans for links to them.
    pub scanned: PathBuf,
    /// What the scanned folder is made from at boot, where it does not survive that.
    pub boot: Option<PathBuf>,
    /// The folder of the folders of what they write.
    pub logs: PathBuf,
}

impl Places {
    /// As they are with s6-linux-init.
    #[must_use]
    pub fn usual() -> Self {
        let (services, scanned) = ("/etc/s6/sv".into(), "/run/service".into());
        Self { services, scanned, boot: Some(IMAGE.into()), logs: LOGS.into() }
    }

    /// As this machine has them: the folder that an s6-svscan has marked as its own, and s6-linux-init's image of it.
    #[must_use]
    pub fn found() -> Self {
        let scanned = ["/run/service", "/etc/s6/service", "/etc/service", "/var/service", "/service"];
        let there = scanned.iter().find(|folder| Path::new(folder).join(".s6-svscan").is_dir());
        let image = PathBuf::from(IMAGE);
        Self {
            services: "/etc/s6/sv".into(),
            scanned: there.unwrap_or(&scanned[0]).into(),
            boot: Some(image).filter(|image| image.is_dir()),
            logs: LOGS.into(),
        }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct S6 {
    places: Places,
}

impl S6 {
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

    /// The link by which it is supervised after the next boot.
    fn boot_link(&self, name: &ServiceName) -> Option<PathBuf> {
        self.places.boot.as_ref().map(|boot| boot.join(name.as_str()))
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

    /// s6-svc waits by events, so that one that ends at once is seen, too.
    fn start(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        let folder = self.folder(name);
        if self.start_type(name) == StartType::Disabled || !self.link(name).exists() {
            return Err(self.cannot(name, Verb::Start, "it is disabled; enable it first"));
        }
        if Supervised::ask(&folder)?.is_some_and(|seen| seen.is_up && seen.is_wanted) {
            return Ok(());
        }
        forget_failure(&folder)?;
        let told = told.or_after(DONE_WITHIN);
        wait_by(&told, &["-u", "-wu"], &folder)?;
        if !folder.join("notification-fd").exists() {
            return Ok(());
        }
        // It says that it is ready, or ends before.
        let mut is_ready = false;
        told.until(|| {
            let seen = Supervised::ask(&folder)?;
            is_ready = seen.is_some_and(|seen| seen.is_ready);
            Ok(is_ready || seen.is_none_or(|seen| !seen.is_up))
        })?;
        if is_ready { Ok(()) } else { Err(self.not_ready(&told)) }
    }

    /// That it ended before it was ready.
    fn not_ready(&self, told: &Told<'_>) -> ManagerError {
        let (name, wanted, within) = (told.name.clone(), State::Running, told.deadline.within());
        match self.status(&name) {
            Ok(status) => ManagerError::NotReached { name, wanted, state: status.state, within },
            Err(error) => error,
        }
    }

    fn stop(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let folder = self.folder(told.name);
        if Supervised::ask(&folder)?.is_some() {
            let kill = fs::read_to_string(folder.join("timeout-kill")).ok().and_then(|text| text.trim().parse().ok());
            let within = kill.map_or(DONE_WITHIN, |ms| Duration::from_millis(ms) + GRACE);
            wait_by(&told.or_after(within), &["-d", "-wD"], &folder)?;
        }
        // Whoever stops a service that has failed has seen it.
        forget_failure(&folder)
    }

    fn tell_running(&self, told: &Told<'_>, option: &str) -> Result<(), ManagerError> {
        let Told { name, verb, .. } = *told;
        self.hold_running(name, verb)?;
        tool::run("s6-svc", &[option, &text(&self.folder(name))])?.done()?;
        match tool::reached_by(verb) {
            Some(wanted) => self.wait_for(name, wanted, told.or_after(DONE_WITHIN).deadline.left()).map(drop),
            None => Ok(()),
        }
    }

    fn hold_running(&self, name: &ServiceName, verb: Verb) -> Result<(), ManagerError> {
        let is_up = Supervised::ask(&self.folder(name))?.is_some_and(|seen| seen.is_up);
        if is_up { Ok(()) } else { Err(self.cannot(name, verb, "it does not run")) }
    }

    fn reload(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        let script = self.folder(name).join("data/reload");
        if !script.is_file() {
            return Err(self.cannot(
                name,
                Verb::Reload,
                "nothing was registered that has it read its configuration again",
            ));
        }
        self.hold_running(name, Verb::Reload)?;
        told.run::<&str>(&text(&script), &[])?.done().map(drop)
    }

    /// It is not started before the next boot.
    fn enable(&self, name: &ServiceName) -> Result<(), ManagerError> {
        let plan = Plan { steps: self.steps_of_start(name, StartType::Auto), after_undo: Vec::new() };
        self.carry_out(&plan).map(drop)
    }

    fn start_type(&self, name: &ServiceName) -> StartType {
        let folder = self.folder(name);
        let is_linked = self.boot_link(name).unwrap_or_else(|| self.link(name)).exists();
        match (is_linked && !folder.join(DISABLED).exists(), folder.join(DOWN).exists()) {
            (false, _) => StartType::Disabled,
            (true, true) => StartType::Manual,
            (true, false) => StartType::Auto,
        }
    }

    /// The steps by which it is supervised, and does not run before somebody wants it to.
    fn steps_of_start(&self, name: &ServiceName, start: StartType) -> Vec<Step> {
        let folder = self.folder(name);
        let empty = |file: &str| said_by(&folder, file);
        let not_disabled = not_disabled(&folder);
        match start {
            // Only a service that is new is kept down, and only until it is supervised. s6-svlink could see to that, and would
            // keep down what writes its log as well.
            StartType::Auto | StartType::Delayed => {
                let down = Step::Call { call: self.keep_down(name), undo: Some(self.let_up(name)) };
                let up = [not_disabled, Step::call(self.let_up(name))];
                [down].into_iter().chain(self.links(name)).chain(up).collect()
            }
            StartType::Manual => [empty(DOWN), not_disabled].into_iter().chain(self.links(name)).collect(),
            StartType::Disabled => [empty(DISABLED), empty(DOWN)].into_iter().chain(self.links(name)).collect(),
        }
    }

    fn keep_down(&self, name: &ServiceName) -> Call {
        Call::making(Every::S6(Fact::KeptDown(name.clone())), "touch", &[&text(&self.folder(name).join(DOWN))])
    }

    fn let_up(&self, name: &ServiceName) -> Call {
        Call::making(Every::S6(Fact::LetUp(name.clone())), "rm", &["-f", &text(&self.folder(name).join(DOWN))])
    }

    /// The steps by which it is supervised, now and after the next boot.
    fn links(&self, name: &ServiceName) -> Vec<Step> {
        let folder = self.folder(name);
        let (scanned, path) = (text(&self.places.scanned), text(&folder));
        let fact = Every::S6(Fact::Supervised(name.clone()));
        let supervise = Step::Call {
            call: Call::making(fact, "s6-svlink", &["-t", SEEN_WITHIN_MS, &scanned, &path, name.as_str()]),
            undo: Some(self.unlink(name)),
        };
        let boot = self.boot_link(name).map(|path| Step::Link { path, target: folder });
        boot.into_iter().chain([supervise]).collect()
    }

    fn no_links(&self, name: &ServiceName) -> Vec<Step> {
        let boot = self.boot_link(name).map(|path| Step::NoFile { path, ownership: Ownership::ByPlace });
        boot.into_iter().chain([Step::call(self.unlink(name))]).collect()
    }

    fn unlink(&self, name: &ServiceName) -> Call {
        let (fact, scanned) = (Every::S6(Fact::NotSupervised(name.clone())), text(&self.places.scanned));
        Call::making(fact, "s6-svunlink", &["-t", SEEN_WITHIN_MS, &scanned, name.as_str()])
    }
}

impl ServiceManager for S6 {
    fn kind(&self) -> ManagerKind {
        ManagerKind::S6
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
        [Some(self.link(&registration.name)), self.boot_link(&registration.name)].into_iter().flatten().collect()
    }

    fn plan_of(&self, registration: &Registration) -> Plan {
        let (name, folder) = (&registration.name, self.folder(&registration.name));
        let variables = folder.join(VARIABLES);
        let service = scripts::executed(registration, &variables);
        let above = self.places.services.parent().map(Step::folder);
        let mut steps: Vec<Step> = above.into_iter().collect();
        steps.extend([Step::folder(&self.places.services), Step::folder(&folder)]);
        steps.extend(variables::steps(&variables, registration));
        steps.push(Step::file(folder.join("run"), 0o755, scripts::run(&service, &self.places.scanned)));
        steps.push(Step::file(folder.join("finish"), 0o755, scripts::finish(registration)));
        let logs = self.logs(name);
        steps.extend([Step::folder(&self.places.logs), Step::Folder { path: logs.clone(), mode: 0o750 }]);
        steps.push(Step::folder(folder.join("log")));
        steps.push(Step::file(folder.join("log/run"), 0o755, scripts::log(registration, &logs)));
        steps.push(Step::folder(folder.join("data")));
        for (name, mode, content) in scripts::settings(&service) {
            let (path, ownership) = (folder.join(name), Ownership::ByPlace);
            steps.push(match content {
                Some(content) => Step::File { path, mode, content, ownership },
                None => Step::NoFile { path, ownership },
            });
        }
        steps.extend(self.steps_of_start(name, registration.start));
        Plan { steps, after_undo: Vec::new() }
    }

    fn removal_of(&self, name: &ServiceName) -> Plan {
        let folder = self.folder(name);
        // Whether it is ours is seen first.
        let mut steps = vec![Step::NoFile { path: folder.join("run"), ownership: Ownership::Marked }];
        steps.extend(self.no_links(name));
        steps.extend([Step::NoFolder { path: folder }, Step::NoFolder { path: self.logs(name) }]);
        steps.push(Step::NoEmptyFolder { path: self.places.logs.clone() });
        steps.push(Step::NoEmptyFolder { path: self.places.services.clone() });
        steps.extend(self.places.services.parent().map(|above| Step::NoEmptyFolder { path: above.to_owned() }));
        Plan { steps, after_undo: Vec::new() }
    }

    fn log_of(&self, name: &ServiceName) -> Option<PathBuf> {
        Some(self.logs(name).join("current"))
    }

    fn call(&self, call: &Call) -> Result<(), ManagerError> {
        let ran = tool::command(call)?;
        // What writes its log begins by itself.
        if let (Some(0), Some(Every::S6(Fact::Supervised(name)))) = (ran.code, call.fact()) {
            let log = self.folder(name).join("log");
            if log.is_dir() {
                tool::run("s6-svwait", &["-u", "-t", SEEN_WITHIN_MS, &text(&log)])?.done()?;
            }
        }
        if ran.code == Some(0) || self.differences_of(call)?.is_empty() { Ok(()) } else { Err(ran.failure()) }
    }

    fn differences_of(&self, call: &Call) -> Result<Vec<Difference>, ManagerError> {
        let is_so = match call.fact() {
            Some(Every::S6(Fact::Supervised(name))) => self.link(name).exists() && is_supervised(&self.folder(name))?,
            Some(Every::S6(Fact::NotSupervised(name))) => {
                self.link(name).symlink_metadata().is_err() && !is_supervised(&self.folder(name))?
            }
            Some(Every::S6(Fact::KeptDown(name))) => self.link(name).exists(),
            Some(Every::S6(Fact::LetUp(name))) => !self.folder(name).join(DOWN).exists(),
            Some(Every::OpenRc(_) | Every::SysV(_) | Every::Runit(_) | Every::Dinit(_) | Every::FreeBsdRc(_))
            | None => false,
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
            Verb::Pause => self.tell_running(&told, "-p"),
            Verb::Continue => self.tell_running(&told, "-c"),
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
        let seen = Supervised::ask(&folder)?;
        let state = seen.as_ref().map_or(State::Stopped, |seen| seen.state(&folder));
        let (pid, exit) = seen.map_or((None, None), |seen| (seen.pid, seen.exit));
        Ok(Status { state, pid, start: Some(start), exit, text: None, progress: None })
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
        | O::ProtocolNative
        | O::StopTimeout
        | O::StopSignal
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
        O::DependsOnNetwork => Err("s6 does not know of the network; name the service that brings it up"),
        O::StartTimeout => Err("s6 lets a start take as long as it takes; leave it out"),
        O::StopCommand => Err("s6 stops services by signals only; name one (stop_signal)"),
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

fn is_supervised(folder: &Path) -> Result<bool, ManagerError> {
    Ok(tool::run("s6-svok", &[text(folder)])?.code == Some(0))
}

fn forget_failure(folder: &Path) -> Result<(), ManagerError> {
    match fs::remove_file(folder.join(FAILED)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(ManagerError::File { what: "removing", path: folder.join(FAILED), source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What s6-svstat says of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Supervised {
    is_up: bool,
    is_wanted: bool,
    is_ready: bool,
    is_paused: bool,
    /// Of the program.
    pid: Option<u32>,
    /// Whether the program or `finish` runs.
    is_busy: bool,
    exit: Option<Exit>,
}

impl Supervised {
    /// `None` where nobody supervises it.
    fn ask(folder: &Path) -> Result<Option<Self>, ManagerError> {
        if !is_supervised(folder)? {
            return Ok(None);
        }
        let ran = tool::run("s6-svstat", &["-o", FIELDS, &text(folder)])?;
        Ok(Self::of(&ran.done()?))
    }

    fn of(fields: &str) -> Option<Self> {
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let &[up, wanted, ready, paused, pid, group, code, signal] = fields.as_slice() else { return None };
        let number = |text: &str| text.parse::<i32>().ok().filter(|number| *number >= 0);
        let exit = number(signal).map(Exit::Signal).or_else(|| number(code).map(Exit::Code));
        Some(Self {
            is_up: up == "true",
            is_wanted: wanted == "true",
            is_ready: ready == "true",
            is_paused: paused == "true",
            pid: pid.parse().ok(),
            is_busy: number(group).is_some(),
            exit,
        })
    }

    fn state(&self, folder: &Path) -> State {
        let is_awaited = folder.join("notification-fd").exists() && !self.is_ready;
        match (self.is_up, self.is_wanted) {
            (true, true) if self.is_paused => State::Paused,
            (true, true) if is_awaited => State::Starting,
            (true, true) => State::Running,
            (true, false) => State::Stopping,
            (false, true) => State::Backoff,
            (false, false) if folder.join(FAILED).exists() => State::Failed,
            (false, false) if self.is_busy => State::Stopping,
            (false, false) => State::Stopped,
        }
    }
}
/// Has s6-svc tell a service something and wait for what comes of it by events.
fn wait_by(told: &Told<'_>, options: &[&str], folder: &Path) -> Result<(), ManagerError> {
    // Nothing is for ever to s6-svc.
    let left = told.deadline.left();
    let within = left.as_millis().clamp(1, u32::MAX.into()).to_string();
    let path = text(folder);
    let words = [options, &["-T", &within, &path]].concat();
    let ran = tool::run_within(left.saturating_add(GRACE), "s6-svc", &words)?;
    if ran.code == Some(TIMED_OUT) { Err(told.overdue()) } else { ran.done().map(drop) }
}
