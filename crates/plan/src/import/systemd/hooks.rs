//! What runs before, after and at the end of a service. A guard has no such hooks: what runs before is a one-shot the
//! service waits for, what runs after is one that waits for the service.

use crate::command_line::CommandLine;
use crate::definition::{OnLoss, ServiceType, StartType};
use crate::signal::Signal;

use super::super::Note;
use super::super::draft::{Draft, Need, command};
use super::super::settings::Setting;
use super::super::template::Template;
use super::super::values;
use super::Subject;
use super::exec::{self, Exec};
use super::service::expanded;

/// The one-shots around a service.
#[derive(Default)]
pub(super) struct Around {
    pub before: Vec<Draft>,
    pub after: Vec<Draft>,
}

pub(super) fn translate(subject: &mut Subject<'_, '_>, draft: &mut Draft) -> Around {
    translate_reload(subject, draft);
    translate_stop(subject, draft);
    let mut before = commands(subject, "ExecStartPre");
    before.append(&mut subject.before_main);
    let after = commands(subject, "ExecStartPost");
    let before = chain_before(subject, draft, &before);
    let after = match draft.service.start {
        StartType::Auto | StartType::Delayed => chain_after(subject, draft, &after),
        StartType::Manual | StartType::Disabled => {
            note_nothing_after(subject, draft, &after);
            Vec::new()
        }
    };
    Around { before, after }
}

fn commands(subject: &mut Subject<'_, '_>, key: &str) -> Vec<(Setting, Exec)> {
    let settings = subject.unit.take_list("Service", key);
    let with_setting = |setting: Setting| {
        let commands = exec::commands(&setting.value);
        commands.into_iter().map(move |command| (setting.clone(), command))
    };
    settings.into_iter().flat_map(with_setting).collect()
}

fn chain_before(subject: &mut Subject<'_, '_>, draft: &mut Draft, commands: &[(Setting, Exec)]) -> Vec<Draft> {
    let mut chain: Vec<Draft> = Vec::new();
    for (number, (setting, exec)) in (1..).zip(commands) {
        let mut hook = hook(subject, draft, &format!("pre-{number}"), (setting, exec));
        hook.needs = match chain.last() {
            Some(last) => vec![need(&last.id, setting)],
            None => draft.needs.iter().filter(|need| !need.is_turned()).cloned().collect(),
        };
        hook.service.start_timeout = subject.start_timeout;
        hook.service.description =
            Some(format!("What {} needs before it starts", Template::literal(&draft.name).into_text()));
        let message = format!("runs once, before the first start of {}; systemd runs it before each", draft.name);
        subject.note(
            Note::changed(setting, message).help("have the program do it, or a script that then executes the program"),
        );
        chain.push(hook);
    }
    if let (Some(last), Some((setting, _))) = (chain.last(), commands.last()) {
        draft.needs.push(need(&last.id, setting));
    }
    chain
}

fn chain_after(subject: &mut Subject<'_, '_>, draft: &Draft, commands: &[(Setting, Exec)]) -> Vec<Draft> {
    let mut last = draft.id.clone();
    let mut chain = Vec::new();
    for (number, (setting, exec)) in (1..).zip(commands) {
        let mut hook = hook(subject, draft, &format!("post-{number}"), (setting, exec));
        hook.needs = vec![need(&last, setting)];
        hook.service.description =
            Some(format!("What follows the start of {}", Template::literal(&draft.name).into_text()));
        let message = format!("runs once, after the first start of {}; systemd runs it after each", draft.name);
        subject.note(Note::changed(setting, message));
        last.clone_from(&hook.id);
        chain.push(hook);
    }
    chain
}

/// Nothing would start what follows such a service: that the service is started is no reason to, and started with the guard it
/// would bring the service up by itself.
fn note_nothing_after(subject: &mut Subject<'_, '_>, draft: &Draft, commands: &[(Setting, Exec)]) {
    let name = &draft.name;
    for (setting, _) in commands {
        let message =
            format!("runs after each start of {name}; nothing can follow a service that is not started with the guard");
        let help = format!("a one-shot that depends on {name} does it: whoever starts that starts both");
        subject.note(Note::lost(setting, message).help(help));
    }
}

fn need(on: &str, setting: &Setting) -> Need {
    Need { on: on.to_owned(), on_loss: OnLoss::Ignore, setting: setting.clone() }
}

/// A one-shot in the service's own surroundings.
fn hook(subject: &mut Subject<'_, '_>, of: &Draft, what: &str, (setting, exec): (&Setting, &Exec)) -> Draft {
    let mut hook = Draft::new(format!("{}/{what}", of.id), format!("{}-{what}", of.name), setting.place.clone());
    let variables = subject.variables.clone();
    let words = expanded(subject, setting, exec, &variables);
    hook.service.command = Some(if exec.has('-') { ignoring_failure(words) } else { command(words) });
    let service = &of.service;
    let full_rights = exec.has('+') || exec.has('!');
    if !full_rights {
        hook.service.user.clone_from(&service.user);
        hook.service.group.clone_from(&service.group);
        hook.service.groups.clone_from(&service.groups);
    }
    hook.service.kind = ServiceType::Oneshot;
    hook.service.directory.clone_from(&service.directory);
    hook.service.umask = service.umask;
    hook.service.environment.clone_from(&service.environment);
    hook.service.env_file.clone_from(&service.env_file);
    hook.service.inherit = service.inherit.clone();
    hook
}

/// A one-shot that has completed however the command ends.
fn ignoring_failure(words: Vec<Template>) -> CommandLine {
    let shell = ["sh", "-c", "\"$@\" || true", "sh"].map(Template::literal);
    command(shell.into_iter().chain(words).collect())
}

fn translate_reload(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    for (setting, exec) in commands(subject, "ExecReload") {
        match signal_to_main(&exec) {
            Some(signal) => draft.service.reload.signal = Some(signal),
            None => {
                let message = "runs a command to have the program read its configuration again; here that is a signal";
                let help =
                    "write reload.signal = \"SIGHUP\" if the program takes one; otherwise run the command by hand";
                subject.note(Note::lost(&setting, message).help(help));
            }
        }
    }
    if let Some(setting) = subject.unit.take("Service", "ReloadSignal") {
        match values::signal(&setting.value) {
            Some(signal) => draft.service.reload.signal = Some(signal),
            None => subject.note(Note::lost(&setting, "this is not a signal")),
        }
    }
}

/// The signal of a command that does nothing but send one to the main process.
fn signal_to_main(exec: &Exec) -> Option<Signal> {
    let words: Vec<&str> = exec.words.iter().map(String::as_str).collect();
    let (program, arguments) = words.split_first()?;
    if program.rsplit('/').next() != Some("kill") || !matches!(arguments.last(), Some(&("$MAINPID" | "${MAINPID}"))) {
        return None;
    }
    match arguments {
        [_] => Some(Signal::Term),
        ["-s" | "--signal", name, _] => values::signal(name),
        [flag, _] => values::signal(flag.strip_prefix("--signal=").or_else(|| flag.strip_prefix('-'))?),
        _ => None,
    }
}

fn translate_stop(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let commands = commands(subject, "ExecStop");
    let Some(((setting, exec), more)) = commands.split_first() else { return };
    if let (Some(signal), []) = (signal_to_main(exec), more) {
        draft.service.stop.signal = signal;
        return;
    }
    let message =
        "may take `stop.timeout` together with the signal that follows it; systemd gives each of them as long";
    subject.note(Note::changed(setting, message).help("make stop.timeout longer if the command itself takes long"));
    let variables = subject.variables.clone();
    let words_of = |subject: &mut Subject<'_, '_>, (setting, exec): &(Setting, Exec)| -> Vec<String> {
        let (_, exec) = without_main_pid(exec);
        expanded(subject, setting, &exec, &variables).into_iter().map(Template::into_text).collect()
    };
    let asks_pid = commands.iter().any(|(_, exec)| without_main_pid(exec).0);
    if more.is_empty() && !asks_pid {
        let words = expanded(subject, setting, exec, &variables);
        draft.service.stop.command = Some(command(words));
        return;
    }
    // The guard puts the number of the main process into the command's environment, where only a shell finds it.
    let lines: Vec<String> = commands.iter().map(|pair| shell_line(&words_of(subject, pair))).collect();
    let words = ["sh".to_owned(), "-c".to_owned(), lines.join("; ")];
    draft.service.stop.command = Some(CommandLine(words.into()));
    let message = "several commands, or one that asks for the main process: a shell runs it";
    subject.note(Note::changed(setting, message));
}

/// Stands for `$MAINPID` while variables are expanded.
const MAIN_PID: &str = "\u{1}MAINPID\u{1}";

fn without_main_pid(exec: &Exec) -> (bool, Exec) {
    let mut exec = exec.clone();
    let mut asks = false;
    for word in &mut exec.words {
        if word.contains("${MAINPID}") || word == "$MAINPID" {
            asks = true;
            *word = word.replace("${MAINPID}", MAIN_PID).replace("$MAINPID", MAIN_PID);
        }
    }
    (asks, exec)
}

/// Words, as they stand in a definition, quoted for a shell; what stands for the main process is the shell's variable.
fn shell_line(words: &[String]) -> String {
    let literal =
        |part: &str| if part.is_empty() { String::new() } else { format!("'{}'", part.replace('\'', r"'\''")) };
    let quote = |word: &String| {
        let parts: Vec<String> = word.split(MAIN_PID).map(literal).collect();
        let quoted = parts.join("\"$$MAINPID\"");
        if quoted.is_empty() { "''".to_owned() } else { quoted }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_sends_a_signal_to_the_main_process_is_that_signal() {
        for (value, signal) in [
            ("/bin/kill -HUP $MAINPID", Some(Signal::Hup)),
            ("/bin/kill -s QUIT ${MAINPID}", Some(Signal::Quit)),
            ("kill $MAINPID", Some(Signal::Term)),
            ("/usr/bin/kill --signal=USR2 $MAINPID", Some(Signal::Usr2)),
            ("/bin/kill -9 1", None),
            ("/usr/sbin/nginx -s reload", None),
        ] {
            assert_eq!(signal_to_main(&exec::commands(value)[0]), signal, "{value}");
        }
    }

    #[test]
    fn words_are_quoted_for_the_shell_but_for_the_main_process() {
        let words = ["/bin/a".to_owned(), format!("--pid={MAIN_PID}"), "it's".to_owned(), String::new()];
        assert_eq!(shell_line(&words), r#"'/bin/a' '--pid='"$$MAINPID" 'it'\''s' ''"#);
    }
}
