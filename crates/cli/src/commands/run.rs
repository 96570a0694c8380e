//! `menshen run`.

use std::path::{Path, PathBuf};

use menshen_guard::EndWhen;
use menshen_guard::definition::DefinitionSource;

use super::foreground::{self, Audience};
use crate::args::{Arguments, RestartPolicy, Run};
use crate::definition::{MachineErrors, environment, quoted, quoted_command};
use crate::failure::{Exit, Failure};

/// Guards one program in the foreground. It sees the whole environment of whoever started it.
pub(super) fn run(arguments: &Arguments, run: &Run) -> Result<Exit, Failure> {
    let name = run.name.clone().unwrap_or_else(|| name_of(&run.command[0]));
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let source = DefinitionSource {
        path: folder,
        text: Some(definition(run, &name)),
        profile: None,
        settings: run.set.iter().map(|setting| format!("service.{}.{setting}", quoted(&name))).collect(),
        environment: environment(),
        only: Vec::new(),
    };
    foreground::guard_here(&source, MachineErrors::Refuse, EndWhen::AtRest, Audience::of(arguments))
}

/// The program's file name, with what no name may have left out.
fn name_of(program: &str) -> String {
    let file = Path::new(program).file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String =
        file.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')).take(48).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    if name.is_empty() { "program".to_owned() } else { name.to_owned() }
}

/// The definition that says what was typed.
fn definition(run: &Run, name: &str) -> String {
    let policy = match run.restart {
        RestartPolicy::Always => "always",
        RestartPolicy::OnFailure => "on-failure",
        RestartPolicy::Never => "never",
    };
    let guard = quoted(&format!("run-{name}"));
    let mut text =
        format!("[guard]\nname = {guard}\n[service.{}]\ncommand = {}\n", quoted(name), quoted_command(&run.command));
    text.push_str(&format!("inherit = \"all\"\nrestart.policy = \"{policy}\"\n"));
    let probes = [("http", &run.ready_http), ("tcp", &run.ready_tcp)];
    for (kind, target) in probes.into_iter().filter_map(|(kind, target)| target.as_ref().map(|target| (kind, target))) {
        text.push_str(&format!("probe.readiness.{kind} = {}\n", quoted(target)));
    }
    // Who types a command knows whose account it is, and that it has no probe.
    text.push_str("[check]\nallow = [\"M028\", \"M033\", \"M042\", \"M048\"]\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_program() {
        for (program, expected) in
            [("/usr/bin/python3", "python3"), ("./my server.sh", "myserver"), ("--", "program"), ("...", "program")]
        {
            assert_eq!(name_of(program), expected);
        }
    }

    #[test]
    fn what_was_typed_reaches_the_program_as_it_is() {
        let command = ["web", "a b", "\"q\"", "$HOME", "${X}", "\\", "ä\u{7f}\n", ""].map(str::to_owned);
        let run = Run {
            name: None,
            restart: RestartPolicy::Never,
            ready_http: None,
            ready_tcp: None,
            set: vec![],
            command: command.to_vec(),
        };
        let source = DefinitionSource {
            path: "/".into(),
            text: Some(definition(&run, "web")),
            profile: None,
            settings: Vec::new(),
            environment: [("PATH".to_owned(), "/bin".to_owned())].into(),
            only: Vec::new(),
        };
        let loaded = source.load().unwrap();
        let plan = loaded.plan.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
        assert_eq!(plan.services["web"].command.0, command);
    }
}
