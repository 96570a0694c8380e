//! A service's own subcommands: `install`, `uninstall`, `start`, `stop`, `restart`, `status` and `logs`.
//!
//! ```no_run
//! use clap::Parser;
//! use menshen::service::{Command, Context, Failure, Main, Service};
//!
//! #[derive(Parser)]
//! struct Arguments {
//!     #[command(subcommand)]
//!     service: Option<Command>,
//! }
//!
//! struct Greeter;
//!
//! impl Service for Greeter {
//!     async fn run(self, context: Context) -> Result<(), Failure> {
//!         context.ready();
//!         context.stopped().await;
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     let arguments = Arguments::parse();
//!     let name = "greeter".parse().expect("it is a name");
//!     Main::new(name).run_or(arguments.service.as_ref(), Greeter)
//! }
//! ```

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgAction;
use clap::builder::{BoolValueParser, TypedValueParser};

use super::deadline::Deadline;
use super::manager::{ManagerError, ManagerKind, Scope, ServiceManager, Verb};
use super::name::ServiceName;
use super::options::RegistrationOption;
use super::registration::{Account, Protocol, Registration, Reload, StartType};
use super::runtime::author::Service;
use super::runtime::start::Main;
use super::status::{State, Status};
use super::{detect, managers, story};

/// What somebody can have done with the service.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Install it as a service of this machine: it is started at boot.
    Install {
        /// For the caller alone.
        #[arg(long = "user", action = ArgAction::SetTrue, value_parser = scope())]
        scope: Scope,
        /// When it is started.
        #[arg(long, value_enum, default_value_t = When::Auto)]
        start: When,
        /// Whom it runs as.
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// Only show what would be done.
        #[arg(long = "dry-run", action = ArgAction::SetTrue, value_parser = flag(Extent::All, Extent::Shown))]
        extent: Extent,
        /// The arguments the service is started with.
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<String>,
    },
    /// Stop it, and leave the machine as it was before it was installed.
    Uninstall(Told),
    /// Start it.
    Start(Told),
    /// Stop it.
    Stop(Told),
    /// Stop it if it runs, then start it.
    Restart(Told),
    /// Say how it is. Ends with 0 if it runs, 3 if it does not, 4 if it is not installed.
    Status {
        /// The caller's own.
        #[arg(long = "user", action = ArgAction::SetTrue, value_parser = scope())]
        scope: Scope,
        /// Print JSON for programs.
        #[arg(long = "json", action = ArgAction::SetTrue, value_parser = flag(Form::Text, Form::Json))]
        form: Form,
    },
    /// Show what it logged.
    Logs {
        /// The caller's own.
        #[arg(long = "user", action = ArgAction::SetTrue, value_parser = scope())]
        scope: Scope,
        /// Go on with what it logs from now on.
        #[arg(long = "follow", short = 'f', action = ArgAction::SetTrue, value_parser = flag(End::Now, End::Never))]
        end: End,
        /// The last so many lines.
        #[arg(long, short = 'n', value_name = "LINES", default_value_t = 100)]
        lines: u32,
    },
}

/// Whose service is told something, and how long it has to do it.
#[derive(Debug, Clone, clap::Args)]
pub struct Told {
    /// The caller's own, not the machine's.
    #[arg(long = "user", action = ArgAction::SetTrue, value_parser = scope())]
    pub scope: Scope,
    /// How long it has for it, such as 90s or 5m; after that the command says how it is and ends.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = TIMEOUT)]
    pub timeout: Duration,
}

/// What a service has elsewhere, too ([`ACT_WITHIN`](super::manager::ACT_WITHIN)), as people type it.
const TIMEOUT: &str = "5m";

/// How much of a command is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    All,
    /// Nothing; it is shown.
    Shown,
}

/// How something is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// When a log that is shown ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With what is there.
    Now,
    /// Not before somebody ends the command.
    Never,
}

/// A flag that chooses between two.
fn flag<T: Copy + Send + Sync + 'static>(unless: T, given: T) -> impl TypedValueParser<Value = T> {
    BoolValueParser::new().map(move |is_given| if is_given { given } else { unless })
}

fn scope() -> impl TypedValueParser<Value = Scope> {
    flag(Scope::System, Scope::User)
}

/// A time as people type it.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => return Err("a time is a number of seconds, or one with s, m or h behind it".to_owned()),
    };
    let number: u32 = number.parse().map_err(|error| format!("{error}"))?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// When a service is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// At boot.
    Auto,
    /// At boot, a while after the others.
    Delayed,
    /// When somebody asks.
    Manual,
    /// Never, until it is enabled.
    Disabled,
}

impl From<When> for StartType {
    fn from(when: When) -> Self {
        match when {
            When::Auto => Self::Auto,
            When::Delayed => Self::Delayed,
            When::Manual => Self::Manual,
            When::Disabled => Self::Disabled,
        }
    }
}

impl Main {
    /// Does what a subcommand says, or runs the service where there is none. A command that cannot do what it was asked says
    /// why on stderr and ends with 1.
    #[must_use]
    pub fn run_or<S: Service>(self, command: Option<&Command>, service: S) -> ExitCode {
        let Some(command) = command else { return self.run(service) };
        command.carry_out(&self).unwrap_or_else(|error| {
            // Where nobody can hear it there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {}", story::whole(&error));
            ExitCode::FAILURE
        })
    }

    /// What a manager is told of this service. What it only would like, and the manager does not have, it does without.
    ///
    /// # Errors
    /// When it is not known where this program is.
    pub fn registration(&self, manager: &dyn ServiceManager) -> io::Result<Registration> {
        let has = |option: RegistrationOption| manager.honours(option).is_ok();
        let mut registration = Registration::new(self.name().clone(), std::env::current_exe()?);
        if has(RegistrationOption::ProtocolNative) {
            registration.protocol = Protocol::Native;
        }
        if has(RegistrationOption::StopTimeout) {
            registration.stop_timeout = Some(self.stop_timeout());
        }
        if self.is_reloaded() && has(RegistrationOption::ReloadNative) {
            registration.reload = Some(Reload::Native);
        } else if self.is_reloaded() && has(RegistrationOption::ReloadSignal) {
            registration.reload = Some(Reload::Signal("SIGHUP".to_owned()));
        }
        registration.restart.policy = manager.restarts_failed();
        self.shape(&mut registration, manager);
        Ok(registration)
    }
}

impl Command {
    fn carry_out(&self, main: &Main) -> Result<ExitCode, CommandError> {
        let manager = manager(self.scope())?;
        let name = main.name();
        match self {
            Self::Install { start, account, extent, arguments, .. } => {
                let mut registration = main.registration(manager.as_ref()).map_err(CommandError::Program)?;
                registration.start = StartType::from(*start);
                registration.arguments.extend(arguments.iter().cloned());
                if let Some(account) = account {
                    registration.account = Account::named(account, name, manager.kind());
                }
                install(&registration, manager.as_ref(), *extent)?;
            }
            Self::Uninstall(told) => {
                manager.uninstall_by(name, Deadline::after(told.timeout))?;
                say(format_args!("{name}: uninstalled"));
            }
            Self::Start(told) => run_by(manager.as_ref(), name, Verb::Start, Deadline::after(told.timeout))?,
            Self::Stop(told) => {
                manager.act_by(name, Verb::Stop, Deadline::after(told.timeout))?;
                say(format_args!("{name}: stopped"));
            }
            Self::Restart(told) => run_by(manager.as_ref(), name, Verb::Restart, Deadline::after(told.timeout))?,
            Self::Status { form, .. } => return Ok(show(name, &manager.status(name)?, *form)),
            Self::Logs { end, lines, .. } => return logs(name, manager.as_ref(), *end, *lines),
        }
        Ok(ExitCode::SUCCESS)
    }

    const fn scope(&self) -> Scope {
        match self {
            Self::Install { scope, .. } | Self::Status { scope, .. } | Self::Logs { scope, .. } => *scope,
            Self::Uninstall(told) | Self::Start(told) | Self::Stop(told) | Self::Restart(told) => told.scope,
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("this machine has no service manager that is known; run the program in the foreground")]
    NoManager,
    #[error("it is not known where this program is")]
    Program(#[source] io::Error),
    #[error(transparent)]
    Manager(#[from] ManagerError),
    #[error("{manager} keeps no log of '{name}' that could be shown here")]
    NoLog { manager: ManagerKind, name: ServiceName },
    #[error("the Event Log shows what it has and cannot be followed; leave --follow out")]
    NotFollowed,
    #[error("`{program}` cannot be run")]
    Log {
        program: String,
        #[source]
        source: io::Error,
    },
}

fn manager(scope: Scope) -> Result<Box<dyn ServiceManager>, CommandError> {
    let kind = detect::detect().ok_or(CommandError::NoManager)?;
    Ok(managers::of(kind, scope)?)
}

/// Has it run, and waits until it does.
fn run_by(
    manager: &dyn ServiceManager,
    name: &ServiceName,
    verb: Verb,
    deadline: Deadline,
) -> Result<(), CommandError> {
    manager.act_by(name, verb, deadline)?;
    manager.wait_for(name, State::Running, deadline.left())?;
    say(format_args!("{name}: running"));
    Ok(())
}

fn install(registration: &Registration, manager: &dyn ServiceManager, extent: Extent) -> Result<(), CommandError> {
    if extent == Extent::Shown {
        for step in manager.plan(registration)?.steps {
            say(step);
        }
        return Ok(());
    }
    manager.install(registration)?;
    say(format_args!("{}: installed with {}", registration.name, manager.kind()));
    for missing in manager.missing_dependencies(registration)? {
        say(format_args!("it needs {missing}, which {} does not know", manager.kind()));
    }
    for lost in manager.not_kept(registration)? {
        say(format_args!("{} does not know {lost}", manager.kind()));
    }
    if let Some(hint) = manager.hint() {
        say(hint);
    }
    Ok(())
}

/// The exit code is that of the Linux Standard Base.
fn show(name: &ServiceName, status: &Status, form: Form) -> ExitCode {
    if form == Form::Json {
        let Status { state, pid, text, .. } = status;
        say(serde_json::json!({ "name": name.as_str(), "state": state.as_str(), "pid": pid, "text": text }));
    } else {
        let pid = status.pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
        let text = status.text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        say(format_args!("{name}: {}{pid}{text}", status.state.as_str()));
    }
    if status.state == State::NotInstalled {
        return ExitCode::from(4);
    }
    if status.state.is_up() { ExitCode::SUCCESS } else { ExitCode::from(3) }
}

fn logs(name: &ServiceName, manager: &dyn ServiceManager, end: End, lines: u32) -> Result<ExitCode, CommandError> {
    let (program, arguments) = log_reader(name, manager, end, lines)?;
    let is_missing = manager.log_of(name).is_some_and(|file| matches!(file.try_exists(), Ok(false)));
    if is_missing && manager.status(name)?.state == State::NotInstalled {
        return Err(ManagerError::NotInstalled { name: name.clone(), manager: manager.kind() }.into());
    }
    if is_missing && end == End::Now {
        say(format_args!("{name} has written nothing yet"));
        return Ok(ExitCode::SUCCESS);
    }
    let status = std::process::Command::new(&program).args(arguments).status();
    let status = status.map_err(|source| CommandError::Log { program, source })?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program that shows a service's log, the manager's own where it has one.
fn log_reader(
    name: &ServiceName,
    manager: &dyn ServiceManager,
    end: End,
    lines: u32,
) -> Result<(String, Vec<String>), CommandError> {
    let lines = lines.to_string();
    match manager.kind() {
        ManagerKind::Systemd => {
            let unit = format!("{name}.service");
            let user = (manager.scope() == Scope::User).then_some("--user");
            let follow = (end == End::Never).then_some("--follow");
            let fixed = ["--no-pager", "--unit", &unit, "--lines", &lines];
            let arguments = fixed.into_iter().chain(user).chain(follow).map(str::to_owned);
            Ok(("journalctl".to_owned(), arguments.collect()))
        }
        ManagerKind::Scm if end == End::Never => Err(CommandError::NotFollowed),
        ManagerKind::Scm => {
            let query = format!("*[System[Provider[@Name='{name}']]]");
            let arguments = ["qe", "Application", "/f:text", "/rd:true"].map(str::to_owned);
            let arguments = arguments.into_iter().chain([format!("/c:{lines}"), format!("/q:{query}")]);
            Ok(("wevtutil".to_owned(), arguments.collect()))
        }
        ManagerKind::Runit
        | ManagerKind::S6
        | ManagerKind::Launchd
        | ManagerKind::OpenRc
        | ManagerKind::SysV
        | ManagerKind::Dinit
        | ManagerKind::FreeBsdRc => {
            let no_log = || CommandError::NoLog { manager: manager.kind(), name: name.clone() };
            let file = manager.log_of(name).ok_or_else(no_log)?.to_string_lossy().into_owned();
            // By its name: the file is another after each rotation.
            let follow = (end == End::Never).then_some("-F");
            let words = ["-n", &lines].into_iter().chain(follow).chain(["--", &file]).map(str::to_owned);
            Ok(("tail".to_owned(), words.collect()))
        }
    }
}

fn say(text: impl std::fmt::Display) {
    // A reader that has gone away wants no more.
    let _ = writeln!(io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::manager::ACT_WITHIN;
    use super::*;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(subcommand)]
        service: Command,
    }

    fn parsed(words: &[&str]) -> Result<Command, clap::Error> {
        Arguments::try_parse_from([&["web"], words].concat()).map(|arguments| arguments.service)
    }

    #[test]
    fn a_log_that_a_manager_keeps_in_files_is_shown_as_it_grows() {
        let name: ServiceName = "web".parse().unwrap();
        for (kind, file) in [
            (ManagerKind::Runit, "/var/log/runit/web/current"),
            (ManagerKind::S6, "/var/log/s6/web/current"),
            (ManagerKind::SysV, "/var/log/sysv/web/current"),
            (ManagerKind::OpenRc, "/var/log/openrc/web/current"),
            (ManagerKind::Dinit, "/var/log/dinit/web/current"),
            (ManagerKind::FreeBsdRc, "/var/log/freebsd-rc/web/current"),
            (ManagerKind::Launchd, "/Library/Logs/menshen/web/current"),
        ] {
            let manager = managers::assumed(kind);
            for (end, before) in [(End::Now, &["-n", "7", "--"][..]), (End::Never, &["-n", "7", "-F", "--"])] {
                let (program, words) = log_reader(&name, manager.as_ref(), end, 7).unwrap();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                assert_eq!((program.as_str(), words), ("tail", [before, &[file]].concat()));
            }
        }
    }

    #[test]
    fn the_event_log_is_shown_and_cannot_be_followed() {
        let (name, manager) = ("web".parse().unwrap(), managers::assumed(ManagerKind::Scm));
        let (program, words) = log_reader(&name, manager.as_ref(), End::Now, 7).unwrap();
        assert!(program == "wevtutil" && words.contains(&"/c:7".to_owned()), "{program} {words:?}");
        let refused = log_reader(&name, manager.as_ref(), End::Never, 7).unwrap_err().to_string();
        assert_eq!(refused, "the Event Log shows what it has and cannot be followed; leave --follow out");
    }

    #[test]
    fn flags_are_choices() {
        let Ok(Command::Install { scope: Scope::System, extent: Extent::All, .. }) = parsed(&["install"]) else {
            panic!("{:?}", parsed(&["install"]))
        };
        let words = ["install", "--user", "--dry-run"];
        let Ok(Command::Install { scope: Scope::User, extent: Extent::Shown, .. }) = parsed(&words) else {
            panic!("{:?}", parsed(&words))
        };
        let words = ["logs", "-f", "--user"];
        let Ok(Command::Logs { scope: Scope::User, end: End::Never, lines: 100 }) = parsed(&words) else {
            panic!("{:?}", parsed(&words))
        };
        let Ok(Command::Status { form: Form::Json, scope: Scope::System }) = parsed(&["status", "--json"]) else {
            panic!("{:?}", parsed(&["status", "--json"]))
        };
    }

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        let timeout = |words: &[&str]| match parsed(&[&["start"], words].concat()) {
            Ok(Command::Start(told)) => Ok(told.timeout),
            other => Err(format!("{other:?}")),
        };
        assert_eq!(timeout(&[]).unwrap(), ACT_WITHIN);
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("2m", 120), ("1h", 3600)] {
            assert_eq!(timeout(&["--timeout", text]).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for wrong in ["", "s", "1d", "-1", "1.5s", "99999999999s"] {
            assert!(timeout(&["--timeout", wrong]).is_err(), "{wrong}");
        }
    }
}
