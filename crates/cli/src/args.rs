//! What can be typed. The help, the man page and the completions are made from this.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;
use menshen::service::ManagerKind;
use menshen::service::registration::StartType;
use menshen_plan::import::Kind;

use crate::complete;

/// Guards programs: starts them in order, checks their health, restarts them, keeps their logs.
#[derive(Debug, Parser)]
#[command(name = "menshen", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 definition refused, 4 no such service, 5 not permitted, 6 no guard reachable, 7 a service is failed or not ready; of `status NAME` 0 running, 3 not running, 4 no such service. The help of a command tells its own.\n\nWith --json the error of a command is an object on standard error, with `error` and `help`, and with `code` and the other fields of a problem where a guard refuses.\n\nMENSHEN_HOME=FOLDER has everything below a folder of its own; `menshen man` tells of all files and variables."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Command,

    /// Print JSON for programs.
    #[arg(long, global = true)]
    pub json: bool,

    /// When to use colour.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,

    /// Speak to the guard of this name only.
    #[arg(long, short, global = true, value_name = "NAME", env = "MENSHEN_INSTANCE", add = ArgValueCompleter::new(complete::guards))]
    pub instance: Option<String>,
}

/// As much of the command line as it takes to read what was typed, if that is right: of all commands only the one that was
/// typed, which is the first word that is a command's name. Where that was the value of a flag, the command is another one,
/// which is not here, and what was typed is refused.
pub(crate) fn typed(words: impl IntoIterator<Item = OsString>) -> clap::Command {
    let all = Arguments::command();
    let Some(command) = words.into_iter().find_map(|word| all.find_subcommand(word)) else { return all };
    clap::Command::new(all.get_name().to_owned())
        .version(all.get_version().unwrap_or_default().to_owned())
        .propagate_version(true)
        .args(all.get_arguments())
        .subcommand(command)
        .subcommand_required(true)
        .disable_help_subcommand(true)
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Guard one program in the foreground, no file needed.
    ///
    /// With `--json` each line is an event as of `menshen events --json`, or a line of a log as of `menshen logs --json`. Who
    /// reads too slowly misses some; `menshen events` and `menshen logs` have all.
    Run(Run),
    /// Guard what the definition says; Ctrl-C stops all in order.
    ///
    /// With `--json` each line is an event as of `menshen events --json`, or a line of a log as of `menshen logs --json`; who
    /// reads too slowly misses some, and `menshen events` and `menshen logs` have all. With `--detach` too, it is how the
    /// services are once they have been started.
    Up(Up),
    /// Stop every service in order, then the guard.
    Down(Down),
    /// Look for mistakes in a definition before anything runs.
    ///
    /// In text the worst comes last, and services that run as root without need are one finding; `--json` has each by itself, in
    /// the order of the definition.
    Check(Check),
    /// Print the merged, expanded definition and where each value came from.
    Config(Config),
    /// Make a definition of what another supervisor reads, and tell what has no equivalent.
    ///
    /// systemd units (with their drop-ins), a supervisord.conf, WinSW's XML, a service of nssm (`reg export` or `nssm dump`), a pm2
    /// ecosystem file, or a Procfile. Several files of one kind become one definition.
    Import(Import),
    /// Print the JSON Schema of a definition, for editors.
    Schema,
    /// Have the guard read its definition again; says what each change costs.
    Reload(Reload),
    /// Have another version take the guard's place; every service runs on.
    Upgrade(Upgrade),
    /// Show what is going on; with a name, everything about that service.
    ///
    /// RESTARTS says how often a service failed and the guard started it again, or is about to: a `restart` that somebody asked
    /// for does not count, and the count goes on, whatever is forgotten, when the guard is killed or upgraded, until `menshen
    /// down`.
    Status(Status),
    /// Run services, and keep them running.
    Start(Act),
    /// Stop services, and keep them stopped.
    Stop(Act),
    /// Stop services if they run, then run them.
    Restart(Act),
    /// Freeze services.
    Pause(Act),
    /// Thaw services.
    Continue(Act),
    /// Forget restarts, failures and the breaker of services, and go on as wanted: what is started by hand and has failed waits
    /// for the next `menshen start`.
    Reset(Act),
    /// Send a signal to the main process of services.
    Signal(Signal),
    /// Show what services wrote.
    Logs(Logs),
    /// Show what happened.
    Events(Events),
    /// Have the machine's service manager run a guard for a definition, one service of it, or a program.
    ///
    /// From then on the service manager starts it, at boot too, and its own commands work on it (`systemctl`, `sc.exe`, `rc-service`,
    /// …), as well as `menshen`. Installing it again changes it in place.
    Install(Install),
    /// Stop what was installed, and leave the machine as it was before.
    Uninstall(Uninstall),
    /// Change what was installed; without anything to change, open its definition in an editor.
    Edit(Edit),
    /// Show in what the installed service differs from its definition: what installing it again would change.
    ///
    /// It ends as diff(1) does: with 0 when nothing differs, and with 1 when something does.
    Diff(Installed),
    /// Have an installed service started at boot.
    Enable(Enable),
    /// Have an installed service not started at boot.
    Disable(Enable),
    /// Print a completion script for a shell.
    ///
    /// The script has the shell ask this command for what can come next: so it offers the names of services, of guards and of what is
    /// installed as they are now, and need not be printed again for another version. In `~/.bashrc` or `~/.zshrc`:
    /// `source <(menshen completions bash)`, or `zsh`; in `~/.config/fish/config.fish`: `menshen completions fish | source`; in
    /// PowerShell's `$PROFILE`: `menshen completions powershell | Out-String | Invoke-Expression`.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
    /// Hold what a guard that is gone left, until the next one asks for it. A guard starts this; nobody else can.
    #[command(hide = true)]
    Hold(Hold),
}

// Which definition. A documentation of what several commands have in common would be taken for theirs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Definition {
    /// The definition: a file, or a folder of *.toml files. Without it ./menshen.toml, or else the system's own.
    #[arg(long, short, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub file: Option<PathBuf>,

    /// Lay menshen.PROFILE.toml over it.
    #[arg(long, value_name = "PROFILE", env = "MENSHEN_PROFILE")]
    pub profile: Option<String>,

    /// Set a placeholder (NAME=value) or a value of the definition (service.web.user=shop); may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Only this service of it, and what it needs; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
}

// What a guard left.
#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// What the guard passes.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    pub arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// What to call it. Without it, the program's name. Its guard is called run-NAME.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// When to start it again.
    #[arg(long, value_name = "POLICY", default_value = "always")]
    pub restart: RestartPolicy,

    /// A URL that tells whether it can be used.
    #[arg(long, value_name = "URL")]
    pub ready_http: Option<String>,

    /// An address or port that tells whether it can be used.
    #[arg(long, value_name = "ADDRESS")]
    pub ready_tcp: Option<String>,

    /// Any other value of its definition, such as restart.delay=5s; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<String>,
}

/// When to start a program again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RestartPolicy {
    /// Whenever it ends.
    Always,
    /// When it ends with anything but exit code 0.
    OnFailure,
    /// Never.
    Never,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub definition: Definition,

    /// Go to the background once the services have been started.
    #[arg(long, short)]
    pub detach: bool,

    /// With --detach: wait until every service is ready.
    #[arg(long, requires = "detach")]
    pub wait: bool,

    /// With --wait: wait no longer than this.
    #[arg(long, requires = "wait", value_name = "DURATION", default_value = "60s")]
    pub timeout: String,

    /// This is what the service manager runs as the service of this name, and calls within its process.
    #[arg(long, hide = true, value_name = "NAME", conflicts_with = "detach")]
    pub as_service: Option<String>,

    /// This is the process in the background.
    #[arg(long, hide = true)]
    pub in_background: bool,

    /// What is said goes to the log of the guard of this name: the service manager keeps none.
    #[arg(long, hide = true, value_name = "NAME", conflicts_with_all = ["detach", "in_background"])]
    pub log_as: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Kill instead of asking.
    #[arg(long)]
    pub now: bool,

    /// End the guard alone; every service runs on, for the next guard.
    #[arg(long, conflicts_with = "now")]
    pub leave: bool,

    /// Be what stops this systemd unit (ExecStop=): in a restart of it, as with --leave.
    #[arg(long, value_name = "UNIT", conflicts_with_all = ["now", "leave"])]
    pub unit: Option<String>,

    /// This is what the service manager runs to stop the guard.
    #[arg(long, hide = true)]
    pub by_manager: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub definition: Definition,

    /// How to print what is found.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: CheckFormat,

    /// Exit with 3 for warnings, too.
    #[arg(long)]
    pub strict: bool,

    /// Explain a rule, such as M012; without a code, list them all.
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["file", "profile", "set", "only", "strict"])]
    pub explain: Option<String>,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people: source line, caret, help.
    Text,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(flatten)]
    pub definition: Definition,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// What to import: files, or `-` for standard input. On Windows also the names of services, with `--from nssm`.
    #[arg(value_name = "SOURCE", required = true, value_hint = ValueHint::FilePath)]
    pub sources: Vec<PathBuf>,

    /// What they are. Without it, their names and what is in them tell.
    #[arg(long, value_name = "KIND")]
    pub from: Option<ImportKind>,

    /// Write the definition to this file, which must not be there yet. Without it, to standard output.
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// What can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportKind {
    /// systemd units.
    Systemd,
    /// A supervisord.conf.
    Supervisord,
    /// WinSW's XML.
    Winsw,
    /// A service of nssm or any other of Windows: by its name on Windows, exported, or dumped.
    Nssm,
    /// A pm2 ecosystem file.
    Pm2,
    /// A Procfile.
    Procfile,
}

impl From<ImportKind> for Kind {
    fn from(kind: ImportKind) -> Self {
        match kind {
            ImportKind::Systemd => Self::Systemd,
            ImportKind::Supervisord => Self::Supervisord,
            ImportKind::Winsw => Self::Winsw,
            ImportKind::Nssm => Self::Nssm,
            ImportKind::Pm2 => Self::Pm2,
            ImportKind::Procfile => Self::Procfile,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Reload {
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,

    /// Wait until every service that changes, or is stopped for one that does, is ready if it is wanted.
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,

    /// With --wait: wait no longer than this.
    #[arg(long, requires = "wait", value_name = "DURATION", default_value = "60s")]
    pub timeout: String,
}

#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    /// The menshen that is to go on. Without it, the one that is typed.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::ExecutablePath)]
    pub binary: Option<PathBuf>,

    /// Wait no longer than this for it to answer, once it has shown within 20s that it can take over.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub timeout: String,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Which service. Without it, all of them.
    #[arg(add = ArgValueCompleter::new(complete::services))]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Act {
    /// Which services.
    #[arg(value_name = "NAME", required_unless_present = "all", add = ArgValueCompleter::new(complete::services))]
    pub names: Vec<String>,

    /// Every service, also those that are started by hand only, such as one-shots for now and then.
    #[arg(long, conflicts_with = "names")]
    pub all: bool,

    /// Do not wait until it is so.
    #[arg(long)]
    pub no_wait: bool,

    /// Wait no longer than this.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub timeout: String,
}

#[derive(Debug, Args)]
pub(crate) struct Signal {
    /// Which signal: SIGHUP, USR1, …
    pub signal: String,

    /// Which services.
    #[arg(value_name = "NAME", required = true, add = ArgValueCompleter::new(complete::services))]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Install {
    /// What: the definition's guard, one of its services with what it needs, or, before `-- CMD`, the name of a new service.
    /// Without it, the definition's guard.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    #[command(flatten)]
    pub definition: Definition,

    /// Have the manager run the program itself, without a guard. Refused, with what would be lost, where the definition needs
    /// a guard.
    #[arg(long)]
    pub native: bool,

    #[command(flatten)]
    pub asked: AskedOfManager,

    /// For the caller alone, with the caller's own service manager.
    #[arg(long)]
    pub user: bool,

    /// Start it, too.
    #[arg(long)]
    pub now: bool,

    #[command(flatten)]
    pub dry_run: DryRun,

    /// Which service manager. Without it, the one this machine runs.
    #[arg(long, value_name = "MANAGER")]
    pub manager: Option<Manager>,

    /// A program and its arguments, of which a definition is made.
    #[arg(last = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments, conflicts_with_all = ["file", "profile", "only"])]
    pub command: Vec<String>,
}

// What the service manager is told besides the definition.
#[derive(Debug, Clone, Args)]
pub(crate) struct AskedOfManager {
    /// When the manager starts it. Without it: at boot; with --native, as its definition says.
    #[arg(long, value_name = "WHEN")]
    pub start: Option<StartWhen>,

    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    pub display_name: Option<String>,

    /// What it is for, in one line.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,

    /// Whom it runs as: a user, or on Windows also LocalSystem, LocalService, NetworkService, "NT SERVICE\NAME" and DOMAIN\NAME$.
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
}

/// When a service manager starts a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StartWhen {
    /// At boot.
    Auto,
    /// At boot, a while after the others.
    Delayed,
    /// When somebody asks.
    Manual,
    /// Never, until it is enabled.
    Disabled,
}

impl From<StartWhen> for StartType {
    fn from(when: StartWhen) -> Self {
        match when {
            StartWhen::Auto => Self::Auto,
            StartWhen::Delayed => Self::Delayed,
            StartWhen::Manual => Self::Manual,
            StartWhen::Disabled => Self::Disabled,
        }
    }
}

/// A service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Manager {
    /// systemd.
    Systemd,
    /// The service control manager of Windows.
    Scm,
    /// launchd of macOS.
    Launchd,
    /// OpenRC.
    Openrc,
    /// System V init.
    Sysv,
    /// runit.
    Runit,
    /// s6.
    S6,
    /// dinit.
    Dinit,
    /// FreeBSD's rc.d.
    FreebsdRc,
}

impl From<Manager> for ManagerKind {
    fn from(manager: Manager) -> Self {
        match manager {
            Manager::Systemd => Self::Systemd,
            Manager::Scm => Self::Scm,
            Manager::Launchd => Self::Launchd,
            Manager::Openrc => Self::OpenRc,
            Manager::Sysv => Self::SysV,
            Manager::Runit => Self::Runit,
            Manager::S6 => Self::S6,
            Manager::Dinit => Self::Dinit,
            Manager::FreebsdRc => Self::FreeBsdRc,
        }
    }
}

// A service that was installed.
#[derive(Debug, Args)]
pub(crate) struct Installed {
    /// The name it was installed as.
    #[arg(add = ArgValueCompleter::new(complete::installed))]
    pub name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Enable {
    /// The name it was installed as.
    #[arg(add = ArgValueCompleter::new(complete::installed))]
    pub name: String,

    #[command(flatten)]
    pub dry_run: DryRun,
}

// Whether something is done.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DryRun {
    /// Only show what would be done, step by step; with --json as {"steps": [...], "done": false}.
    #[arg(long)]
    dry_run: bool,
}

/// Whether something is done or only shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is done.
    Do,
    /// It is shown.
    Show,
}

impl DryRun {
    pub(crate) const fn mode(self) -> Mode {
        if self.dry_run { Mode::Show } else { Mode::Do }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    /// The name it was installed as.
    #[arg(add = ArgValueCompleter::new(complete::installed))]
    pub name: String,

    /// Remove its logs and what its guard remembers, too.
    #[arg(long)]
    pub purge: bool,

    #[command(flatten)]
    pub dry_run: DryRun,
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// The name it was installed as.
    #[arg(add = ArgValueCompleter::new(complete::installed))]
    pub name: String,

    #[command(flatten)]
    pub asked: AskedOfManager,

    /// Set a placeholder or a value of the definition; may be given several times. It is laid over those set before.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    #[command(flatten)]
    pub dry_run: DryRun,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Which services. Without any, all of them.
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::services))]
    pub names: Vec<String>,

    /// Go on with what is written from now on.
    #[arg(long, short)]
    pub follow: bool,

    /// Only what was written since: a duration (10m) or a time (2026-01-31 12:00:00).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,

    /// Only lines that match this regular expression.
    #[arg(long, value_name = "RE")]
    pub grep: Option<String>,

    /// Only standard error.
    #[arg(long, conflicts_with = "stdout")]
    pub stderr: bool,

    /// Only standard output.
    #[arg(long)]
    pub stdout: bool,

    /// With the time of each line, also where what one service wrote is piped, which else is shown as it was written.
    #[arg(long, short)]
    pub times: bool,

    /// The last so many lines, of several services those of all together; `all` for every one. 100 without --since and --grep.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub lines: Option<Lines>,
}

/// How much of the past is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// All of it.
    All,
    /// The last so many lines.
    Last(u32),
}

impl FromStr for Lines {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::Last).map_err(|_| "this is not a number of lines; write -n 100 or -n all")
    }
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on with what happens from now on.
    #[arg(long, short)]
    pub follow: bool,

    /// Only since: a duration (1h) or a time (2026-01-31 12:00:00).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,

    /// Only of this service.
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::services))]
    pub service: Option<String>,

    /// The last so many events, a line each; `all` for every one. 50 without --since.
    #[arg(short = 'n', long, value_name = "LINES")]
    pub lines: Option<Lines>,
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_command_is_told_of_in_its_own_words() {
        let mut arguments = Arguments::command();
        arguments.build();
        for (name, begins) in [
            ("up", "Guard what"),
            ("check", "Look for"),
            ("config", "Print the merged"),
            ("install", "Have the machine's"),
            ("uninstall", "Stop what"),
            ("edit", "Change what"),
            ("diff", "Show in what"),
            ("enable", "Have an installed service started"),
            ("disable", "Have an installed service not"),
        ] {
            let command = arguments.find_subcommand(name).unwrap();
            let about = [command.get_about(), command.get_long_about()].into_iter().flatten();
            for about in about.map(ToString::to_string) {
                assert!(about.starts_with(begins), "{name}: {about}");
            }
        }
    }

    #[test]
    fn what_was_typed_is_read_as_if_all_commands_were_there() {
        for line in [
            "status",
            "status --json web",
            "--json -i shop status",
            "-i status status",
            "--instance=logs logs status",
            "logs status up",
            "run status",
            "run --name up -- server --json --version",
            "check --explain",
            "install web -- server status",
            "stop --all --timeout 5s",
        ] {
            let words = || ["menshen"].into_iter().chain(line.split(' ')).map(OsString::from);
            let read = |command: clap::Command| {
                let matches = command.try_get_matches_from(words()).map_err(|error| format!("{line}: {error}"))?;
                Arguments::from_arg_matches(&matches).map_err(|error| format!("{line}: {error}"))
            };
            let all = format!("{:?}", read(Arguments::command()).unwrap());
            assert_eq!(format!("{:?}", read(typed(words().skip(1))).unwrap()), all, "{line}");
        }
    }

    #[test]
    fn what_is_not_right_is_refused_whichever_commands_are_there() {
        for line in ["-i status", "-i status logs", "help status", "run --version", "status --version", "status --help"]
        {
            let words = || ["menshen"].into_iter().chain(line.split(' ')).map(OsString::from);
            assert!(typed(words().skip(1)).try_get_matches_from(words()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_guarded_program_keeps_its_own_flags() {
        let arguments = Arguments::parse_from(["menshen", "run", "--name", "web", "--", "server", "--json", "-x"]);
        let Command::Run(run) = arguments.command else { panic!("it is run") };
        assert_eq!(run.command, ["server", "--json", "-x"]);
        assert!(!arguments.json);
    }
}
