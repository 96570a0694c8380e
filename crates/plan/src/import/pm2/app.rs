//! One application: a service, or several where it has instances.

use std::time::Duration;

use crate::definition::{Account, ExitAction, ExitMatch, Inherit, LogFormat, RestartPolicy, StartType};
use crate::signal::Signal;

use super::super::draft::{Draft, Drafts, command};
use super::super::procfile::line::{self, Line, Variable};
use super::super::retries::{self, window};
use super::super::template::Template;
use super::super::{Note, Place, values, words};
use super::fields::{Field, Fields};
use super::literal::Value;

/// How long pm2 waits after SIGINT, where nobody says.
const KILL_TIMEOUT: Duration = Duration::from_millis(1600);
/// How long an application has to run for pm2 to call its start a success.
const MIN_UPTIME: Duration = Duration::from_secs(1);
/// How many instances are taken.
const INSTANCES_MAX: usize = 1000;

/// What runs a script, by the end of its name.
const INTERPRETERS: [(&str, &str); 11] = [
    (".js", "node"),
    (".cjs", "node"),
    (".mjs", "node"),
    (".py", "python"),
    (".rb", "ruby"),
    (".sh", "bash"),
    (".php", "php"),
    (".pl", "perl"),
    (".ts", "bun"),
    (".tsx", "bun"),
    (".coffee", "coffee"),
];

/// What has a cluster mode, by a part of its path.
const CLUSTERED: [&str; 2] = ["node", "bun"];

/// Fields that mean nothing to a guard, or nothing else than what it does anyway.
const WITHOUT_MEANING: [&str; 22] = [
    "merge_logs",
    "combine_logs",
    "pid_file",
    "pid",
    "vizion",
    "pmx",
    "automation",
    "trace",
    "disable_trace",
    "treekill",
    "force",
    "source_map_support",
    "disable_source_map_support",
    "append_env_to_name",
    "windows_hide",
    "ignore_watch",
    "watch_delay",
    "watch_options",
    "autostart",
    "disable_logs",
    "km_link",
    "version",
];

/// One application on its way.
struct Subject<'a, 'f> {
    fields: &'a mut Fields,
    place: &'a Place,
    draft: Draft,
    drafts: &'a mut Drafts<'f>,
}

impl Subject<'_, '_> {
    fn note(&mut self, note: Note) {
        let service = Some(self.draft.id.clone());
        self.drafts.note(Note { service, ..note });
    }

    fn lost(&mut self, field: &Field, message: &str, help: &str) {
        let note = Note::lost(&field.setting(self.place), message);
        self.note(if help.is_empty() { note } else { note.help(help) });
    }

    fn changed(&mut self, field: &Field, message: &str, help: &str) {
        let note = Note::changed(&field.setting(self.place), message);
        self.note(if help.is_empty() { note } else { note.help(help) });
    }

    fn take_milliseconds(&mut self, name: &str) -> Option<Duration> {
        let field = self.fields.take(name)?;
        let found = field.text().and_then(|text| time(&text));
        if found.is_none() {
            self.lost(&field, "this is not a number of milliseconds", "");
        }
        found
    }

    fn take_flag(&mut self, name: &str) -> Option<(Field, bool)> {
        let field = self.fields.take(name)?;
        let flag = field.text().and_then(|text| values::boolean(&text));
        if flag.is_none() {
            self.lost(&field, "this is neither true nor false", "");
        }
        flag.map(|flag| (field, flag))
    }
}

/// Milliseconds, or a number with `s`, `m` or `h`.
fn time(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, seconds) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('s') => (number, 1.0),
        Some(number) if text.ends_with('m') => (number, 60.0),
        Some(number) => (number, 3600.0),
        None => return values::milliseconds(text),
    };
    values::duration(number.trim().parse::<f64>().ok()? * seconds)
}

pub(super) fn translate(fields: &mut Fields, place: &Place, id: &str, drafts: &mut Drafts<'_>) {
    let line = fields.0.first().map_or(1, |field| field.line);
    for field in fields.0.iter_mut().filter(|field| !field.name.starts_with("env")) {
        field.name = snake_case(&field.name);
    }
    let draft = Draft::new(id, "", place.line(line));
    let mut subject = Subject { fields, place, draft, drafts };
    subject.draft.service.inherit = Inherit::All;
    let interpreter = translate_program(&mut subject);
    translate_environment(&mut subject);
    translate_account(&mut subject);
    translate_restarts(&mut subject);
    translate_limits(&mut subject);
    translate_stop(&mut subject);
    translate_output(&mut subject);
    let instances = instances(&mut subject, interpreter.as_deref());
    note_rest(&mut subject);
    let Subject { draft, drafts, .. } = subject;
    drafts.services.extend(copies(draft, &instances));
}

/// pm2 knows each field by two names: `kill_timeout` and `killTimeout`.
fn snake_case(name: &str) -> String {
    let parts = name
        .chars()
        .map(|c| if c.is_ascii_uppercase() { format!("_{}", c.to_ascii_lowercase()) } else { c.to_string() });
    parts.collect()
}

/// What runs the script is given back, if something does.
fn translate_program(subject: &mut Subject<'_, '_>) -> Option<String> {
    let name = subject.fields.take("name").and_then(|field| field.text());
    if let Some(folder) = subject.fields.take("cwd").and_then(|field| field.text()) {
        subject.draft.service.directory = Some(Template::literal(&folder).into_text());
    } else if let Some((folder, _)) = subject.place.source.rsplit_once('/') {
        subject.draft.service.directory = Some(Template::literal(folder).into_text());
    }
    let script = subject.fields.take_any(&["script", "cmd", "command", "exec"]);
    let interpreter = subject.fields.take_any(&["interpreter", "exec_interpreter"]).and_then(|field| field.text());
    let flags = subject.fields.take_any(&["interpreter_args", "node_args"]);
    let arguments = subject.fields.take("args");
    let Some(script) = script.as_ref().and_then(Field::text).filter(|script| !script.trim().is_empty()) else {
        subject.draft.name = name.unwrap_or_else(|| "app".to_owned());
        return interpreter;
    };
    let base = script.split_whitespace().next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
    subject.draft.name = name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| stem.to_owned());
    let more = [
        flags.map(|field| arguments_of(&field)).unwrap_or_default(),
        arguments.map(|field| arguments_of(&field)).unwrap_or_default(),
    ];
    if script.trim().contains(char::is_whitespace) && interpreter.is_none() {
        translate_line(subject, &script, &more);
        return None;
    }
    let by_name = INTERPRETERS.iter().find(|(end, _)| script.ends_with(end)).map(|(_, program)| (*program).to_owned());
    let interpreter = match interpreter.as_deref() {
        Some("none" | "") => None,
        Some(other) => Some(other.to_owned()),
        None => by_name,
    };
    let [flags, arguments] = more;
    let program = match interpreter.clone() {
        Some(program) => std::iter::once(program).chain(flags).chain([script]).collect::<Vec<String>>(),
        None => vec![script],
    };
    let words = program.iter().chain(&arguments).map(|word| Template::literal(word)).collect();
    subject.draft.service.command = Some(command(words));
    interpreter
}

/// A script that is a whole command line.
fn translate_line(subject: &mut Subject<'_, '_>, script: &str, more: &[Vec<String>; 2]) {
    let value_of = |variable: &Variable| variable.is_safe().then(|| variable.placeholder());
    let more = more.iter().flatten().map(|word| Template::literal(word));
    match line::read(script, &value_of) {
        Line::Words { assignments, words } => {
            assignments.into_iter().for_each(|(name, value)| subject.draft.set_environment(&name, value));
            subject.draft.service.command = Some(command(words.into_iter().chain(more).collect()));
        }
        Line::Shell => {
            let line = format!("{script} \"$@\"");
            let has_more = more.clone().next().is_some();
            let start = ["sh", "-c", if has_more { &line } else { script }].map(Template::literal);
            let zeroth = has_more.then(|| Template::literal("sh"));
            subject.draft.service.command = Some(command(start.into_iter().chain(zeroth).chain(more).collect()));
        }
    }
}

fn arguments_of(field: &Field) -> Vec<String> {
    match &field.value {
        Value::List(_) => field.texts(),
        Value::Plain(_) => field.text().map(|text| words::pm2(&text)).unwrap_or_default(),
        Value::Table(_) => Vec::new(),
    }
}

fn translate_environment(subject: &mut Subject<'_, '_>) {
    let is_environment = |field: &mut Field| field.name == "env" || field.name.starts_with("env_");
    let tables: Vec<Field> = subject.fields.0.extract_if(.., is_environment).collect();
    for table in tables {
        let Value::Table(variables) = &table.value else {
            if table.name == "env_file"
                && let Some(path) = table.text()
            {
                subject.draft.service.env_file = Some(Template::literal(&path).into_text());
            } else {
                subject.lost(&table, "this is no table of variables", "");
            }
            continue;
        };
        let pairs: Vec<(String, String)> =
            variables.0.iter().filter_map(|field| Some((field.name.clone(), field.value.plain()?))).collect();
        if let Some(profile) = table.name.strip_prefix("env_") {
            let lines: Vec<String> = pairs.iter().map(|(name, _)| name.clone()).collect();
            let message = format!("variables of the environment '{profile}': {}", lines.join(", "));
            let help = format!(
                "put them into [service.NAME.environment] of menshen.{profile}.toml, and start with --profile {profile}"
            );
            subject.lost(&table, &message, &help);
            continue;
        }
        for (name, value) in pairs {
            subject.draft.set_environment(&name, Template::literal(&value));
        }
    }
    if let Some(field) = subject.fields.take("filter_env") {
        subject.lost(&field, "keeps variables of pm2's own environment back", "inherit says which come along");
    }
}

fn translate_account(subject: &mut Subject<'_, '_>) {
    let mut account = |names: &[&str]| {
        let text = subject.fields.take_any(names)?.text()?;
        Some(Account(Template::literal(&text).into_text()))
    };
    subject.draft.service.user = account(&["uid", "user"]);
    subject.draft.service.group = account(&["gid", "group"]);
    if subject.take_flag("autostart").is_some_and(|(_, starts)| !starts) {
        subject.draft.service.start = StartType::Manual;
    }
}

fn translate_restarts(subject: &mut Subject<'_, '_>) {
    let never = subject.take_flag("autorestart").is_some_and(|(_, again)| !again);
    if never {
        subject.draft.service.restart.policy = Some(RestartPolicy::Never);
    }
    if let Some(field) = subject.fields.take("stop_exit_codes") {
        let codes = field.texts().into_iter().filter_map(|code| code.trim().parse().ok()).map(ExitMatch::Code);
        subject.draft.service.restart.on_exit.extend(codes.map(|code| (code, ExitAction::Stop)));
    }
    let uptime = subject.take_milliseconds("min_uptime");
    let fixed = subject.take_milliseconds("restart_delay").filter(|delay| !delay.is_zero());
    let growing = subject.take_milliseconds("exp_backoff_restart_delay").filter(|delay| !delay.is_zero());
    let most = subject.fields.take("max_restarts");
    if never {
        return;
    }
    let restart = &mut subject.draft.service.restart;
    if let Some(delay) = growing {
        // pm2 grows it by half up to 15 s, and forgets it after 30 s.
        restart.delay = delay;
        restart.factor = 1.5;
        restart.max = Duration::from_secs(15).max(delay);
        restart.reset_after = Duration::from_secs(30);
    } else if let Some(delay) = fixed {
        restart.delay = delay;
        restart.max = delay;
        restart.factor = 1.0;
        restart.jitter = 0.0;
    }
    let Some(field) = most else { return };
    let Some(count) = field.text().and_then(|text| text.trim().parse::<u16>().ok()) else {
        return subject.lost(&field, "this is not a number of restarts", "");
    };
    let service = &mut subject.draft.service;
    service.breaker.failures = count.max(1);
    service.breaker.within = window(count, &service.restart, uptime.unwrap_or(MIN_UPTIME));
    service.breaker.give_up_after = 1;
    let within = service.breaker.within;
    subject.draft.comments.extend(retries::comment(count.max(1), within));
}

fn translate_limits(subject: &mut Subject<'_, '_>) {
    let Some(field) = subject.fields.take("max_memory_restart") else { return };
    match field.text().and_then(|text| values::size(&text)) {
        Some(size) => {
            subject.draft.service.limits.memory = Some(size);
            let message =
                "pm2 looks now and then and restarts the program; here the kernel ends it at once, with all it started";
            subject.changed(&field, message, "make it higher than what the program may need for a moment");
        }
        None => subject.lost(&field, "this is not a size", ""),
    }
}

fn translate_stop(subject: &mut Subject<'_, '_>) {
    subject.draft.service.stop.signal = Signal::Int;
    let timeout = subject.take_milliseconds("kill_timeout");
    subject.draft.service.stop.timeout = timeout.unwrap_or(KILL_TIMEOUT);
    if subject.take_flag("treekill").is_some_and(|(_, tree)| !tree) {
        subject.draft.service.stop.tree = false;
    }
    if let Some((field, true)) = subject.take_flag("shutdown_with_message") {
        subject.changed(&field, "was asked to end by a message of node's IPC; here SIGINT asks it", "");
    }
    let listens = subject.fields.take("listen_timeout");
    if let Some((field, true)) = subject.take_flag("wait_ready") {
        let message = "said that it was ready by process.send('ready'); a guard has no such channel";
        subject.lost(&field, message, "a probe.readiness, such as probe.readiness.tcp = \":3000\"");
        if let Some(field) = listens {
            subject.lost(
                &field,
                "was how long process.send('ready') might take",
                "a probe.startup has interval and failure",
            );
        }
    }
}

fn translate_output(subject: &mut Subject<'_, '_>) {
    for names in [
        &["out_file", "output", "out", "out_log"][..],
        &["error_file", "error", "err", "err_file", "err_log"],
        &["log_file", "log"],
    ] {
        if let Some(field) = subject.fields.take_any(names) {
            let path = field.text().unwrap_or_default();
            let message = format!("output is kept in files by the guard, not in {path}; `menshen logs` shows it");
            subject.changed(&field, &message, "");
        }
    }
    if let Some(field) = subject.fields.take("log_date_format") {
        subject.draft.service.log.format = LogFormat::Text;
        subject.changed(&field, "each line has its time, in a format of the guard's", "");
    }
    if subject.take_flag("time").is_some_and(|(_, time)| time) {
        subject.draft.service.log.format = LogFormat::Text;
    }
    if let Some(field) = subject.fields.take("log_type") {
        match field.text().as_deref() {
            Some("json") => subject.draft.service.log.format = LogFormat::Json,
            _ => subject.lost(&field, "there is no such kind of log", ""),
        }
    }
}

/// How many processes there are, and what tells each its number.
struct Instances {
    count: usize,
    variable: String,
    counts_up: Option<String>,
}

fn instances(subject: &mut Subject<'_, '_>, interpreter: Option<&str>) -> Instances {
    let variable = subject.fields.take("instance_var").and_then(|field| field.text());
    let counts_up = subject.fields.take("increment_var").and_then(|field| field.text());
    let mode = subject.fields.take("exec_mode");
    let given = subject.fields.take("instances");
    let mode_text = mode.as_ref().and_then(Field::text).unwrap_or_default();
    let wanted = given.as_ref().and_then(Field::text).unwrap_or_else(|| "1".to_owned());
    let number = wanted.trim().parse::<i64>().ok();
    let one = Instances { count: 1, variable: variable.clone().unwrap_or_default(), counts_up: counts_up.clone() };
    // With several instances and nothing said, pm2 takes its cluster mode for what has one.
    let has_cluster = interpreter.is_some_and(|program| CLUSTERED.iter().any(|name| program.contains(name)));
    let clusters = mode_text.starts_with("cluster") || (mode_text.is_empty() && number != Some(1) && has_cluster);
    let field = given.or(mode);
    match (field, number) {
        (Some(field), _) if clusters && number != Some(1) => {
            let message = format!("{wanted} processes share one port by node's cluster module; here one process runs");
            let help =
                "have the program make a cluster itself, or run several services on ports of their own behind a proxy";
            subject.lost(&field, &message, help);
            one
        }
        (Some(field), None | Some(..=0)) => {
            let message = format!("'{wanted}' counts the processors of the machine; here one process runs");
            subject.lost(&field, &message, "write a service for each");
            one
        }
        (_, Some(number)) => {
            let count = usize::try_from(number).unwrap_or(1).min(INSTANCES_MAX);
            let variable = variable.unwrap_or_else(|| "NODE_APP_INSTANCE".to_owned());
            Instances { count, variable, counts_up }
        }
        (None, None) => one,
    }
}

/// A service for each instance, which knows its number.
fn copies(draft: Draft, instances: &Instances) -> Vec<Draft> {
    if instances.count <= 1 {
        return vec![draft];
    }
    let copy = |number: usize| {
        let mut copy = draft.clone();
        if number > 0 {
            copy.id = format!("{}/{number}", draft.id);
        }
        copy.name = format!("{}-{number}", draft.name);
        copy.set_environment(&instances.variable, Template::literal(&number.to_string()));
        if let Some(name) = &instances.counts_up {
            let first = draft.service.environment.get(name).and_then(|value| match &value.0 {
                crate::definition::SecretText::Plain(text) => text.parse::<usize>().ok(),
                crate::definition::SecretText::Credential(_) => None,
            });
            let value = first.unwrap_or_default().saturating_add(number).to_string();
            copy.set_environment(name, Template::literal(&value));
        }
        copy
    };
    (0..instances.count).map(copy).collect()
}

fn note_rest(subject: &mut Subject<'_, '_>) {
    if let Some(field) = subject.fields.take("watch") {
        let watches = field.text().and_then(|text| values::boolean(&text)) != Some(false);
        if watches {
            subject.lost(
                &field,
                "restarts the program when a file changes; a guard does not",
                "a tool for development does: nodemon, watchexec",
            );
        }
    }
    for field in std::mem::take(subject.fields).rest() {
        if WITHOUT_MEANING.contains(&field.name.as_str())
            || matches!(field.value, Value::Plain(serde_json::Value::Null))
        {
            continue;
        }
        let (message, help) = match field.name.as_str() {
            "cron_restart" | "cron" => {
                ("restarts the program at certain times", "have cron or a timer run `menshen restart NAME`")
            }
            "namespace" => {
                ("a guard has no groups of services", "a guard of its own: another definition with another guard.name")
            }
            "post_update" | "pre_setup" => ("is about deploying, not about guarding", ""),
            _ => ("has no equivalent", ""),
        };
        subject.lost(&field, message, help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_two_names() {
        assert_eq!(snake_case("maxMemoryRestart"), "max_memory_restart");
        assert_eq!(snake_case("kill_timeout"), "kill_timeout");
    }

    #[test]
    fn times_are_milliseconds_or_have_a_unit() {
        for (text, milliseconds) in [("1600", 1600), ("5s", 5000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(time(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(time("soon"), None);
    }
}
