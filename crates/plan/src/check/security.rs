//! What an attacker would be glad of.

use std::path::Path;

use crate::build::listened_ports;
use crate::check::machine::resolve;
use crate::check::{Code, Context, Subject};
use crate::definition::{Credential, EnvironmentValue, SecretText, StartType};
use crate::diagnostic::Diagnostic;
use crate::facts::{FileLook, Look};
use crate::secret::looks_secret;
use crate::value::Node;

/// Ports below this need root (or a capability) to listen on.
const FIRST_FREE_PORT: u16 = 1024;

pub(crate) fn check(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    check_root(context, subject, diagnostics);
    check_plain_environment(subject, diagnostics);
    check_plain_arguments(subject, diagnostics);
    check_credentials(context, subject, diagnostics);
}

/// Whether the service would run as root.
fn runs_as_root(context: &Context<'_>, subject: &Subject<'_>) -> bool {
    match &subject.plan.user {
        None => context.facts.is_root(),
        Some(user) => {
            context.facts.is_root() && (user.0 == "0" || context.facts.user(&user.0).is_some_and(|user| user.is_root))
        }
    }
}

fn check_root(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    if !runs_as_root(context, subject) || subject.plan.start == StartType::Disabled {
        return;
    }
    let needs_root =
        listened_ports(&subject.plan.command, &subject.plan.probes).first().is_some_and(|port| *port < FIRST_FREE_PORT);
    if !needs_root {
        let message = format!("'{}' runs as root and nothing in the definition shows that it must", subject.name);
        let span = if subject.is_written(&["user"]) { subject.value(&["user"]) } else { subject.key(&[]) };
        diagnostics.push(
            Diagnostic::new(Code::RunsAsRoot, message)
                .at(span)
                .help("give it a user of its own: user = \"…\"; or accept it with check.allow = [\"M028\"]"),
        );
    }
    let program = subject.plan.command.program().and_then(|program| resolve(context, subject, program));
    if let Some(path) = program.filter(|path| is_world_writable(&context.facts.look(path))) {
        let message = format!("anybody can change {}, which runs as root", path.display());
        diagnostics.push(
            Diagnostic::new(Code::WorldWritableProgram, message)
                .at(subject.value(&["command"]))
                .help(format!("chmod o-w {}, and its folder", path.display())),
        );
    }
}

fn is_world_writable(look: &Look) -> bool {
    matches!(look, Look::File(FileLook { world_writable: true, .. }))
}

pub(crate) fn check_definition(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    if !context.services().any(|subject| runs_as_root(context, &subject)) {
        return;
    }
    for (id, source) in context.sources.iter().filter(|(_, source)| source.name != "--set") {
        if is_world_writable(&context.facts.look(Path::new(&source.name))) {
            let message = format!("anybody can change {}, and what it says is run as root", source.name);
            let diagnostic =
                Diagnostic::new(Code::WorldWritableDefinition, message).at(crate::source::Span::start_of(id));
            diagnostics.push(diagnostic.help(format!("chmod o-w {}, and its folder", source.name)));
        }
    }
}

fn check_plain_environment(subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for (key, EnvironmentValue(value)) in &subject.written.environment {
        let SecretText::Plain(text) = value else { continue };
        let path = ["service", subject.name.as_str(), "environment", key.as_str()];
        let is_expanded = subject.places.tree.at(path).is_some_and(|node: &Node| !node.expansions.is_empty());
        if looks_secret(key) && !text.is_empty() && !is_expanded {
            let message = format!("'{key}' looks like a secret and is written in plain text");
            let help = format!("keep it in a file of its own: {key} = {{ credential = \"file:…\" }}");
            diagnostics
                .push(Diagnostic::new(Code::PlainSecret, message).at(subject.value(&["environment", key])).help(help));
        }
    }
}

fn check_plain_arguments(subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let words = subject.plan.command.arguments();
    let secret_flag = words.iter().enumerate().find_map(|(index, word)| {
        let (flag, value) = match word.strip_prefix("--")?.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (
                word.trim_start_matches('-'),
                words.get(index + 1).map(String::as_str).filter(|next| !next.starts_with('-')),
            ),
        };
        (looks_secret(flag) && value.is_some_and(|value| !value.is_empty())).then_some(flag)
    });
    if let Some(flag) = secret_flag {
        let message =
            format!("'--{flag}' carries a secret on the command line, where every user of the machine can read it");
        let help = "give it through the environment with a credential, or through a file";
        diagnostics.push(Diagnostic::new(Code::PlainSecret, message).at(subject.value(&["command"])).help(help));
    }
}

fn check_credentials(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let variables = subject.written.environment.iter().filter_map(|(key, EnvironmentValue(value))| match value {
        SecretText::Credential(source) => Some((vec!["environment", key.as_str()], source)),
        SecretText::Plain(_) => None,
    });
    let password = subject.written.password.iter().map(|Credential(source)| (vec!["password"], source));
    for (key, source) in variables.chain(password) {
        let path = subject.plan.directory.join(source.trim_start_matches("file:"));
        if let Look::File(FileLook { world_readable: true, .. }) = context.facts.look(&path) {
            let message = format!("everybody can read the credential {}", path.display());
            diagnostics.push(
                Diagnostic::new(Code::ReadableCredential, message)
                    .at(subject.value(&key))
                    .help(format!("chmod 600 {}", path.display())),
            );
        }
    }
}
