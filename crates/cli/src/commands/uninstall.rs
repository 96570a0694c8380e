//! `menshen uninstall`.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use menshen::service::{ManagerError, Scope, ServiceName};
use menshen_os::paths::Paths;
use serde_json::json;

use super::steps;
use crate::args::{Arguments, Mode, Uninstall};
use crate::definition::{paths, paths_of_installed};
use crate::failure::{Exit, Failure};
use crate::output::{self, dim};
use crate::registering::folders::remove_empty_above;
use crate::registering::manager::choose;
use crate::registering::needed;
use crate::registering::record::{DefinitionOrigin, Form, Record};
use crate::registering::refusal::unusable;

pub(super) fn uninstall(arguments: &Arguments, uninstall: &Uninstall) -> Result<Exit, Failure> {
    let name: ServiceName = uninstall.name.parse()?;
    let record = installed(&name)?;
    let manager = choose(Some(record.kind()?), Scope::from(record.scope))?;
    let leftovers = leftovers(&record, uninstall);
    hold_unneeded(&record)?;
    if uninstall.dry_run.mode() == Mode::Show {
        let own = record.path();
        let removed = leftovers.iter().map(PathBuf::as_path).chain([own.as_path()]);
        let removed = removed.map(|path| format!("remove {}", path.display()));
        let of_manager = manager.removal_of(&name).steps.into_iter().map(|step| step.to_string());
        steps::show(arguments, of_manager.chain(removed));
        return Ok(Exit::Done);
    }
    match manager.uninstall(&name) {
        // Somebody else took it away; what is left is ours.
        Ok(()) | Err(ManagerError::NotInstalled { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    for path in leftovers {
        remove(&path)?;
    }
    record.remove()?;
    if arguments.json {
        output::json(&json!({ "name": record.name, "manager": record.manager, "outcome": "uninstalled" }));
    } else {
        output::line(format_args!("{name}: uninstalled"));
        tell_what_stays(&record, uninstall);
    }
    Ok(Exit::Done)
}

fn tell_what_stays(record: &Record, uninstall: &Uninstall) {
    let folders = paths_of_installed(record).filter(|_| record.form == Form::Guard);
    let Some(Paths { logs, state, .. }) = folders else { return };
    if is_of_account(record) {
        let (state, account) = (state.display(), record.asked.account.as_deref().unwrap_or_default());
        output::note(dim(format_args!("what '{account}' has of it stays in {state}: that is the account's own")));
    } else if !uninstall.purge {
        let logs = logs.join(&record.guard);
        output::note(dim(format_args!("its logs stay in {}; --purge removes them, too", logs.display())));
    }
}

/// Whether what its guard keeps is in the folders of another account. That may lead anywhere from there, so that whoever may do
/// everything keeps away from it.
fn is_of_account(record: &Record) -> bool {
    paths_of_installed(record).is_none_or(|folders| folders != paths())
}

/// A service that its manager runs itself is there for as long as another one needs it: that one could not be started again.
fn hold_unneeded(record: &Record) -> Result<(), Failure> {
    let needed_by = needed::by(record)?;
    if needed_by.is_empty() {
        return Ok(());
    }
    let (name, others) = (&record.name, needed_by.join(", "));
    Err(Failure::new(Exit::Failed, format!("'{name}' is needed by what else its manager runs itself: {others}"))
        .help(format!("`menshen uninstall {}` first", needed_by[0])))
}

/// The record of a service that was installed.
pub(super) fn installed(name: &ServiceName) -> Result<Record, Failure> {
    if let Some(record) = Record::load(name)? {
        return Ok(record);
    }
    let names: Vec<String> = Record::all()?.into_iter().map(|record| record.name).collect();
    let help = if names.is_empty() {
        "nothing was installed by `menshen install` for whoever types this".to_owned()
    } else {
        format!("installed are {}", names.join(", "))
    };
    Err(Failure::new(Exit::NoSuchService, format!("no service '{name}' was installed")).help(help))
}

/// What of a service lies outside the manager's own folders.
fn leftovers(record: &Record, uninstall: &Uninstall) -> Vec<PathBuf> {
    let mut paths_left = Vec::new();
    if record.origin == DefinitionOrigin::Written {
        paths_left.push(record.definition.clone());
    }
    if uninstall.purge && record.form == Form::Guard && !is_of_account(record) {
        paths_left.extend([
            paths().logs.join(&record.guard),
            paths().memory(&record.guard),
            paths().pipes(&record.guard),
        ]);
    }
    paths_left
}

fn remove(path: &PathBuf) -> Result<(), Failure> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unusable("removing", path, &error)),
        Ok(()) | Err(_) => {
            remove_empty_above(path);
            Ok(())
        }
    }
}
