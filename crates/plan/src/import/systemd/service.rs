//! What a service is: its command, its account, its folder, when it counts as up, when it is started again, how it ends.

use crate::definition::{Account, ServiceType, StartType, Umask};
use crate::signal::Signal;

use super::super::draft::{Draft, command};
use super::super::settings::Setting;
use super::super::values;
use super::super::{Note, NoteKind};
use super::exec::{self, Exec, Expanded, Variables};
use super::{Subject, environment, resources, timing};

/// What has systemd start a unit at boot.
const BY_ITSELF: [&str; 4] = ["WantedBy", "RequiredBy", "UpheldBy", "Alias"];

/// Translates `[Service]`, and the description.
pub(super) fn translate(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    if let Some(setting) = subject.unit.take("Unit", "Description") {
        draft.service.description = Some(resolved(subject, &setting, &setting.value));
    }
    for setting in subject.unit.take_list("Unit", "Documentation") {
        draft.comments.push(format!("See {}", setting.value));
    }
    if subject.specifiers.lacks_instance() {
        let note = Note::new(
            NoteKind::Changed,
            &draft.place,
            subject.unit.name.clone(),
            "a template without an instance: %i is empty",
        );
        subject.note(note.help("name a copy or a link of it web@blue.service, and import that"));
    }
    translate_start(subject, draft);
    translate_type(subject, draft);
    let variables = environment::translate(subject, draft);
    translate_command(subject, draft, &variables);
    translate_account(subject, draft);
    translate_directory(subject, draft);
    timing::translate(subject, draft);
    resources::translate(subject, draft);
    subject.variables = variables;
}

/// What is not installed into anything is started by a timer, by another unit, or by hand.
fn translate_start(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    if BY_ITSELF.iter().any(|key| subject.unit.peek("Install", key).is_some()) {
        return;
    }
    draft.service.start = StartType::Manual;
    let message = "nothing starts it at boot: it is started when another service needs it, or by hand";
    let note = Note::new(NoteKind::Advice, &draft.place, "[Install]", message);
    subject.note(note.help("start = \"auto\" has it started with the guard"));
}

fn translate_type(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let has_command = subject.unit.peek("Service", "ExecStart").is_some();
    let Some(setting) = subject.unit.take("Service", "Type") else {
        let without = if has_command { ServiceType::Daemon } else { ServiceType::Oneshot };
        draft.service.kind = without;
        return;
    };
    let (kind, message, help) = match setting.value.as_str() {
        "simple" | "exec" => (ServiceType::Daemon, "", ""),
        "notify" => (ServiceType::Notify, "", ""),
        "oneshot" => (ServiceType::Oneshot, "", ""),
        "notify-reload" => {
            draft.service.reload.signal = Some(Signal::Hup);
            (ServiceType::Notify, "", "")
        }
        "forking" => (
            ServiceType::Daemon,
            "the program goes to the background by itself; a guard takes a program that ends for one that ended",
            "add the option that keeps it in the foreground (often -f, -D, --foreground, --nodaemon)",
        ),
        "dbus" => (
            ServiceType::Daemon,
            "it was up when it had its name on D-Bus; here it is up when it is started",
            "give it a probe.startup",
        ),
        "idle" => (ServiceType::Daemon, "it waited until nothing else was to be started; here it starts at once", ""),
        _ => (ServiceType::Daemon, "there is no such type; it is taken for a program that runs on", ""),
    };
    draft.service.kind = kind;
    if !message.is_empty() {
        let note = Note::changed(&setting, format!("Type={}: {message}", setting.value));
        subject.note(if help.is_empty() { note } else { note.help(help) });
    }
}

fn translate_command(subject: &mut Subject<'_, '_>, draft: &mut Draft, variables: &Variables) {
    let settings = subject.unit.take_list("Service", "ExecStart");
    let commands: Vec<(&Setting, Exec)> = settings
        .iter()
        .flat_map(|setting| exec::commands(&setting.value).into_iter().map(move |command| (setting, command)))
        .collect();
    let Some(((setting, last), before)) = commands.split_last() else { return };
    if !before.is_empty() {
        // They run one after the other, as those of ExecStartPre= do; the last one is the service.
        let before: Vec<(Setting, Exec)> =
            before.iter().map(|(setting, command)| ((*setting).clone(), command.clone())).collect();
        subject.before_main.extend(before);
        let message = "several commands run one after the other; each but the last is a one-shot of its own";
        subject.note(Note::changed(setting, message));
    }
    if last.has('-') {
        let message = "'-' before the command: that it fails counts as a success; here it counts as a failure";
        let help = "say what its exit codes mean: restart.on_exit = { 1 = \"stop\" }";
        subject.note(Note::changed(setting, message).help(help));
    }
    draft.service.command = Some(command(expanded(subject, setting, last, variables)));
}

/// The words of a command, with a note for all that is not the same.
pub(super) fn expanded(
    subject: &mut Subject<'_, '_>,
    setting: &Setting,
    exec: &Exec,
    variables: &Variables,
) -> Vec<super::super::template::Template> {
    note_prefixes(subject, setting, exec);
    let mut exec = exec.clone();
    if exec.has('@') && exec.words.len() > 1 {
        exec.words.remove(1);
    }
    let expanded = exec::expand(&exec, variables, &subject.specifiers);
    let words = expanded.in_shell();
    let Expanded { outside, split_later, machine, .. } = expanded;
    for name in outside {
        let message = format!("${name} is not set in the unit; here it is what the guard's environment has");
        subject
            .note(Note::advice(setting, message).help(format!("give {name} to the guard, or to --set, or a default")));
    }
    for (_, name) in split_later {
        let message = format!(
            "${name} is as many words as are in its value, and none if that is empty: a shell splits it at each start, to which quotes in it are characters"
        );
        subject.note(Note::changed(setting, message).help("write the words out, and no shell is needed"));
    }
    note_machine(subject, setting, &machine);
    words
}

fn note_prefixes(subject: &mut Subject<'_, '_>, setting: &Setting, exec: &Exec) {
    if exec.has('@') {
        subject
            .note(Note::lost(setting, "'@' gives the program another name for itself; here it is called by its path"));
    }
    if exec.has('+') || exec.has('!') {
        let message = "'+' and '!' run the command with all rights; here it has those of the service's user";
        subject.note(Note::changed(setting, message));
    }
    if exec.has('|') {
        let message = "'|' runs the command in the user's shell; here no shell is run";
        subject.note(Note::changed(setting, message).help("command = [\"sh\", \"-lc\", \"…\"]"));
    }
}

/// Notes what only the machine knows.
pub(super) fn note_machine(subject: &mut Subject<'_, '_>, setting: &Setting, machine: &[(&str, &str)]) {
    for (name, what) in machine {
        let message = format!("a specifier stands for {what}; here ${{{name}}} does, and without it 'unknown'");
        subject
            .note(Note::advice(setting, message).help(format!("give {name} to the guard's environment, or to --set")));
    }
}

/// A value with its specifiers resolved, as it stands in a definition.
pub(super) fn resolved(subject: &mut Subject<'_, '_>, setting: &Setting, value: &str) -> String {
    let resolved = subject.specifiers.resolve(value);
    note_machine(subject, setting, &resolved.machine);
    resolved.template.into_text()
}

fn translate_account(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let take = |subject: &mut Subject<'_, '_>, key| {
        let setting = subject.unit.take("Service", key)?;
        let value = setting.value.clone();
        Some(Account(resolved(subject, &setting, &value)))
    };
    draft.service.user = take(subject, "User");
    draft.service.group = take(subject, "Group");
    let mut groups = Vec::new();
    for setting in subject.unit.take_list("Service", "SupplementaryGroups") {
        groups.extend(exec::words(&setting.value).iter().map(|name| Account(resolved(subject, &setting, name))));
    }
    draft.service.groups = (!groups.is_empty()).then_some(groups);
    if let Some(setting) = subject.unit.take("Service", "UMask") {
        match u32::from_str_radix(&setting.value, 8).ok().filter(|mask| *mask <= 0o777) {
            Some(mask) => draft.service.umask = Some(Umask(mask)),
            None => subject.note(Note::lost(&setting, "this is not a mask")),
        }
    }
    if let Some(setting) = subject.unit.take("Service", "Nice") {
        match setting.value.parse() {
            Ok(nice) => draft.service.nice = Some(nice),
            Err(_) => subject.note(Note::lost(&setting, "this is not a number from -20 to 19")),
        }
    }
}

fn translate_directory(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let Some(setting) = subject.unit.take("Service", "WorkingDirectory") else {
        let home = subject.specifiers.is_user();
        let without = if home { subject.specifiers.resolve("%h").template.into_text() } else { "/".to_owned() };
        draft.service.directory = Some(without);
        return;
    };
    let path = setting.value.strip_prefix('-').unwrap_or(&setting.value);
    if setting.value.starts_with('-') {
        let message = "'-' before the folder: without it systemd starts the program in /; here it is not started";
        subject.note(Note::changed(&setting, message));
    }
    if path == "~" {
        let user = draft.service.user.as_ref().map(|user| user.0.clone());
        let home = user.as_deref().and_then(|user| subject.drafts.facts.user(user));
        let home = home.map_or_else(|| "/".to_owned(), |user| user.home.to_string_lossy().into_owned());
        let message = format!("the user's home is taken as it is on this machine: {home}");
        subject.note(Note::changed(&setting, message));
        draft.service.directory = Some(super::super::template::Template::literal(&home).into_text());
        return;
    }
    draft.service.directory = Some(resolved(subject, &setting, path));
}

/// A time span of systemd (systemd.time(7)): numbers with units, alone in seconds.
pub(super) fn time_span(text: &str) -> Option<std::time::Duration> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("infinity") {
        return Some(crate::duration::DURATION_MAX);
    }
    if text.is_empty() {
        return None;
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        let after = rest[digits..].trim_start();
        let letters = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
        total += number * unit(&after[..letters])?;
        rest = after[letters..].trim_start();
    }
    values::duration(total)
}

fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "us" | "usec" | "µs" | "μs" => 1e-6,
        "ms" | "msec" => 1e-3,
        "" | "s" | "sec" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        "M" | "month" | "months" => 2_629_800.0,
        "y" | "year" | "years" => 31_557_600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_spans_are_those_of_systemd() {
        for (text, milliseconds) in [
            ("5", 5000),
            ("100ms", 100),
            ("1min 30s", 90_000),
            ("1min30", 90_000),
            ("2 h", 7_200_000),
            ("1.5s", 1500),
            ("0", 0),
        ] {
            assert_eq!(time_span(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "x", "5 apples", "-1", "s"] {
            assert_eq!(time_span(text), None, "{text}");
        }
    }
}
