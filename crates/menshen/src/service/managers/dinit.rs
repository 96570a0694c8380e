//! dinit: a description of each service, and links to those that are started at boot.
//!
//! The links are made here and not by `dinitctl enable`, which would start the service as well.

mod description;

use self::description::Files;
pub(super) use self::description::reload_signal;

use std::fs;
use std::path::{Path, PathBuf};

use super::fact::Fact as Every;
use super::output::{self, Folder};
use super::refused;
use super::tool::{self, Ran, Told};
use super::variables;
use crate::service::carry_out;
use crate::service::deadline::Deadline;
use crate::service::manager::{Difference, ManagerError, ManagerKind, Scope, ServiceManager, Verb};
use crate::service::name::ServiceName;
use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::plan::{Call, Ownership, Plan, Step};
use crate::service::registration::{Account, Registration, Reload, StartType};
use crate::service::status::{Exit, State, Status};

/// The folder of the services' variables, beside the descriptions.
const VARIABLES: &str = "variables.d";
/// The signals that dinit has names for.
const SIGNALS: [&str; 9] =
    ["SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGCONT", "SIGSTOP"];

/// Where dinit's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The folder of descriptions.
    pub services: PathBuf,
    /// The folder of links to those that are started at boot: `waits-for.d` of the service `boot`.
    pub boot: PathBuf,
    /// The folder of the folders of what services write.
    pub logs: PathBuf,
}

/// Where those of the machine write.
const LOGS: &str = "/var/log/dinit";

impl Places {
    /// As most machines have them.
    #[must_use]
    pub fn usual() -> Self {
        Self { services: "/etc/dinit.d".into(), boot: "/etc/dinit.d/boot.d".into(), logs: LOGS.into() }
    }

    /// As this machine has them.
    #[must_use]
    pub fn found(scope: Scope) -> Self {
        let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let of_user = |name: &str, usual: &str| of(name).or_else(|| Some(of("HOME")?.join(usual))).unwrap_or_default();
        let (services, logs) = match scope {
            Scope::System => ("/etc/dinit.d".into(), LOGS.into()),
            Scope::User => (
                of_user("XDG_CONFIG_HOME", ".config").join("dinit.d"),
                of_user("XDG_STATE_HOME", ".local/state").join("dinit"),
            ),
        };
        let boot = fs::read_to_string(services.join("boot")).unwrap_or_default();
        let named =
            boot.lines().find_map(|line| line.trim().strip_prefix("waits-for.d")?.trim().strip_prefix(['=', ':']));
        let boot = services.join(named.map_or("boot.d", str::trim));
        Self { services, boot, logs }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Dinit {
    scope: Scope,
    places: Places,
}

impl Dinit {
    /// With files at these places.
    #[must_use]
    pub const fn new(scope: Scope, places: Places) -> Self {
        Self { scope, places }
    }

    fn file(&self, name: &ServiceName) -> PathBuf {
        self.places.services.join(name.as_str())
    }

    fn link(&self, name: &ServiceName) -> PathBuf {
        self.places.boot.join(name.as_str())
    }

    fn arguments<'a>(&self, words: &[&'a str]) -> Vec<&'a str> {
        let whose = match self.scope {
            Scope::System => "--system",
            Scope::User => "--user",
        };
        [&[whose], words].concat()
    }

    fn run(&self, words: &[&str]) -> Result<Ran, ManagerError> {
        tool::run("dinitctl", &self.arguments(words))
    }

    fn tell(&self, told: &Told<'_>, words: &[&str]) -> Result<Ran, ManagerError> {
        told.run("dinitctl", &self.arguments(words))
    }

    /// What dinit says of a service; `None` where it has not read its description.
    fn ask(&self, name: &ServiceName) -> Result<Option<Listed>, ManagerError> {
        let list = self.run(&["list"])?.done()?;
        Ok(list.lines().find_map(|line| Listed::of(line, name)))
    }

    fn cannot(&self, name: &ServiceName, verb: Verb, why: &str) -> ManagerError {
        ManagerError::CannotAct { manager: self.kind(), name: name.clone(), verb, why: why.to_owned() }
    }

    fn start(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        match self.ask(name)?.map(|listed| listed.state) {
            Some(State::Running) => return Ok(()),
            // What it has read may be of an older registration.
            Some(State::Stopped | State::Failed) => drop(self.run(&["reload", name.as_str()])?.done()?),
            _ => {}
        }
        self.tell(told, &["start", name.as_str()])?.done().map(drop)
    }

    fn stop(&self, told: &Told<'_>) -> Result<(), ManagerError> {
        let name = told.name;
        let Some(_) = self.ask(name)? else { return Ok(()) };
        self.tell(told, &["stop", "--force", name.as_str()])?.done()?;
        // It forgets how the service ended, unless others that it knows need the service: then it goes on knowing it.
        self.run(&["unload", name.as_str()]).map(drop)
    }

    fn reload(&self, name: &ServiceName) -> Result<(), ManagerError> {
        let description = fs::read_to_string(self.file(name)).unwrap_or_default();
        let Some(signal) = reload_signal(&description) else {
            return Err(self.cannot(
                name,
                Verb::Reload,
                "nothing was registered that has it read its configuration again",
            ));
        };
        self.run(&["signal", signal, name.as_str()])?.done().map(drop)
    }

    fn variables(&self, name: &ServiceName) -> PathBuf {
        self.places.services.join(VARIABLES).join(name.as_str())
    }

    fn no_variables(&self, name: &ServiceName) -> [Step; 2] {
        let file = Step::NoFile { path: self.variables(name), ownership: Ownership::Marked };
        [file, Step::NoEmptyFolder { path: self.places.services.join(VARIABLES) }]
    }

    fn making(&self, fact: Fact, words: &[&str]) -> Call {
        Call::making(Every::Dinit(fact), "dinitctl", &self.arguments(words))
    }

    fn link_step(&self, name: &ServiceName) -> Step {
        Step::Link { path: self.link(name), target: self.file(name) }
    }

    fn no_link_step(&self, name: &ServiceName) -> Step {
        Step::NoFile { path: self.link(name), ownership: Ownership::ByPlace }
    }

    fn carry_out(&self, steps: Vec<Step>) -> Result<(), ManagerError> {
        let plan = Plan { steps, after_undo: Vec::new() };
        carry_out::carry_out(&plan, &|call| self.call(call), &|call| self.differences_of(call)).map(drop)
    }
}

/// What is so once a plan's call was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// `boot` does not wait for a service.
    NotAwaited(ServiceName),
    /// dinit has nothing in memory of it.
    Forgotten(ServiceName),
}

fn dinit_fact(call: &Call) -> Option<&Fact> {
    match call.fact()? {
        Every::Dinit(fact) => Some(fact),
        Every::OpenRc(_) | Every::SysV(_) | Every::Runit(_) | Every::S6(_) | Every::FreeBsdRc(_) => None,
    }
}

impl ServiceManager for Dinit {
    fn kind(&self) -> ManagerKind {
        ManagerKind::Dinit
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn honours(&self, option: RegistrationOption) -> Result<(), &'static str> {
        honours(option)
    }

    fn refused_values(&self, registration: &Registration) -> Vec<Unsupported> {
        let mut refused = refused::values(registration);
        let is_known = |name: &str| SIGNALS.contains(&name);
        let reload = registration.reload.as_ref().and_then(|reload| match reload {
            Reload::Signal(name) => Some(name.as_str()),
            Reload::Command(_) | Reload::Native => None,
        });
        let signals = [
            (RegistrationOption::StopSignal, registration.stop_signal.as_deref()),
            (RegistrationOption::ReloadSignal, reload),
        ];
        let unknown = signals.into_iter().filter(|(_, name)| name.is_some_and(|name| !is_known(name)));
        refused.extend(unknown.map(|(option, _)| Unsupported { option, why: "dinit has no name for this signal" }));
        // dinit reads its variables line by line.
        let is_line = |(name, value): (&String, &String)| {
            !name.contains(|character: char| character.is_ascii_whitespace() || character == '\x0b')
                && !name.starts_with(['#', '!'])
                && !value.contains('\n')
        };
        if !registration.environment.iter().all(is_line) {
            refused.push(Unsupported { option: RegistrationOption::Environment, why: refused::LINE_END });
        }
        if description::needs_shell(registration) {
            refused.extend(variables::refused(registration));
        }
        let has_variable = matches!(&registration.account, Account::User { name, .. } if name.contains('$'));
        if has_variable {
            let why = "dinit would put a variable in the place of '$' in a user's name";
            refused.push(Unsupported { option: RegistrationOption::AccountUser, why });
        }
        let directory = super::shell::directory(registration);
        if directory.contains(['\n', '\r']) {
            refused.push(Unsupported { option: RegistrationOption::Directory, why: refused::LINE_END });
        }
        refused
    }

    fn namesakes(&self, registration: &Registration) -> Vec<PathBuf> {
        let folders: &[&str] = match self.scope {
            Scope::System => &["/etc/dinit.d", "/run/dinit.d", "/usr/local/lib/dinit.d", "/lib/dinit.d"],
            Scope::User => &["/etc/dinit.d/user", "/usr/lib/dinit.d/user", "/usr/local/lib/dinit.d/user"],
        };
        let others = folders.iter().map(Path::new).filter(|folder| *folder != self.places.services);
        others.map(|folder| folder.join(registration.name.as_str())).collect()
    }

    fn plan_of(&self, registration: &Registration) -> Plan {
        let name = &registration.name;
        let variables = self.variables(name);
        let mut steps = match self.scope {
            Scope::System => Vec::new(),
            Scope::User => {
                [&self.places.services, &self.places.logs].into_iter().flat_map(|path| above(path)).collect()
            }
        };
        steps.push(Step::folder(&self.places.services));
        match description::variables(registration) {
            Some(content) => {
                let folder = self.places.services.join(VARIABLES);
                steps.extend([Step::Folder { path: folder, mode: 0o700 }, Step::file(&variables, 0o600, content)]);
            }
            None => steps.extend(self.no_variables(name)),
        }
        let written = self.places.logs.join(name.as_str());
        steps.extend(output::steps(&written, Folder::Closed));
        if self.scope == Scope::System {
            steps.extend(output::rotated(name, &written));
        }
        let files = Files { variables: &variables, log: &output::file(&written) };
        steps.push(Step::file(self.file(name), 0o644, description::description(registration, &files)));
        match registration.start {
            StartType::Auto | StartType::Delayed => {
                steps.extend([Step::folder(&self.places.boot), self.link_step(name)]);
            }
            StartType::Manual | StartType::Disabled => steps.push(self.no_link_step(name)),
        }
        Plan { steps, after_undo: Vec::new() }
    }

    fn removal_of(&self, name: &ServiceName) -> Plan {
        let mut steps = vec![
            Step::NoFile { path: self.file(name), ownership: Ownership::Marked },
            Step::call(self.making(Fact::NotAwaited(name.clone()), &["rm-dep", "waits-for", "boot", name.as_str()])),
            self.no_link_step(name),
            Step::call(self.making(Fact::Forgotten(name.clone()), &["unload", name.as_str()])),
            Step::NoEmptyFolder { path: self.places.boot.clone() },
        ];
        steps.extend(self.no_variables(name));
        if self.scope == Scope::System {
            steps.extend(output::not_rotated(name));
        }
        steps.extend(output::no_steps(&self.places.logs.join(name.as_str())));
        Plan { steps, after_undo: Vec::new() }
    }

    fn log_of(&self, name: &ServiceName) -> Option<PathBuf> {
        Some(output::file(&self.places.logs.join(name.as_str())))
    }

    fn call(&self, call: &Call) -> Result<(), ManagerError> {
        let ran = tool::command(call)?;
        // What boot does not wait for since it was started, it need not forget.
        match dinit_fact(call) {
            Some(Fact::NotAwaited(_)) => Ok(()),
            Some(Fact::Forgotten(_)) | None => ran.done().map(drop),
        }
    }

    fn differences_of(&self, call: &Call) -> Result<Vec<Difference>, ManagerError> {
        // Without a dinit nothing is loaded.
        let is_loaded = match dinit_fact(call) {
            Some(Fact::NotAwaited(name) | Fact::Forgotten(name)) => matches!(self.ask(name), Ok(Some(_))),
            None => false,
        };
        Ok(if is_loaded { vec![Difference::undone(call)] } else { vec![] })
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
            Verb::Pause | Verb::Continue => Err(self.cannot(name, verb, "dinit cannot pause services")),
            Verb::Reload => self.reload(name),
            Verb::Enable => self.carry_out(vec![Step::folder(&self.places.boot), self.link_step(name)]),
            Verb::Disable => self.carry_out(vec![self.no_link_step(name)]),
        }
    }

    fn status(&self, name: &ServiceName) -> Result<Status, ManagerError> {
        if !self.file(name).is_file() {
            return Ok(Status::NOT_INSTALLED);
        }
        let is_linked = self.link(name).symlink_metadata().is_ok();
        let start = Some(if is_linked { StartType::Auto } else { StartType::Manual });
        let listed = self.ask(name)?;
        let stopped = Listed { state: State::Stopped, pid: None, exit: None };
        let Listed { state, pid, exit } = listed.unwrap_or(stopped);
        Ok(Status { state, pid, start, exit, text: None, progress: None })
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
        | O::DependsOnService
        | O::ProtocolNative
        | O::StartTimeout
        | O::StopTimeout
        | O::StopSignal
        | O::StopCommand
        | O::ReloadSignal
        | O::RestartAlways
        | O::RestartOnFailure
        | O::RestartNever
        | O::RestartDelay
        | O::ChildrenKept
        | O::OpenFiles => Ok(()),
        O::AccountGroup => Err("dinit runs a service in its user's own groups; make the group the user's"),
        O::AccountPassword => Err(refused::PASSWORD),
        O::AccountLocalService | O::AccountNetworkService | O::AccountVirtual | O::AccountGroupManaged => {
            Err(refused::WINDOWS_ACCOUNT)
        }
        O::StartDelayed => Err(refused::DELAYED),
        O::StartDisabled => Err(refused::DISABLED),
        O::DependsOnGroup => Err(refused::GROUP),
        O::DependsOnNetwork => Err("dinit does not know of the network; name the service that brings it up"),
        O::ReloadCommand => Err("dinit has a service read its configuration again by a signal only; name one"),
        O::ReloadNative => Err(refused::RELOAD_NATIVE),
        O::RestartBackoff => Err(refused::BACKOFF),
        O::RestartReset => Err(refused::RESET),
        O::Watchdog => Err(refused::WATCHDOG),
        O::HardeningStandard | O::HardeningStrict => Err(refused::HARDENING),
        O::SocketTcp | O::SocketUdp | O::SocketLocal => {
            Err("dinit opens local sockets only and tells a service no names; let the program open them itself")
        }
        O::WindowsSid
        | O::WindowsRequiredPrivileges
        | O::WindowsSecurityDescriptor
        | O::WindowsTriggers
        | O::WindowsPreshutdownTimeout
        | O::WindowsLoadOrderGroup
        | O::WindowsFailures => Err(refused::WINDOWS),
    }
}

/// A line of `dinitctl list`, whose signs dinitctl(8) explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listed {
    state: State,
    pid: Option<u32>,
    exit: Option<Exit>,
}

impl Listed {
    /// `[[+]     ] web (pid: 7)`: what is between braces or brackets is on the side of the state it is to be in.
    fn of(line: &str, name: &ServiceName) -> Option<Self> {
        let (signs, rest) = line.strip_prefix('[')?.split_at_checked(8)?;
        let mut words = rest.strip_prefix(']')?.split_whitespace();
        if words.next()? != name.as_str() {
            return None;
        }
        let state = match signs {
            _ if signs.contains("<<") => State::Starting,
            _ if signs.contains(">>") => State::Stopping,
            _ if signs.contains(['+', 's']) => State::Running,
            _ if signs.contains('X') => State::Failed,
            _ if signs.contains('-') => State::Stopped,
            _ => return None,
        };
        let number = |label: &str| {
            let (_, after) = rest.split_once(label)?;
            after.split(')').next()?.trim().parse::<u32>().ok()
        };
        let exit = number("exit status:").and_then(|code| code.try_into().ok()).map(Exit::Code);
        Some(Self { state, pid: number("pid:"), exit })
    }
}

/// The steps by which the folders above one of a user's are there, such as `.local/state`, which an account has in common with
/// others, and not from the first. Whose they are is as the XDG base directory specification says.
fn above(folder: &Path) -> impl Iterator<Item = Step> {
    let folders: Vec<&Path> = folder.ancestors().skip(1).take(2).filter(|folder| folder.parent().is_some()).collect();
    folders.into_iter().rev().map(|path| Step::Folder { path: path.to_owned(), mode: 0o700 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_is_a_state() {
        let name: ServiceName = "web".parse().unwrap();
        for (line, state, pid) in [
            ("[[+]     ] web (pid: 7)", State::Running, Some(7)),
            ("[{+}     ] web", State::Running, None),
            ("[{ }<<   ] web", State::Starting, None),
            ("[   <<{ }] web", State::Starting, None),
            ("[{ }>>   ] web (pid: 7)", State::Stopping, Some(7)),
            ("[   >>{ }] web", State::Stopping, None),
            ("[     {-}] web", State::Stopped, None),
            ("[     {X}] web (exit status: 3)", State::Failed, None),
        ] {
            let listed = Listed::of(line, &name).unwrap();
            assert_eq!((listed.state, listed.pid), (state, pid), "{line}");
        }
        assert_eq!(Listed::of("[     {X}] web (exit status: 3)", &name).unwrap().exit, Some(Exit::Code(3)));
        assert_eq!(Listed::of("[[+]     ] website (pid: 7)", &name), None);
    }
}
