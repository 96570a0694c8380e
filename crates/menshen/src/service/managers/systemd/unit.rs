//! What is written for a service: its unit, a unit for each of its sockets, and a timer for a delayed start.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use super::{Version, hardening, quote};
use crate::service::manager::Scope;
use crate::service::name::ServiceName;
use crate::service::plan::MARK;
use crate::service::registration::{
    Account, Children, Dependency, Listen, Protocol, Registration, Reload, RestartPolicy, Socket, StartType,
};

/// How long after the manager's own start a delayed service is started: as on Windows.
const DELAY: Duration = Duration::from_secs(120);
/// In how many steps a wait grows where nobody says.
const STEPS: u32 = 8;
/// Whoever fails at once and is started again without a wait keeps the machine busy: systemd's own limit holds then.
const DELAY_UNLIMITED: Duration = Duration::from_millis(100);
/// What a service that looks after its children itself runs in, beside them.
const SUBGROUP: &str = "menshen.guard";

/// The name of a service's unit.
pub(super) fn service_name(name: &ServiceName) -> String {
    format!("{name}.service")
}

/// The name of a service's timer.
pub(super) fn timer_name(name: &ServiceName) -> String {
    format!("{name}.timer")
}

/// The name of a socket's unit. No service's name has a colon in it, so it belongs to one service.
pub(super) fn socket_name(name: &ServiceName, socket: &str) -> String {
    format!("{}{socket}.socket", sockets_prefix(name))
}

/// What the names of a service's sockets begin with.
pub(super) fn sockets_prefix(name: &ServiceName) -> String {
    format!("{name}:")
}

/// The folder and the file by which a service is never started. systemd knows nothing between started at boot and not.
pub(super) fn disabled_names(name: &ServiceName) -> (String, String) {
    let folder = format!("{name}.service.d");
    let file = format!("{folder}/50-menshen-disabled.conf");
    (folder, file)
}

/// What is in it: something that never is so.
pub(super) fn disabled(name: &ServiceName) -> String {
    let mut unit = Unit::of(name);
    unit.section("Unit");
    unit.set("AssertPathExists", "!/");
    unit.text
}

/// The unit a dependency is.
pub(super) fn dependency_name(name: &str) -> String {
    const KINDS: [&str; 7] = [".service", ".socket", ".target", ".mount", ".path", ".timer", ".device"];
    if KINDS.iter().any(|kind| name.ends_with(kind)) { name.to_owned() } else { format!("{name}.service") }
}

/// The unit of a service.
pub(super) fn service(registration: &Registration, scope: Scope, version: Version) -> String {
    let mut unit = Unit::of(&registration.name);
    unit.section("Unit");
    unit.set("Description", quote::rest_of_line(&description(registration)));
    dependencies(registration, &mut unit);
    let is_restarted = registration.restart.policy != RestartPolicy::Never;
    if is_restarted && registration.restart.delay >= DELAY_UNLIMITED {
        // It is started again as often as it fails; what keeps it from being too often is the wait.
        unit.set("StartLimitIntervalSec", "0");
    }
    unit.section("Service");
    program(registration, version, &mut unit);
    life(registration, &mut unit);
    children(registration, version, &mut unit);
    surroundings(registration, &mut unit);
    for (name, value) in hardening::settings(registration) {
        unit.set(name, value);
    }
    if registration.start != StartType::Delayed {
        unit.section("Install");
        let target = match scope {
            Scope::System => "multi-user.target",
            Scope::User => "default.target",
        };
        unit.set("WantedBy", target);
    }
    unit.text
}

/// The unit of one of its sockets.
pub(super) fn socket(registration: &Registration, socket: &Socket) -> String {
    let mut unit = Unit::of(&registration.name);
    unit.section("Unit");
    unit.set("Description", quote::rest_of_line(&format!("{} of {}", socket.name, registration.name)));
    unit.section("Socket");
    match &socket.listen {
        Listen::Tcp(address) => unit.set("ListenStream", address),
        Listen::Udp(address) => unit.set("ListenDatagram", address),
        Listen::Local(path) => {
            unit.set("ListenStream", quote::rest_of_line(&path.to_string_lossy()));
            unit.set("SocketMode", "0660");
            if let Account::User { name, group, password: _ } = &registration.account {
                unit.set("SocketUser", quote::rest_of_line(name));
                group.iter().for_each(|group| unit.set("SocketGroup", quote::rest_of_line(group)));
            }
            unit.set("RemoveOnStop", "yes");
        }
    }
    unit.set("FileDescriptorName", quote::rest_of_line(&socket.name));
    unit.set("Service", service_name(&registration.name));
    unit.section("Install");
    unit.set("WantedBy", "sockets.target");
    unit.text
}

/// The timer that starts it a while after the others.
pub(super) fn timer(registration: &Registration) -> String {
    let mut unit = Unit::of(&registration.name);
    unit.section("Unit");
    unit.set("Description", quote::rest_of_line(&format!("delayed start of {}", registration.name)));
    unit.section("Timer");
    unit.set("OnStartupSec", seconds(DELAY));
    unit.section("Install");
    unit.set("WantedBy", "timers.target");
    unit.text
}

/// A unit that is being written.
struct Unit {
    text: String,
}

impl Unit {
    fn of(name: &ServiceName) -> Self {
        Self { text: format!("# {MARK} {name}\n") }
    }

    fn section(&mut self, name: &str) {
        self.line(format_args!("\n[{name}]"));
    }

    fn set(&mut self, name: &str, value: impl fmt::Display) {
        self.line(format_args!("{name}={value}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a text takes whatever is written to it");
    }
}

/// systemd has one text for both.
fn description(registration: &Registration) -> String {
    match (&registration.display_name, &registration.description) {
        (None, None) => registration.name.to_string(),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (Some(name), Some(description)) => format!("{name}: {description}"),
    }
}

fn dependencies(registration: &Registration, unit: &mut Unit) {
    for dependency in &registration.depends_on {
        match dependency {
            Dependency::Service(name) => {
                let name = dependency_name(name);
                unit.set("Requires", &name);
                unit.set("After", &name);
            }
            Dependency::Network => {
                unit.set("Wants", "network-online.target");
                unit.set("After", "network-online.target");
            }
            // It has been refused.
            Dependency::Group(_) => {}
        }
    }
    for socket in &registration.sockets {
        let name = socket_name(&registration.name, &socket.name);
        // What is required takes the service along when it is stopped, and whoever is waiting at another socket has it started
        // again in the middle of that.
        unit.set("Wants", &name);
        unit.set("After", &name);
    }
    if registration.protocol == Protocol::Native {
        // Whoever is stopped before the bus can ask over it whether the machine goes down.
        unit.set("After", "dbus.service");
    }
}

/// How it is executed, told to read its configuration again, and stopped.
fn program(registration: &Registration, version: Version, unit: &mut Unit) {
    let kind = match (registration.protocol, &registration.reload) {
        (Protocol::Native, Some(Reload::Native)) if version >= Version::NOTIFY_RELOAD => "notify-reload",
        (Protocol::Native, _) => "notify",
        (Protocol::None, _) if version >= Version::EXEC => "exec",
        (Protocol::None, _) => "simple",
    };
    unit.set("Type", kind);
    unit.set("ExecStart", start_command(&registration.program, &registration.arguments));
    match &registration.reload {
        None | Some(Reload::Native) => {}
        Some(Reload::Command(words)) => unit.set("ExecReload", quote::command(words)),
        Some(Reload::Signal(signal)) => {
            // Not every machine has a program for it; the shell can it by itself.
            let shell = format!("kill -s {} \"$MAINPID\"", signal.trim_start_matches("SIG"));
            unit.set("ExecReload", quote::command(&["/bin/sh", "-c", &shell]));
        }
    }
    if let Some(words) = &registration.stop_command {
        unit.set("ExecStop", quote::command(words));
    }
    if let Some(signal) = &registration.stop_signal {
        unit.set("KillSignal", signal);
    }
}

/// systemd takes no path with quotes or backslashes in it, and reads variables in the name by which the program is told of
/// itself but not in its path. Then a shell executes it, and is gone.
fn start_command(program: &Path, arguments: &[String]) -> String {
    let program = program.to_string_lossy();
    let is_taken = !program.contains(['"', '\'', '\\', '$']) && !program.contains(char::is_control);
    let shell = ["/bin/sh", "-c", "exec \"$0\" \"$@\""];
    let first: &[&str] = if is_taken { &[] } else { &shell };
    let words = first.iter().copied().chain([&*program]).chain(arguments.iter().map(String::as_str));
    quote::command(&words.collect::<Vec<_>>())
}

/// When it is started again, and how long everything may take.
fn life(registration: &Registration, unit: &mut Unit) {
    let restart = &registration.restart;
    let policy = match restart.policy {
        RestartPolicy::Always => "always",
        RestartPolicy::OnFailure => "on-failure",
        RestartPolicy::Never => "no",
    };
    unit.set("Restart", policy);
    if restart.policy != RestartPolicy::Never {
        unit.set("RestartSec", seconds(restart.delay));
    }
    if let Some(delay_max) = restart.delay_max {
        unit.set("RestartSteps", restart.steps.unwrap_or(STEPS));
        unit.set("RestartMaxDelaySec", seconds(delay_max));
    }
    let times = [
        ("TimeoutStartSec", registration.start_timeout),
        ("TimeoutStopSec", registration.stop_timeout),
        ("WatchdogSec", registration.watchdog),
    ];
    for (name, time) in times {
        time.iter().for_each(|time| unit.set(name, seconds(*time)));
    }
}

/// Why each of these lines is needed is in docs/systemd.md.
fn children(registration: &Registration, version: Version, unit: &mut Unit) {
    match registration.children {
        Children::Ended => {}
        Children::Kept => {
            unit.set("KillMode", "process");
            unit.set("Delegate", "yes");
            if version >= Version::DELEGATE_SUBGROUP {
                unit.set("DelegateSubgroup", SUBGROUP);
            }
        }
    }
}

/// Whom it runs as, where, and with what.
fn surroundings(registration: &Registration, unit: &mut Unit) {
    if let Account::User { name, group, password: _ } = &registration.account {
        unit.set("User", quote::rest_of_line(name));
        group.iter().for_each(|group| unit.set("Group", quote::rest_of_line(group)));
    }
    let directory = registration.directory.as_deref().or_else(|| registration.program.parent());
    if let Some(directory) = directory {
        unit.set("WorkingDirectory", quote::rest_of_line(&directory.to_string_lossy()));
    }
    for (name, value) in &registration.environment {
        unit.set("Environment", quote::setting_word(&format!("{name}={value}")));
    }
    registration.open_files.iter().for_each(|files| unit.set("LimitNOFILE", files));
}

/// A time as systemd takes it, to the microsecond.
fn seconds(time: Duration) -> String {
    match time.as_micros() {
        micros if micros % 1_000_000 == 0 => format!("{}s", micros / 1_000_000),
        micros if micros % 1000 == 0 => format!("{}ms", micros / 1000),
        micros => format!("{micros}us"),
    }
}
