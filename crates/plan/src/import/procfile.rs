//! Procfiles, as Heroku and foreman read them: `name: command`, one to a line, each run by a shell.
//!
//! A command that is only words is run as it is; what takes a shell gets one ([`line`] decides, for pm2 as well).

pub(crate) mod line;

use std::path::Path;

use crate::definition::{Inherit, ServiceType};
use crate::facts::Look;
use crate::source::Source;

use super::draft::{Draft, Drafts};
use super::settings::Setting;
use super::template::Template;
use super::{Note, NoteKind, Place};
use line::{Line, Variable};

/// The port foreman gives the first process; each further one has one that is so much higher.
const PORT_FIRST: usize = 5000;
const PORT_STEP: usize = 100;

/// Whether a line is an entry.
pub(crate) fn is_entry(line: &str) -> bool {
    entry(line).is_some()
}

fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, command) = line.split_once(':')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let command = command.trim();
    (is_name && !command.is_empty() && !command.starts_with("//")).then_some((name, command))
}

/// Reads Procfiles.
pub(crate) fn read(sources: &[Source], drafts: &mut Drafts<'_>) {
    for source in sources {
        read_one(source, drafts);
    }
}

fn read_one(source: &Source, drafts: &mut Drafts<'_>) {
    let whole = Place::whole(&source.name);
    let folder = source.name.rsplit_once('/').map(|(folder, _)| folder);
    let env_file = Path::new(folder.unwrap_or(".")).join(".env");
    let has_env_file = matches!(drafts.facts.look(&env_file), Look::File(_));
    let mut number = 0;
    for (line, text) in (1..).zip(source.text.lines()) {
        let text = text.trim();
        let place = whole.line(line);
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let Some((name, command)) = entry(text) else {
            drafts.note(Note::new(NoteKind::Lost, &place, text, "is no `name: command`; foreman passes over it, too"));
            continue;
        };
        let setting = Setting { key: name.to_owned(), shown: name.to_owned(), value: command.to_owned(), place };
        let mut draft = Draft::new(format!("{}:{name}", source.name), name, setting.place.clone());
        draft.service.inherit = Inherit::All;
        draft.service.directory =
            folder.filter(|folder| !folder.is_empty()).map(|folder| Template::literal(folder).into_text());
        draft.service.env_file = has_env_file.then(|| ".env".to_owned());
        let port = PORT_FIRST + PORT_STEP * number;
        number += 1;
        translate(&setting, port, &mut draft, drafts);
        drafts.services.push(draft);
    }
    if has_env_file {
        let message = "is beside it, and foreman reads it: it is each service's env_file";
        drafts.note(Note::new(NoteKind::Advice, &whole, ".env", message));
    }
}

fn translate(setting: &Setting, port: usize, draft: &mut Draft, drafts: &mut Drafts<'_>) {
    let from = drafts.notes.len();
    let mut port_template = Template::default();
    let port_name = if port == PORT_FIRST { "PORT".to_owned() } else { port_name(&setting.key) };
    port_template.push_placeholder(&port_name, &port.to_string());
    draft.set_environment("PORT", port_template.clone());
    if port != PORT_FIRST {
        let message = format!("foreman counts its ports up from $PORT; here it is ${{{port_name}:{port}}}");
        drafts.note(Note::advice(setting, message));
    }
    let value_of = |variable: &Variable| {
        if variable.name == "PORT" {
            return Some(port_template.clone());
        }
        // An empty value is no word at all for a shell, unless it is quoted.
        variable.is_safe().then(|| variable.placeholder())
    };
    match line::read(&setting.value, &value_of) {
        Line::Words { assignments, words } => {
            assignments.into_iter().for_each(|(name, value)| draft.set_environment(&name, value));
            draft.service.command = Some(super::draft::command(words));
        }
        Line::Shell => {
            draft.service.command = Some(line::shell(&setting.value));
            drafts.note(Note::advice(setting, "more than words: a shell runs it"));
        }
    }
    if setting.key == "release" {
        draft.service.kind = ServiceType::Oneshot;
        let message = "Heroku runs it once for each release; here it is a one-shot that runs when the guard starts";
        drafts.note(
            Note::changed(setting, message)
                .help("have the others wait for it: depends_on = { release = \"completed\" }"),
        );
    }
    for note in &mut drafts.notes[from..] {
        note.service = Some(draft.id.clone());
    }
}

fn port_name(name: &str) -> String {
    let upper: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if upper.starts_with(|c: char| c.is_ascii_digit()) { format!("_{upper}_PORT") } else { format!("{upper}_PORT") }
}
