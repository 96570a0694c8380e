//! Whether the machine has what a service needs.

use std::path::{Path, PathBuf};

use crate::build::program_path;
use crate::check::{Code, Context, Subject};
use crate::command_line::CommandLine;
use crate::definition::ProbeKind;
use crate::diagnostic::Diagnostic;
use crate::facts::Look;
use crate::plan::ProbeCheck;
use crate::source::Span;

pub(crate) fn check(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    check_directory(context, subject, diagnostics);
    let plan = subject.plan;
    let mut commands: Vec<(&CommandLine, Vec<&str>)> = vec![(&plan.command, vec!["command"])];
    commands.extend(plan.stop.command.iter().map(|command| (command, vec!["stop", "command"])));
    commands.extend(plan.breaker.fallback.iter().map(|fallback| (&fallback.command, vec!["breaker", "fallback"])));
    for kind in ProbeKind::ALL {
        if let Some(ProbeCheck::Exec(command)) = plan.probes.get(kind).map(|probe| &probe.check) {
            commands.push((command, vec!["probe", kind.as_str(), "exec"]));
        }
    }
    for (command, path) in commands {
        check_program(context, subject, command, subject.value(&path), diagnostics);
    }
}

fn check_directory(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let directory = &subject.plan.directory;
    let problem = match context.facts.look(directory) {
        Look::Directory => return,
        Look::Missing => "is not there".to_owned(),
        Look::File(_) => "is a file".to_owned(),
        Look::Unreadable(why) => format!("cannot be looked at: {why}"),
    };
    let message = format!("the working directory {} {problem}", directory.display());
    diagnostics.push(
        Diagnostic::new(Code::MissingDirectory, message)
            .at(subject.value(&["directory"]))
            .help("create it, or correct `directory`"),
    );
}

fn check_program(
    context: &Context<'_>,
    subject: &Subject<'_>,
    command: &CommandLine,
    span: Option<Span>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(program) = command.program().filter(|program| !program.trim().is_empty()) else { return };
    let Some(path) = resolve(context, subject, program) else {
        let folders = subject.plan.environment.get("PATH").map_or("", String::as_str);
        let message = format!("the program '{program}' is in none of the folders of PATH");
        let help = format!(
            "install it, or write its whole path; PATH is {}",
            if folders.is_empty() { "empty" } else { folders }
        );
        diagnostics.push(Diagnostic::new(Code::MissingProgram, message).at(span).help(help));
        return;
    };
    let shown = path.display();
    match context.facts.look(&path) {
        Look::Missing => {
            let message = format!("the program {shown} is not there");
            let help = "install it, or correct the path; relative paths start at the service's directory";
            diagnostics.push(Diagnostic::new(Code::MissingProgram, message).at(span).help(help));
        }
        Look::Unreadable(why) => {
            let message = format!("the program {shown} cannot be looked at: {why}");
            diagnostics.push(
                Diagnostic::new(Code::MissingProgram, message).at(span).help("check the permissions of its folders"),
            );
        }
        Look::Directory => {
            let message = format!("{shown} is a folder, not a program");
            diagnostics.push(Diagnostic::new(Code::NotExecutable, message).at(span));
        }
        Look::File(file) if !file.executable => {
            let message = format!("{shown} cannot be executed");
            diagnostics.push(Diagnostic::new(Code::NotExecutable, message).at(span).help(format!("chmod +x {shown}")));
        }
        Look::File(file) => check_interpreter(context, &path, file.interpreter.as_deref(), span, diagnostics),
    }
}

fn check_interpreter(
    context: &Context<'_>,
    script: &Path,
    interpreter: Option<&Path>,
    span: Option<Span>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(interpreter) = interpreter.filter(|interpreter| context.facts.look(interpreter) == Look::Missing) else {
        return;
    };
    let message = format!("the script {} needs {}, which is not there", script.display(), interpreter.display());
    let help = "install it, or correct the script's first line (Windows line ends there do this too)";
    diagnostics.push(Diagnostic::new(Code::MissingInterpreter, message).at(span).help(help));
}

/// The program as a path; `None` when a bare name is in no folder of `PATH`.
pub(super) fn resolve(context: &Context<'_>, subject: &Subject<'_>, program: &str) -> Option<PathBuf> {
    let path = program_path(program, &subject.plan.directory).map(|path| context.facts.program_file(&path));
    path.or_else(|| {
        context.facts.find_program(program, subject.plan.environment.get("PATH").map_or("", String::as_str))
    })
}
