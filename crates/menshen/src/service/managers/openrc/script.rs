//! The script of a service: variables that OpenRC's own scripts read.

use std::path::PathBuf;

use super::super::shell::{Executed, directory, mark, pid_file, program, quoted, signal, text, whole_seconds};
use super::super::{output, variables};
use crate::service::manager::ManagerKind;
use crate::service::name::ServiceName;
use crate::service::registration::{Account, Children, Dependency, Registration, Reload, RestartPolicy};

/// The third line of a script that has something for a reload. Further down it might be in a text.
const RELOADED: &str = "# It can be reloaded.";
/// How many seconds a stop takes at most where only the signal was asked for.
const STOP_SECONDS: u64 = 60;
/// How many seconds a program has to end once it was killed.
const KILL_SECONDS: u64 = 10;

/// Where its variables are. What is in `/etc/conf.d` OpenRC reads for whoever asks how a service is, too.
pub(super) fn variables_file(name: &ServiceName) -> PathBuf {
    variables::file("/etc", name)
}

/// Whether a script has something for a reload.
pub(in super::super) fn is_reloaded(script: &str) -> bool {
    script.lines().nth(2) == Some(RELOADED)
}

/// All of it.
pub(super) fn script(registration: &Registration) -> String {
    let mut script = format!("#!/sbin/openrc-run\n{}\n", mark(&registration.name));
    if registration.reload.is_some() {
        script += &format!("{RELOADED}\n");
    }
    let mut set = |name: &str, value: String| script += &format!("{name}={}\n", quoted(&value));
    if let Some(name) = &registration.display_name {
        set("name", name.clone());
    }
    if let Some(description) = &registration.description {
        set("description", description.clone());
    }
    // What OpenRC evaluates once more has been split before at every blank. So it has names only, and they what is meant.
    let words = variables::executed(registration, &program(registration));
    for (index, word) in words.iter().enumerate() {
        set(&word_name(index), word.clone());
    }
    set("command", format!("\"${}\"", word_name(0)));
    let names: Vec<String> = (1..words.len()).map(|index| format!("\"${}\"", word_name(index))).collect();
    set("command_args", names.join(" "));
    set("working_directory", directory(registration));
    set("directory", "\"$working_directory\"".to_owned());
    set("pidfile", pid_file(&registration.name));
    if let Account::User { name, group, password: _ } = &registration.account {
        let group = group.as_ref().map(|group| format!(":{group}")).unwrap_or_default();
        set("account", format!("{name}{group}"));
        set("command_user", "\"$account\"".to_owned());
    }
    if let Some(files) = registration.open_files {
        set("rc_ulimit", format!("-n {files}"));
    }
    if registration.stop_timeout.is_some() || registration.stop_signal.is_some() {
        set("retry", retry(registration));
    }
    for log in ["output_log", "error_log"] {
        set(log, text(&output::file(&output::folder(ManagerKind::OpenRc, &registration.name))));
    }
    match registration.restart.policy {
        RestartPolicy::Never => set("command_background", "true".to_owned()),
        RestartPolicy::Always | RestartPolicy::OnFailure => {
            set("supervisor", "supervise-daemon".to_owned());
            set("respawn_delay", whole_seconds(registration.restart.delay).to_string());
            // As often as it takes.
            set("respawn_max", "0".to_owned());
        }
    }
    script + &depend(registration) + &start_pre(registration) + &stop(registration) + &reload(registration)
}

fn word_name(index: usize) -> String {
    format!("word_{index}")
}

fn retry(registration: &Registration) -> String {
    let signal = signal(registration.stop_signal.as_deref().unwrap_or("SIGTERM"));
    let seconds = registration.stop_timeout.map_or(STOP_SECONDS, whole_seconds);
    format!("{signal}/{seconds}/KILL/{KILL_SECONDS}")
}

fn depend(registration: &Registration) -> String {
    let needed = registration.depends_on.iter().filter_map(|dependency| match dependency {
        Dependency::Service(name) => Some(format!("    need {name}\n")),
        // A machine whose network nobody brings up, as that of a container, has nothing of this name to need.
        Dependency::Network => Some("    want net\n".to_owned()),
        Dependency::Group(_) => None,
    });
    let needed: String = needed.collect();
    if needed.is_empty() { String::new() } else { format!("\ndepend() {{\n{needed}}}\n") }
}

/// What is exported here is passed on to the program, and seen by nobody else. There are machines whose `/var/log` is empty after
/// a boot; where nothing can be kept of what it writes, it runs all the same.
fn start_pre(registration: &Registration) -> String {
    let handed_on = variables::hand_on(&variables_file(&registration.name), registration, "return 1");
    let owner = match registration.account {
        Account::User { .. } => " -o \"$account\"",
        Account::Manager
        | Account::LocalService
        | Account::NetworkService
        | Account::Virtual
        | Account::GroupManaged(_) => "",
    };
    let log = format!(
        "    {{ mkdir -p \"${{output_log%/*/*}}\" && mkdir -m 0711 \"${{output_log%/*}}\"; }} 2>/dev/null\n    \
         checkpath -q -f -m 0640{owner} \"$output_log\" || {{ output_log=/dev/null; error_log=/dev/null; }}\n"
    );
    format!("\nstart_pre() {{\n{log}{handed_on}}}\n")
}

/// The process is a session's leader, and what is left of its group once it has ended is ended, too. OpenRC's own way for a
/// program in the background would look for one that was executed as what came before the program.
fn stop(registration: &Registration) -> String {
    let (pid, stop) = match registration.restart.policy {
        RestartPolicy::Never => (
            "cat \"$pidfile\" 2>/dev/null",
            "ebegin \"Stopping ${name:-$RC_SVCNAME}\"\n    \
             start-stop-daemon --stop --pidfile \"$pidfile\" ${retry:+--retry \"$retry\"}\n    \
             eend $? || return 1\n",
        ),
        RestartPolicy::Always | RestartPolicy::OnFailure => {
            ("service_get_value child_pid", "default_stop || return 1\n")
        }
    };
    let end = match registration.children {
        Children::Kept => "",
        Children::Ended => {
            "    if [ -n \"$leader\" ] && [ ! -d \"/proc/$leader\" ]; then\n        \
                 kill -s KILL -- \"-$leader\" 2>/dev/null\n    \
             fi\n"
        }
    };
    format!("\nstop() {{\n    leader=$({pid})\n    {stop}{end}    return 0\n}}\n")
}

fn reload(registration: &Registration) -> String {
    let told = match &registration.reload {
        Some(Reload::Signal(name)) => {
            let signal = signal(name);
            match registration.restart.policy {
                RestartPolicy::Never => {
                    format!("    start-stop-daemon --signal {signal} --pidfile \"$pidfile\"\n")
                }
                RestartPolicy::Always | RestartPolicy::OnFailure => {
                    format!("    supervise-daemon \"$RC_SVCNAME\" --signal {signal} --pidfile \"$pidfile\"\n")
                }
            }
        }
        Some(Reload::Command(command)) => {
            let variables = variables_file(&registration.name);
            Executed { registration, variables: &variables, as_user: AS_USER }.beside(command) + " || return 1\n"
        }
        Some(Reload::Native) | None => return String::new(),
    };
    format!("\nextra_started_commands=reload\n\nreload() {{\n{told}}}\n")
}

/// Executes as another user, in all their groups.
const AS_USER: &str = "setpriv --reuid=\"$uid\" --regid=\"$gid\" --groups=\"$(echo \"$groups\" | tr ' ' ,)\" ";
