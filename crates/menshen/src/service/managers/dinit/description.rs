//! The description of a service: settings, one a line.

use std::path::Path;

use super::super::shell::{comments, directory, mark, program, signal, text, without};
use crate::service::readiness;
use crate::service::registration::{Account, Children, Dependency, Protocol, Registration, Reload, RestartPolicy};

/// A comment of ours: the signal that has the program read its configuration again. What people wrote has a blank behind `#`.
const RELOAD: &str = "#reload by ";

/// The signal that has the program of a description read its configuration again.
pub(in super::super) fn reload_signal(description: &str) -> Option<&str> {
    description.lines().find_map(|line| line.strip_prefix(RELOAD))
}

/// The file of its variables, which dinit reads before it becomes the service's user: one a line, and nothing is quoted.
pub(super) fn variables(registration: &Registration) -> Option<String> {
    let variables = registration.environment.iter();
    let lines: String = variables.map(|(name, value)| format!("{name}={value}\n")).collect();
    (!lines.is_empty()).then(|| format!("{}\n{lines}", mark(&registration.name)))
}

/// The files that a description names.
pub(super) struct Files<'a> {
    /// Its variables.
    pub variables: &'a Path,
    /// What it writes.
    pub log: &'a Path,
}

/// All of it.
pub(super) fn description(registration: &Registration, files: &Files<'_>) -> String {
    let mut description = comments(registration);
    let mut set = |name: &str, value: &str| description += &format!("{name} = {value}\n");
    set("type", "process");
    set("command", &command(&program(registration)));
    set("working-dir", &quoted(&directory(registration).replace('$', "$$")));
    if !registration.environment.is_empty() {
        set("env-file", &quoted(&text(files.variables).replace('$', "$$")));
    }
    set("logfile", &quoted(&text(files.log).replace('$', "$$")));
    if let Account::User { name, group: _, password: _ } = &registration.account {
        set("run-as", &quoted(name));
        set("load-options", "export-passwd-vars");
    }
    set_restart(registration, &mut set);
    if registration.protocol == Protocol::Native {
        set("ready-notification", &format!("pipevar:{}", readiness::VARIABLE));
    }
    if let Some(name) = &registration.stop_signal {
        set("term-signal", signal(name));
    }
    if let Some(command_to_stop) = &registration.stop_command {
        set("stop-command", &command(command_to_stop));
    }
    let timeouts = [("start-timeout", registration.start_timeout), ("stop-timeout", registration.stop_timeout)];
    for (name, timeout) in timeouts {
        if let Some(timeout) = timeout {
            set(name, &seconds(timeout));
        }
    }
    if registration.children == Children::Kept {
        set("options", "signal-process-only");
    }
    if let Some(files) = registration.open_files {
        set("rlimit-nofile", &files.to_string());
    }
    for dependency in &registration.depends_on {
        if let Dependency::Service(name) = dependency {
            description += &format!("depends-ms: {name}\n");
        }
    }
    if let Some(Reload::Signal(name)) = &registration.reload {
        description += &format!("{RELOAD}{}\n", signal(name));
    }
    description
}

fn set_restart(registration: &Registration, set: &mut dyn FnMut(&str, &str)) {
    let restart = &registration.restart;
    set(
        "restart",
        match restart.policy {
            RestartPolicy::Always => "yes",
            RestartPolicy::OnFailure => "on-failure",
            RestartPolicy::Never => "no",
        },
    );
    if restart.policy != RestartPolicy::Never {
        set("restart-delay", &seconds(restart.delay));
        // As often as it takes.
        set("restart-limit-count", "0");
    }
}

fn seconds(time: std::time::Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// Whether a shell has to put some command together, for a setting is one line.
pub(super) fn needs_shell(registration: &Registration) -> bool {
    let program = program(registration);
    program.iter().chain(registration.stop_command.iter().flatten()).any(|word| word.contains(ends_line))
}

const fn ends_line(character: char) -> bool {
    matches!(character, '\n' | '\r')
}

/// A command of words, none of which dinit substitutes anything in.
fn command(words: &[String]) -> String {
    let words = without(words, ends_line);
    words.iter().map(|word| quoted(&word.replace('$', "$$"))).collect::<Vec<_>>().join(" ")
}

/// A text in double quotes, in which only these two have a meaning.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
