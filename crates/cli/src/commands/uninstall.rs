//! `menshen uninstall`.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use menshen::service::{ManagerError, Scope, ServiceName};
use serde_json::json;

use crate::args::{Arguments, Uninstall};
use crate::definition::paths;
use crate::failure::{Exit, Failure};
use crate::output::{self, dim};
use crate::registering::manager::choose;
use crate::registering::record::{DefinitionOrigin, Form, Record};

pub(super) fn uninstall(arguments: &Arguments, uninstall: &Uninstall) -> Result<Exit, Failure> {
    let name: ServiceName = uninstall.name.parse()?;
    let record = installed(&name)?;
    let manager = choose(Some(record.kind()?), Scope::from(record.scope))?;
    let leftovers = leftovers(&record, uninstall);
    if uninstall.dry_run {
        for step in manager.removal_of(&name).steps {
            output::line(step);
        }
        for path in leftovers {
            output::line(format_args!("remove {}", path.display()));
        }
        output::note(dim("nothing was done: this was a dry run"));
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
        output::json(&json!({ "name": record.name, "outcome": "uninstalled" }));
    } else {
        output::line(format_args!("{name}: uninstalled"));
        if !uninstall.purge && record.form == Form::Guard {
            let logs = paths().logs.join(&record.guard);
            output::note(dim(format_args!("its logs stay in {}; --purge removes them, too", logs.display())));
        }
    }
    Ok(Exit::Done)
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
    if uninstall.purge && record.form == Form::Guard {
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
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let why = menshen_os::error::describe(&error);
            Err(Failure::new(Exit::Failed, format!("removing {}: {why}", path.display())))
        }
        Ok(()) | Err(_) => {
            // A folder that had nothing else in it was made for this.
            if let Some(folder) = path.parent() {
                let _ = fs::remove_dir(folder);
            }
            Ok(())
        }
    }
}
