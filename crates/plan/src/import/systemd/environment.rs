//! `Environment=`, `EnvironmentFile=` and `PassEnvironment=`.

use std::path::Path;

use crate::definition::Inherit;
use crate::env_file;
use crate::facts::Look;

use super::super::Note;
use super::super::draft::Draft;
use super::super::settings::Setting;
use super::Subject;
use super::exec::{Overridden, Variables, words};
use super::service::note_machine;

/// Translates the environment, and says what the unit's commands may ask for.
pub(super) fn translate(subject: &mut Subject<'_, '_>, draft: &mut Draft) -> Variables {
    let mut variables = Variables::default();
    for setting in subject.unit.take_list("Service", "Environment") {
        for word in words(&setting.value) {
            let Some((name, value)) = word.split_once('=') else {
                let message = format!("'{word}' is no NAME=value; systemd passes over it, too");
                subject.note(Note::lost(&setting, message));
                continue;
            };
            let resolved = subject.specifiers.resolve(value);
            note_machine(subject, &setting, &resolved.machine);
            draft.set_environment(name, resolved.template.clone());
            variables.fixed.insert(name.to_owned(), resolved.template);
        }
    }
    if translate_file(subject, draft) {
        variables.may_be_overridden = Overridden::ByFile;
    }
    let passed: Vec<String> =
        subject.unit.take_list("Service", "PassEnvironment").iter().flat_map(|setting| words(&setting.value)).collect();
    if !passed.is_empty() {
        draft.service.inherit = Inherit::Names(passed);
    }
    variables
}

/// Whether there is a file of variables now.
fn translate_file(subject: &mut Subject<'_, '_>, draft: &mut Draft) -> bool {
    let mut taken = false;
    for setting in subject.unit.take_list("Service", "EnvironmentFile") {
        let (path, must_be_there) = match setting.value.strip_prefix('-') {
            Some(path) => (path, Must::MayBeMissing),
            None => (setting.value.as_str(), Must::BeThere),
        };
        let resolved = subject.specifiers.resolve(path.trim().trim_matches('"'));
        let is_there = matches!(subject.drafts.facts.look(Path::new(&resolved.plain)), Look::File(_));
        let message = if taken {
            "a service has one file of variables, and it has one already"
        } else if resolved.plain.contains(['*', '?', '[']) {
            "a pattern for files of variables: a service names one file"
        } else if must_be_there == Must::MayBeMissing && !is_there {
            "the file may be missing, and is: a definition is refused without its env_file"
        } else {
            taken = true;
            note_machine(subject, &setting, &resolved.machine);
            note_lines(subject, &setting, &resolved.plain);
            if must_be_there == Must::MayBeMissing {
                let message = "the file may be missing for systemd; a definition is refused without its env_file";
                subject.note(Note::changed(&setting, message));
            }
            draft.service.env_file = Some(resolved.template.into_text());
            continue;
        };
        let help = format!(
            "write env_file = \"{}\" when it is there, or put the variables into `environment`",
            resolved.plain
        );
        subject.note(Note::lost(&setting, message).help(help));
    }
    taken
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Must {
    BeThere,
    MayBeMissing,
}

/// systemd takes lines an env file of a definition may not have.
fn note_lines(subject: &mut Subject<'_, '_>, setting: &Setting, path: &str) {
    let Ok(text) = subject.drafts.facts.read(Path::new(path)) else { return };
    for bad in env_file::parse(&text).1 {
        let message = format!("line {} of {path} cannot be read: {}", bad.line, bad.why);
        subject.note(Note::advice(setting, message).help("write NAME=value, one to a line, and '#' before comments"));
    }
}
