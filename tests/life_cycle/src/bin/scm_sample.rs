//! A service for what only the service control manager of Windows has, and everything that is done with it.
//!
//! `scm-sample serve FOLDER WAY` is the service. In its folder it notes what it is told, a line for each, and waits for files
//! where it is to take its time: how long that is, the test decides.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use menshen::service::registration::{
    Account, Dependency, FailureKind, Protocol, Registration, Reload, Secret, SidType, StartType, Trigger,
};
use menshen::service::status::Exit;
use menshen::service::{
    ACT_WITHIN, Context, Deadline, Failure, Main, ManagerKind, Request, Scope, Service, ServiceManager, ServiceName,
    Status, Verb, managers,
};
use serde_json::json;
use tracing::{debug, error, info, warn};

/// How often is looked whether a file is there.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug, Parser)]
struct Arguments {
    /// What the service is called
    #[arg(long, default_value = "scm-sample")]
    name: ServiceName,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Be the service
    Serve {
        /// Where it notes what it is told
        folder: PathBuf,
        /// What it does
        way: Way,
    },
    #[command(flatten)]
    Manage(Manage),
}

/// What is done with the service.
#[derive(Debug, Subcommand)]
enum Manage {
    /// Show what would be done
    Plan(What),
    /// Install the service
    Install(What),
    /// Say in what the installed service differs
    Diff(What),
    /// Uninstall the service
    Uninstall,
    /// Tell the service something
    Act {
        /// What
        #[arg(value_parser = verb)]
        verb: Verb,
        /// How many seconds it has for it
        #[arg(default_value_t = ACT_WITHIN.as_secs())]
        within: u64,
    },
    /// Say how the service is
    Status,
}

#[derive(Debug, clap::Args)]
struct What {
    /// With which options
    options: Options,
    /// Where it notes what it is told
    folder: PathBuf,
    /// What it does
    way: Way,
}

/// What of a registration is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Options {
    /// Nothing special
    Plain,
    /// Everything that Wine has, too
    Full,
    /// The same, with other values
    Other,
    /// A service identifier
    Sid,
    /// Privileges
    Privileges,
    /// Triggers
    Triggers,
    /// A user who is not there
    User,
    /// A group managed account that is not there
    Managed,
    /// Whoever asks, and a password
    Asker,
    /// Started by hand
    Manual,
    /// Not started at all
    Disabled,
}

/// What the service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// As it is told, at once
    Steady,
    /// It is ready once there is `ready`, and ends once there is `end`
    Slow,
    /// It asks for an hour to stop, and ends once there is `end`
    Asking,
    /// It does not end
    Stubborn,
    /// It logs an event of each level and one with an id of its own, and fails
    Telling,
}

fn main() -> ExitCode {
    run(Arguments::parse()).unwrap_or_else(|error| {
        // If nobody listens, the code says enough.
        let _ = writeln!(io::stderr(), "{error}");
        ExitCode::FAILURE
    })
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { name, task } = arguments;
    match task {
        Task::Serve { folder, way } => {
            let within = if way == Way::Stubborn { Duration::from_secs(2) } else { Duration::from_secs(60) };
            let main = Main::new(name).reloads().pauses().hears_power().hears_sessions().stops_within(within);
            let main = if way == Way::Telling { main.logs() } else { main };
            Ok(main.run(Sample { folder, way }))
        }
        Task::Manage(manage) => {
            let manager = managers::of(ManagerKind::Scm, Scope::System)?;
            carry_out(&name, manager.as_ref(), manage)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn carry_out(name: &ServiceName, manager: &dyn ServiceManager, manage: Manage) -> Result<(), Failure> {
    let mut out = io::stdout();
    match manage {
        Manage::Plan(what) => {
            for step in manager.plan(&registration(name, &what)?)?.steps {
                writeln!(out, "{step}")?;
            }
        }
        Manage::Install(what) => writeln!(out, "{:?}", manager.install(&registration(name, &what)?)?)?,
        Manage::Diff(what) => {
            for difference in manager.diff(&registration(name, &what)?)? {
                writeln!(out, "{}: {:?} -> {:?}", difference.what, difference.installed, difference.wanted)?;
            }
        }
        Manage::Uninstall => manager.uninstall(name)?,
        Manage::Act { verb, within } => manager.act_by(name, verb, Deadline::after(Duration::from_secs(within)))?,
        Manage::Status => writeln!(out, "{}", told(&manager.status(name)?))?,
    }
    Ok(())
}

fn told(status: &Status) -> String {
    let exit = status.exit.map(|exit| match exit {
        Exit::Code(code) => format!("code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::ServiceSpecific(code) => format!("own code {code}"),
    });
    json!({
        "state": status.state.as_str(),
        "pid": status.pid,
        "start": status.start.map(|start| format!("{start:?}").to_lowercase()),
        "exit": exit,
        "checkpoint": status.progress.map(|progress| progress.checkpoint),
        "wait_hint_ms": status.progress.map(|progress| u64::try_from(progress.wait_hint.as_millis()).unwrap_or(u64::MAX)),
    })
    .to_string()
}

fn verb(text: &str) -> Result<Verb, String> {
    use Verb as V;
    let all = [V::Start, V::Stop, V::Restart, V::Pause, V::Continue, V::Reload, V::Enable, V::Disable];
    all.into_iter().find(|verb| verb.as_str() == text).ok_or_else(|| format!("{text} is nothing to be told"))
}

fn registration(name: &ServiceName, what: &What) -> Result<Registration, Failure> {
    let mut registration = Registration::new(name.clone(), std::env::current_exe()?);
    let folder = what.folder.to_string_lossy().into_owned();
    let way = what.way.to_possible_value().ok_or("a way has a name")?.get_name().to_owned();
    registration.arguments = vec!["--name".to_owned(), name.to_string(), "serve".to_owned(), folder, way];
    registration.protocol = Protocol::Native;
    registration.reload = Some(Reload::Native);
    if what.way == Way::Telling {
        registration.environment = [("RUST_LOG".to_owned(), "scm_sample=debug".to_owned())].into();
    }
    match what.options {
        Options::Plain => {}
        Options::Full => full(&mut registration),
        Options::Other => {
            full(&mut registration);
            registration.start = StartType::Auto;
            registration.display_name = None;
            registration.description = None;
            registration.account = Account::Manager;
            registration.depends_on.truncate(1);
            registration.environment.clear();
            registration.directory = None;
            registration.restart.steps = None;
        }
        Options::Sid => registration.windows.sid = SidType::Restricted,
        Options::Privileges => registration.windows.required_privileges = vec!["SeChangeNotifyPrivilege".to_owned()],
        Options::Triggers => {
            let device = Trigger::DeviceArrival("4d36e972-e325-11ce-bfc1-08002be10318".to_owned());
            registration.windows.triggers = vec![Trigger::NetworkUp, device];
        }
        Options::User => {
            let password = Some(Secret("p".to_owned()));
            registration.account = Account::User { name: "nobody-there".to_owned(), group: None, password };
        }
        Options::Managed => registration.account = Account::GroupManaged(r"NOWHERE\shop$".to_owned()),
        Options::Asker => {
            let password = Some(Secret("p".to_owned()));
            registration.account = Account::User { name: std::env::var("USERNAME")?, group: None, password };
        }
        Options::Manual => registration.start = StartType::Manual,
        Options::Disabled => registration.start = StartType::Disabled,
    }
    Ok(registration)
}

fn full(registration: &mut Registration) {
    registration.start = StartType::Delayed;
    registration.display_name = Some("Scm \"Sample\" & Co".to_owned());
    registration.description = Some("Says what it is told; 100% of it.".to_owned());
    registration.account = Account::NetworkService;
    registration.depends_on =
        vec![Dependency::Service("Eventlog".to_owned()), Dependency::Group("Network Provider".to_owned())];
    registration.environment = [("SAMPLE".to_owned(), "a b \"c\" %PATH%".to_owned())].into();
    registration.directory = Some(r"C:\windows\temp".into());
    registration.stop_timeout = Some(Duration::from_secs(40));
    registration.restart.delay_max = Some(Duration::from_secs(8));
    registration.restart.steps = Some(3);
    registration.restart.reset_after = Some(Duration::from_secs(600));
    registration.windows.preshutdown_timeout = Some(Duration::from_secs(77));
    registration.windows.load_order_group = Some("SampleGroup".to_owned());
    registration.windows.failures = FailureKind::CrashesAndErrors;
    registration.windows.security_descriptor =
        Some("D:(A;;CCLCSWRPWPDTLOCRSDRCWDWO;;;SY)(A;;CCLCSWLOCRRC;;;WD)".to_owned());
}

/// The service.
struct Sample {
    folder: PathBuf,
    way: Way,
}

impl Service for Sample {
    async fn run(self, mut context: Context) -> Result<(), Failure> {
        let arguments: Vec<_> = context.start_arguments();
        self.note(&format!("started by {:?} with {arguments:?}", context.origin()))?;
        self.note(&format!("in {}", std::env::current_dir()?.display()))?;
        self.note(&format!("SAMPLE is {:?}", std::env::var("SAMPLE").unwrap_or_default()))?;
        match self.way {
            Way::Slow => self.wait_for("ready").await,
            Way::Telling => return tell(),
            Way::Steady | Way::Asking | Way::Stubborn => {}
        }
        context.ready();
        loop {
            match context.next().await {
                Request::Stop(stop) => {
                    self.note(&format!("stop: {:?}", stop.reason))?;
                    return self.end(&context).await;
                }
                Request::Reload(pending) => {
                    self.note("reload")?;
                    pending.done();
                }
                Request::Pause(pending) => {
                    self.note("pause")?;
                    pending.done();
                }
                Request::Continue(pending) => {
                    self.note("continue")?;
                    pending.done();
                }
                Request::Session(change) => self.note(&format!("session: {change:?}"))?,
                Request::Power(event) => self.note(&format!("power: {event:?}"))?,
            }
        }
    }
}

impl Sample {
    async fn end(&self, context: &Context) -> Result<(), Failure> {
        match self.way {
            Way::Steady | Way::Telling => {}
            Way::Slow => self.wait_for("end").await,
            Way::Asking => {
                context.more_time(Duration::from_secs(3600));
                self.wait_for("end").await;
            }
            Way::Stubborn => std::future::pending().await,
        }
        self.note("ended")?;
        Ok(())
    }

    async fn wait_for(&self, name: &str) {
        while !self.folder.join(name).exists() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn note(&self, what: &str) -> io::Result<()> {
        note(&self.folder, what)
    }
}

/// Everything that there is to be logged, and then how it ended.
fn tell() -> Result<(), Failure> {
    error!("an error");
    warn!("a warning");
    info!(by = "the sample", count = 3, "information");
    debug!("a detail");
    error!(event_id = 77, "an error with an id of its own");
    Err("it has told everything".into())
}

/// In one piece, so that a reader sees whole lines.
fn note(folder: &Path, what: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join("notes"))?;
    file.write_all(format!("{what}\n").as_bytes())
}
