//! `menshen edit`.

use std::fs;
use std::path::Path;
use std::process::Command;

use menshen::service::{Scope, ServiceName};
use menshen_guard::definition::DefinitionSource;

use super::install::{asked, carry_out};
use super::uninstall::installed;
use crate::args::{Arguments, Edit};
use crate::definition::{MachineErrors, load_plan, source_of};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::registering::manager::choose;
use crate::registering::record::{Asked, Record};

pub(super) fn edit(arguments: &Arguments, edit: &Edit) -> Result<Exit, Failure> {
    let name: ServiceName = edit.name.parse()?;
    let mut record = installed(&name)?;
    let changes = asked(&edit.asked);
    if changes == Asked::default() && edit.set.is_empty() {
        edit_definition(&record)?;
    }
    record.asked = changes.over(record.asked);
    record.settings.retain(|setting| edit.set.iter().all(|new| key(new) != key(setting)));
    record.settings.extend(edit.set.iter().cloned());
    let source = source_of(&record);
    load_plan(&source, MachineErrors::Shown)?;
    let manager = choose(Some(record.kind()?), Scope::from(record.scope))?;
    carry_out(arguments, &record, &source, manager.as_ref(), edit.dry_run)?;
    if !edit.dry_run {
        output::note(format_args!(
            "what runs goes on as it was; `menshen --instance {} reload` follows the definition, a restart everything",
            record.guard
        ));
    }
    Ok(Exit::Done)
}

fn key(setting: &str) -> &str {
    setting.split_once('=').map_or(setting, |(key, _)| key)
}

/// Has somebody change a copy, which takes the definition's place once it is right.
fn edit_definition(record: &Record) -> Result<(), Failure> {
    let path = &record.definition;
    if path.is_dir() {
        let message = format!("the definition is the folder {}", path.display());
        return Err(Failure::new(Exit::Usage, message).help("edit its files, then `menshen reload`"));
    }
    let unusable = |what: &str, path: &Path, error: &std::io::Error| {
        let exit = if error.kind() == std::io::ErrorKind::PermissionDenied { Exit::NotPermitted } else { Exit::Failed };
        Failure::new(exit, format!("{what} {}: {}", path.display(), menshen_os::error::describe(error)))
    };
    let text = fs::read_to_string(path).map_err(|error| unusable("reading", path, &error))?;
    let copy = path.with_extension("toml.edited");
    fs::write(&copy, &text).map_err(|error| unusable("writing", &copy, &error))?;
    let edited = run_editor(&copy).and_then(|()| {
        let source = DefinitionSource { path: copy.clone(), ..source_of(record) };
        load_plan(&source, MachineErrors::Shown).map(drop)
    });
    if let Err(failure) = edited {
        return Err(failure.help(format!("nothing was changed; what you wrote is in {}", copy.display())));
    }
    fs::rename(&copy, path).map_err(|error| unusable("writing", path, &error))
}

fn run_editor(path: &Path) -> Result<(), Failure> {
    let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
    let editor = named.ok_or_else(|| {
        Failure::new(Exit::Usage, "neither VISUAL nor EDITOR says which editor to open")
            .help("set one, or say what to change: `menshen edit --help`")
    })?;
    let mut words = shlex::split(&editor).unwrap_or_else(|| vec![editor.clone()]);
    let program = words.remove(0);
    let status = Command::new(&program).args(words).arg(path).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(Exit::Failed, format!("the editor '{program}' ended with {status}"))),
        Err(error) => {
            let why = menshen_os::error::describe(&error);
            Err(Failure::new(Exit::Failed, format!("the editor '{program}' cannot be started: {why}")))
        }
    }
}
