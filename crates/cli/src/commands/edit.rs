//! `menshen edit`.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use menshen::service::{Scope, ServiceManager, ServiceName};
use menshen_guard::definition::DefinitionSource;

use super::install::{Task, asked, hold_settings};
use super::uninstall::installed;
use crate::args::{Arguments, Edit, Mode};
use crate::definition::{MachineErrors, load_plan, source_of};
use crate::failure::{Exit, Failure};
use crate::guards::is_held;
use crate::output;
use crate::registering::manager::choose;
use crate::registering::record::{Asked, Form, Record, key};
use crate::registering::refusal::unusable;

pub(super) fn edit(arguments: &Arguments, edit: &Edit) -> Result<Exit, Failure> {
    let name: ServiceName = edit.name.parse()?;
    let mut record = installed(&name)?;
    let (changes, mode) = (asked(&edit.asked), edit.dry_run.mode());
    hold_settings(&edit.set)?;
    let is_definition_meant = changes == Asked::default() && edit.set.is_empty();
    if is_definition_meant && mode == Mode::Show {
        let message = "there is nothing to show: an editor's changes are made at once";
        return Err(Failure::new(Exit::Usage, message).help("say what to change: `menshen edit --help`"));
    }
    if changes.start.is_some() {
        record.switched = None;
    }
    record.asked = changes.over(record.asked);
    record.settings.retain(|setting| edit.set.iter().all(|new| key(new) != key(setting)));
    record.settings.extend(edit.set.iter().cloned());
    let source = source_of(&record);
    if is_definition_meant {
        edit_definition(&record)?;
    } else {
        load_plan(&source, MachineErrors::Shown)?;
    }
    let manager = choose(Some(record.kind()?), Scope::from(record.scope))?;
    let task = Task { record: &record, source: &source, manager: manager.as_ref(), written: None };
    task.carry_out(arguments, mode)?;
    if mode == Mode::Do {
        tell_what_runs(&record, &name, manager.as_ref())?;
    }
    Ok(Exit::Done)
}

/// What runs was not told of the change.
fn tell_what_runs(record: &Record, name: &ServiceName, manager: &dyn ServiceManager) -> Result<(), Failure> {
    match record.form {
        Form::Guard if is_held(&record.guard) => output::note(format_args!(
            "what runs goes on as it was; `menshen --instance {} reload` follows the definition, a restart everything",
            record.guard
        )),
        Form::Native if manager.status(name)?.state.is_up() => {
            output::note(format_args!("it runs on as it was; `menshen restart {name}` has it follow"));
        }
        Form::Guard | Form::Native => {}
    }
    Ok(())
}

/// Has somebody change a copy, which only they can read. Once it is right, what is in it takes the place of what the definition
/// has; the file stays the same, and so do its owner and who may read it.
fn edit_definition(record: &Record) -> Result<(), Failure> {
    let path = &record.definition;
    if path.is_dir() {
        let message = format!("the definition is the folder {}", path.display());
        return Err(Failure::new(Exit::Usage, message).help("edit its files, then `menshen reload`"));
    }
    let editor = editor()?;
    let text = fs::read_to_string(path).map_err(|error| unusable("reading", path, &error))?;
    let name = format!("menshen-{}-", record.name);
    let mut copy = tempfile::Builder::new().prefix(&name).suffix(".toml").tempfile().map_err(|error| {
        Failure::new(Exit::Failed, format!("making a copy to edit: {}", menshen_os::error::describe(&error)))
    })?;
    copy.write_all(text.as_bytes()).map_err(|error| unusable("writing", copy.path(), &error))?;
    let placed = run_editor(&editor, copy.path()).and_then(|()| place(record, copy.path(), &text));
    placed.map_err(|failure| {
        let is_changed = fs::read_to_string(copy.path()).is_ok_and(|written| written != text);
        match is_changed.then(|| copy.keep()) {
            Some(Ok((_, kept))) => failure.help(format!("what you wrote is in {}", kept.display())),
            Some(Err(_)) | None => failure,
        }
    })
}

/// Puts what was written into the definition's place, if it is right and something else than before.
fn place(record: &Record, written: &Path, before: &str) -> Result<(), Failure> {
    let text = fs::read_to_string(written).map_err(|error| unusable("reading", written, &error))?;
    let source = DefinitionSource { text: Some(text.clone()), ..source_of(record) };
    load_plan(&source, MachineErrors::Shown)?;
    if text == before {
        return Ok(());
    }
    let path = &record.definition;
    fs::write(path, text).map_err(|error| unusable("writing", path, &error))
}

/// Which editor somebody wants.
fn editor() -> Result<String, Failure> {
    let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
    named.ok_or_else(|| {
        Failure::new(Exit::Usage, "neither VISUAL nor EDITOR says which editor to open")
            .help("set one, or say what to change: `menshen edit --help`")
    })
}

fn run_editor(editor: &str, path: &Path) -> Result<(), Failure> {
    let words = shlex::split(editor).unwrap_or_else(|| vec![editor.to_owned()]);
    let (program, arguments) = words.split_first().ok_or_else(|| {
        Failure::new(Exit::Usage, format!("'{editor}' is no editor")).help("VISUAL or EDITOR says which to open")
    })?;
    let status = Command::new(program).args(arguments).arg(path).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(Exit::Failed, format!("the editor '{program}' ended with {status}"))),
        Err(error) => {
            let why = menshen_os::error::describe(&error);
            Err(Failure::new(Exit::Failed, format!("the editor '{program}' cannot be started: {why}")))
        }
    }
}
