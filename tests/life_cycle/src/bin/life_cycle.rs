//! Runs the suite against a service manager of the machine it is run on, and prints what came of each step, a line of JSON
//! for each. It ends with 1 at the first that fails.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use menshen::service::managers;
use menshen::service::registration::{Protocol, StartType};
use menshen::service::{ManagerKind, Scope, ServiceName, Status, Verb};
use menshen_life_cycle::abilities::{self, Restart};
use menshen_life_cycle::report::StepReport;
use menshen_life_cycle::sample::Sample;
use menshen_life_cycle::suite::{self, Part};

/// What it is run with.
#[derive(Debug, Parser)]
struct Arguments {
    /// The manager, such as `systemd`
    #[arg(long, value_parser = manager)]
    manager: ManagerKind,
    /// Whose services: `system` or `user`
    #[arg(long, default_value = "system", value_parser = scope)]
    scope: Scope,
    /// The program that is installed
    #[arg(long)]
    program: PathBuf,
    /// An empty folder for its notes, made if it is not there
    #[arg(long)]
    folder: PathBuf,
    /// What the service is called
    #[arg(long, default_value = "menshen-life-cycle")]
    name: ServiceName,
    /// What only this manager has, instead of what all have
    #[arg(long)]
    further: bool,
    /// Installs the service, starts it unless `--start` says otherwise, and nothing more
    #[arg(long, conflicts_with = "further")]
    install: bool,
    /// When the service is started that `--install` installs: `auto`, `manual` or `disabled`
    #[arg(long, value_parser = start, default_value = "auto", requires = "install")]
    start: StartType,
    /// Uninstalls the service, and nothing more
    #[arg(long, conflicts_with_all = ["install", "further"])]
    uninstall: bool,
    /// Says how the service is, and nothing more: its state, when it is started, and its process
    #[arg(long, conflicts_with_all = ["install", "uninstall", "further"])]
    show: bool,
    /// Tells the service something, and nothing more
    #[arg(long, value_parser = verb, conflicts_with_all = ["install", "further"])]
    tell: Option<Verb>,
    /// How the program tells the manager what it is doing, where that is not as in the manager's row: `none` or `native`
    #[arg(long, value_parser = protocol)]
    protocol: Option<Protocol>,
    /// Who starts again what ended by itself, where that is not as in the manager's row: `manager` or `nobody`
    #[arg(long, value_parser = restart)]
    restart: Option<Restart>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(told) => {
            // If nobody listens, the code says enough.
            let _ = writeln!(std::io::stderr(), "{told}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, String> {
    let row = abilities::of(arguments.manager).ok_or_else(|| format!("{} has no row", arguments.manager))?;
    let mut row = *row;
    row.protocol = arguments.protocol.unwrap_or(row.protocol);
    row.restart = arguments.restart.unwrap_or(row.restart);
    let manager = managers::of(arguments.manager, arguments.scope).map_err(|error| error.to_string())?;
    fs::create_dir_all(&arguments.folder).map_err(|error| format!("{}: {error}", arguments.folder.display()))?;
    let sample = Sample { program: arguments.program, folder: arguments.folder, name: arguments.name };
    let mut tell = |step: &StepReport| {
        let _ = writeln!(std::io::stdout(), "{}", step.json());
    };
    if arguments.install {
        let mut asked = sample.registration(&*manager, &row, Sample::way(&row));
        asked.start = arguments.start;
        let installed = manager.install(&asked).and_then(|_| match arguments.start {
            StartType::Auto | StartType::Delayed => manager.act(&sample.name, Verb::Start),
            StartType::Manual | StartType::Disabled => Ok(()),
        });
        return installed.map(|()| ExitCode::SUCCESS).map_err(|error| format!("{error:?}"));
    }
    if arguments.uninstall {
        return manager.uninstall(&sample.name).map(|()| ExitCode::SUCCESS).map_err(|error| format!("{error:?}"));
    }
    if arguments.show {
        let Status { state, start, pid, .. } = manager.status(&sample.name).map_err(|error| error.to_string())?;
        let pid = pid.map(|pid| format!(" {pid}")).unwrap_or_default();
        let start = start.map(|start| format!(" {start:?}").to_lowercase()).unwrap_or_default();
        let _ = writeln!(std::io::stdout(), "{}{start}{pid}", state.as_str());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(verb) = arguments.tell {
        let told = manager.act(&sample.name, verb);
        return told.map(|()| ExitCode::SUCCESS).map_err(|error| format!("{error:?}"));
    }
    let part = if arguments.further { Part::Further } else { Part::Common };
    let report = suite::run(&*manager, &sample, &row, part, &mut tell);
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn manager(text: &str) -> Result<ManagerKind, String> {
    let found = ManagerKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| format!("one of {}", ManagerKind::ALL.map(ManagerKind::as_str).join(", ")))
}

fn scope(text: &str) -> Result<Scope, String> {
    match text {
        "system" => Ok(Scope::System),
        "user" => Ok(Scope::User),
        other => Err(format!("system or user, not {other}")),
    }
}

fn verb(text: &str) -> Result<Verb, String> {
    const ALL: [Verb; 8] = [
        Verb::Start,
        Verb::Stop,
        Verb::Restart,
        Verb::Pause,
        Verb::Continue,
        Verb::Reload,
        Verb::Enable,
        Verb::Disable,
    ];
    let found = ALL.into_iter().find(|verb| verb.as_str() == text);
    found.ok_or_else(|| format!("one of {}", ALL.map(Verb::as_str).join(", ")))
}

fn start(text: &str) -> Result<StartType, String> {
    match text {
        "auto" => Ok(StartType::Auto),
        "manual" => Ok(StartType::Manual),
        "disabled" => Ok(StartType::Disabled),
        other => Err(format!("auto, manual or disabled, not {other}")),
    }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "none" => Ok(Protocol::None),
        "native" => Ok(Protocol::Native),
        other => Err(format!("none or native, not {other}")),
    }
}

fn restart(text: &str) -> Result<Restart, String> {
    match text {
        "manager" => Ok(Restart::Manager),
        "nobody" => Ok(Restart::Nobody),
        other => Err(format!("manager or nobody, not {other}")),
    }
}
