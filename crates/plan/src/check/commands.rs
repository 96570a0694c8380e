//! What commands say.

use crate::check::{Code, Context, Subject};
use crate::command_line::CommandLine;
use crate::diagnostic::Diagnostic;
use crate::signal::Signal;
use crate::source::Span;

/// Words only a shell understands.
const SHELL_WORDS: [&str; 10] = ["&&", "||", "|", ";", ">", ">>", "<", "2>&1", "&", "2>"];

pub(crate) fn check(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    if subject.plan.command.is_empty() && !subject.is_faulty(&["command"]) {
        let written = subject.is_written(&["command"]);
        let message = if written { "the command is empty" } else { "the service has no command" };
        let span = if written { subject.value(&["command"]) } else { subject.key(&[]) };
        diagnostics.push(
            Diagnostic::new(Code::EmptyCommand, message).at(span).help("write command = [\"program\", \"argument\"]"),
        );
    }
    for (command, path) in commands(subject) {
        let span = subject.value(path);
        if let Some(word) = command.0.iter().find(|word| SHELL_WORDS.contains(&word.as_str())) {
            let message = format!("'{word}' is given to the program as it is: no shell is run");
            let help = "run a shell yourself: command = [\"sh\", \"-c\", \"…\"]";
            diagnostics.push(Diagnostic::new(Code::ShellSyntax, message).at(span).help(help));
        }
        if let Some(diagnostic) = unbraced_variable(command, span) {
            diagnostics.push(diagnostic);
        }
        if let Some(diagnostic) = lost_backslash(context, span) {
            diagnostics.push(diagnostic);
        }
    }
    if matches!(subject.plan.stop.signal, Signal::Kill | Signal::Stop | Signal::Cont)
        && subject.plan.stop.command.is_none()
    {
        let message = format!("{} does not ask the program to end", subject.plan.stop.signal);
        let help = "use SIGTERM or what the program's manual names; after `stop.timeout` it is killed anyway";
        diagnostics.push(Diagnostic::new(Code::StopSignal, message).at(subject.value(&["stop", "signal"])).help(help));
    }
}

fn commands<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (&'a CommandLine, &'static [&'static str])> {
    let stop: &'static [&'static str] = &["stop", "command"];
    let fallback: &'static [&'static str] = &["breaker", "fallback"];
    let main: &'static [&'static str] = &["command"];
    let plan = subject.plan;
    [
        (Some(&plan.command), main),
        (plan.stop.command.as_ref(), stop),
        (plan.breaker.fallback.as_ref().map(|fallback| &fallback.command), fallback),
    ]
    .into_iter()
    .filter_map(|(command, path)| command.map(|command| (command, path)))
}

fn unbraced_variable(command: &CommandLine, span: Option<Span>) -> Option<Diagnostic> {
    if command.program().is_some_and(|program| {
        ["sh", "bash", "dash", "zsh"].iter().any(|shell| program.rsplit('/').next() == Some(shell))
    }) {
        return None;
    }
    let name = command.0.iter().find_map(|word| {
        let (_, after) = word.split_once('$')?;
        let name: String = after.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
        (name.len() > 1).then_some(name)
    })?;
    let message = format!("${name} is given to the program as it is");
    Some(
        Diagnostic::new(Code::UnbracedVariable, message)
            .at(span)
            .help(format!("write ${{{name}}} to have its value put in, or $${name} to mean it")),
    )
}

/// A command written as one text loses `\` before other characters, which Windows paths do not survive.
fn lost_backslash(context: &Context<'_>, span: Option<Span>) -> Option<Diagnostic> {
    let span = span?;
    let written = context.sources.get(span.source)?.text.get(span.start..span.end)?;
    let text = match written.as_bytes() {
        [b'\'', .., b'\''] => written.trim_matches('\'').to_owned(),
        [b'"', .., b'"'] => written.trim_matches('"').replace("\\\\", "\\"),
        _ => return None,
    };
    let looks_like_path = text.split(':').nth(1).is_some_and(|rest| rest.starts_with('\\')) || text.starts_with("\\\\");
    looks_like_path.then(|| {
        let message = "splitting this command into words takes its backslashes away";
        Diagnostic::new(Code::LostBackslash, message)
            .at(span)
            .help("write it as an array: command = ['C:\\app\\worker.exe', \"--flag\"]")
    })
}
