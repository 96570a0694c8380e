//! `menshen enable` and `menshen disable`.

use menshen::service::registration::StartType;
use menshen::service::{ManagerError, Registration, Scope, ServiceManager, ServiceName, Verb};
use serde_json::json;

use super::install::registration;
use super::steps;
use super::uninstall::installed;
use crate::args::{Arguments, Enable, Mode};
use crate::definition::{load, source_of};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::registering::guarded::disabled;
use crate::registering::manager::{choose, lacks_password};
use crate::registering::record::{Form, Record, Switched};

pub(super) fn enable(arguments: &Arguments, enable: &Enable, verb: Verb) -> Result<Exit, Failure> {
    let name: ServiceName = enable.name.parse()?;
    let before = installed(&name)?;
    let manager = choose(Some(before.kind()?), Scope::from(before.scope))?;
    let (record, registration) = switched(&before, manager.as_ref(), verb);
    match enable.dry_run.mode() {
        Mode::Show => {
            let note = format!("note in {} that it is {verb}d", record.path().display());
            let note = (record != before).then_some(note);
            steps::show(arguments, note.into_iter().chain(step(manager.as_ref(), &name, verb)?));
        }
        Mode::Do => {
            record.save()?;
            if let Err(error) = tell(manager.as_ref(), &name, verb, registration.as_ref()) {
                let failure = Failure::from(error);
                return Err(match before.save() {
                    Ok(()) => failure,
                    Err(then) => failure.after(&then),
                });
            }
            let outcome = format!("{verb}d");
            if arguments.json {
                output::json(&json!({ "name": record.name, "manager": record.manager, "outcome": outcome }));
            } else {
                output::line(format_args!("{name}: {outcome}"));
            }
        }
    }
    Ok(Exit::Done)
}

/// What is recorded from now on, and what the manager would be told of that, unless it would be refused by now. What would be
/// started at boot anyway need not be remembered as enabled.
fn switched(before: &Record, manager: &dyn ServiceManager, verb: Verb) -> (Record, Option<Registration>) {
    let with = |switched| {
        let record = Record { switched, ..before.clone() };
        let registration = registration_of(&record, manager);
        (record, registration)
    };
    if verb == Verb::Disable {
        return with(Some(Switched::Disabled));
    }
    let plain = with(None);
    match plain.1.as_ref().map(|registration| registration.start) {
        Some(StartType::Manual | StartType::Disabled) => with(Some(Switched::Enabled)),
        Some(StartType::Auto | StartType::Delayed) | None => plain,
    }
}

fn registration_of(record: &Record, manager: &dyn ServiceManager) -> Option<Registration> {
    let source = source_of(record);
    let is_read = || load(&source).is_ok_and(|loaded| loaded.plan.is_some());
    let is_made = record.form == Form::Guard || is_read();
    if is_made { registration(record, &source, manager).ok() } else { None }
}

/// A manager that cannot do it by itself, because what it was told of the service says otherwise, is told of the service anew.
fn tell(
    manager: &dyn ServiceManager,
    name: &ServiceName,
    verb: Verb,
    registration: Option<&Registration>,
) -> Result<(), ManagerError> {
    let is = manager.status(name)?.start;
    let wanted = registration.map(|registration| registration.start);
    let is_delayed = [is, wanted].contains(&Some(StartType::Delayed));
    // Its file says so where disabling it is something else.
    let is_by_hand = is == Some(StartType::Manual) && disabled(manager.kind()) != StartType::Manual;
    match registration {
        Some(registration) if is_delayed || is_by_hand => match manager.install(registration) {
            // What it runs as it knows, and this alone needs no password.
            Err(error) if lacks_password(&error) => manager.act(name, verb),
            installed => installed.map(drop),
        },
        Some(_) | None => manager.act(name, verb),
    }
}

/// What would be done; nothing, where it is so already.
fn step(manager: &dyn ServiceManager, name: &ServiceName, verb: Verb) -> Result<Option<String>, Failure> {
    let is_enabled = match manager.status(name)?.start {
        Some(StartType::Auto | StartType::Delayed) => true,
        Some(StartType::Manual | StartType::Disabled) | None => false,
    };
    let is_so = is_enabled == (verb == Verb::Enable);
    Ok((!is_so).then(|| format!("ask {} to {verb} {name}", manager.kind())))
}
