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

use super::manager::{ManagerError, ManagerKind, Scope, ServiceManager, Verb};
use super::name::ServiceName;
use super::options::RegistrationOption;
use super::registration::{Account, Protocol, Registration, Reload, StartType};
use super::runtime::author::Service;
use super::runtime::start::Main;
use super::status::{State, Status};
use super::{detect, managers, story};

/// How long a start may take until the command says that it takes too long.
const START_WITHIN: Duration = Duration::from_secs(90);

/// What somebody can have done with the service.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Install it as a service of this machine: it is started at boot.
    Install {
        /// For the caller alone.
        #[arg(long)]
        user: bool,
        /// When it is started.
        #[arg(long, value_enum, default_value_t = When::Auto)]
        start: When,
        /// Whom it runs as.
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// Only show what would be done.
        #[arg(long)]
        dry_run: bool,
        /// The arguments the service is started with.
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<String>,
    },
    /// Stop it, and leave the machine as it was before it was installed.
    Uninstall(Whose),
    /// Start it.
    Start(Whose),
    /// Stop it.
    Stop(Whose),
    /// Stop it if it runs, then start it.
    Restart(Whose),
    /// Say how it is. Ends with 0 if it runs, 3 if it does not, 4 if it is not installed.
    Status {
        /// The caller's own.
        #[arg(long)]
        user: bool,
        /// Print JSON for programs.
        #[arg(long)]
        json: bool,
    },
    /// Show what it logged.
    Logs {
        /// The caller's own.
        #[arg(long)]
        user: bool,
        /// Go on with what it logs from now on.
        #[arg(long, short)]
        follow: bool,
        /// The last so many lines.
        #[arg(long, short = 'n', value_name = "LINES", default_value_t = 100)]
        lines: u32,
    },
}

/// Whose service.
#[derive(Debug, Clone, clap::Args)]
pub struct Whose {
    /// The caller's own, not the machine's.
    #[arg(long)]
    pub user: bool,
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
        self.shape(&mut registration);
        Ok(registration)
    }
}

impl Command {
    fn carry_out(&self, main: &Main) -> Result<ExitCode, CommandError> {
        let manager = manager(self.scope())?;
        let name = main.name();
        match self {
            Self::Install { start, account, dry_run, arguments, .. } => {
                let mut registration = main.registration(manager.as_ref()).map_err(CommandError::Program)?;
                registration.start = StartType::from(*start);
                registration.arguments.extend(arguments.iter().cloned());
                if let Some(account) = account {
                    registration.account = Account::named(account, name, manager.kind());
                }
                install(&registration, manager.as_ref(), *dry_run)?;
            }
            Self::Uninstall(_) => {
                manager.uninstall(name)?;
                say(format_args!("{name}: uninstalled"));
            }
            Self::Start(_) => {
                manager.act(name, Verb::Start)?;
                manager.wait_for(name, State::Running, START_WITHIN)?;
                say(format_args!("{name}: running"));
            }
            Self::Stop(_) => {
                manager.act(name, Verb::Stop)?;
                say(format_args!("{name}: stopped"));
            }
            Self::Restart(_) => {
                manager.act(name, Verb::Restart)?;
                manager.wait_for(name, State::Running, START_WITHIN)?;
                say(format_args!("{name}: running"));
            }
            Self::Status { json, .. } => return Ok(show(name, &manager.status(name)?, *json)),
            Self::Logs { follow, lines, .. } => return logs(name, manager.as_ref(), *follow, *lines),
        }
        Ok(ExitCode::SUCCESS)
    }

    const fn scope(&self) -> Scope {
        let user = match self {
            Self::Install { user, .. } | Self::Status { user, .. } | Self::Logs { user, .. } => *user,
            Self::Uninstall(whose) | Self::Start(whose) | Self::Stop(whose) | Self::Restart(whose) => whose.user,
        };
        if user { Scope::User } else { Scope::System }
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

fn install(registration: &Registration, manager: &dyn ServiceManager, dry_run: bool) -> Result<(), CommandError> {
    if dry_run {
        for step in manager.plan(registration)?.steps {
            say(step);
        }
        return Ok(());
    }
    manager.install(registration)?;
    say(format_args!("{}: installed with {}", registration.name, manager.kind()));
    if let Some(hint) = manager.hint() {
        say(hint);
    }
    Ok(())
}

/// The exit code is that of the Linux Standard Base.
fn show(name: &ServiceName, status: &Status, json: bool) -> ExitCode {
    if json {
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

fn logs(name: &ServiceName, manager: &dyn ServiceManager, follow: bool, lines: u32) -> Result<ExitCode, CommandError> {
    let (program, arguments) = log_reader(name, manager, follow, lines)
        .ok_or_else(|| CommandError::NoLog { manager: manager.kind(), name: name.clone() })?;
    let status = std::process::Command::new(&program).args(arguments).status();
    let status = status.map_err(|source| CommandError::Log { program, source })?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The manager's own program that shows a service's log.
fn log_reader(
    name: &ServiceName,
    manager: &dyn ServiceManager,
    follow: bool,
    lines: u32,
) -> Option<(String, Vec<String>)> {
    let lines = lines.to_string();
    match manager.kind() {
        ManagerKind::Systemd => {
            let unit = format!("{name}.service");
            let user = (manager.scope() == Scope::User).then_some("--user");
            let follow = follow.then_some("--follow");
            let fixed = ["--no-pager", "--unit", &unit, "--lines", &lines];
            let arguments = fixed.into_iter().chain(user).chain(follow).map(str::to_owned);
            Some(("journalctl".to_owned(), arguments.collect()))
        }
        ManagerKind::Scm => {
            let query = format!("*[System[Provider[@Name='{name}']]]");
            let arguments = ["qe", "Application", "/f:text", "/rd:true"].map(str::to_owned);
            let arguments = arguments.into_iter().chain([format!("/c:{lines}"), format!("/q:{query}")]);
            (!follow).then(|| ("wevtutil".to_owned(), arguments.collect()))
        }
        ManagerKind::Runit
        | ManagerKind::S6
        | ManagerKind::Launchd
        | ManagerKind::OpenRc
        | ManagerKind::SysV
        | ManagerKind::Dinit
        | ManagerKind::FreeBsdRc => None,
    }
}

fn say(text: impl std::fmt::Display) {
    // A reader that has gone away wants no more.
    let _ = writeln!(io::stdout(), "{text}");
}
