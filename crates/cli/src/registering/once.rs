//! That no service of a definition is run twice: by two guards, or by a guard and the manager itself.

use std::path::PathBuf;

use menshen_guard::definition::DefinitionSource;

use super::record::{Form, Record};
use crate::args::Arguments;
use crate::at_hand;
use crate::definition::{load, source_of};
use crate::failure::{Exit, Failure};
use crate::guards::{ANSWER_WITHIN, Guards, wait_for};

/// Refuses what something else that is installed, or a guard that is running, runs already.
///
/// # Errors
/// With the names of both.
pub(crate) fn hold(arguments: &Arguments, record: &Record, source: &DefinitionSource) -> Result<(), Failure> {
    let services = services(record, source);
    for other in Record::all()?.iter().filter(|other| is_namesake(record, other)) {
        let others = self::services(other, &source_of(other));
        if let Some(name) = services.iter().find(|name| others.contains(name)) {
            let (own, other) = (&record.name, &other.name);
            let message = format!("'{name}' would be run twice: it is part of '{other}', which is installed already");
            return Err(Failure::new(Exit::Failed, message)
                .help(format!("`menshen uninstall {other}` first, or leave '{own}' out: '{other}' runs it")));
        }
    }
    hold_against_guards(arguments, record, source, &services)
}

/// Whether another installation is of the same definition.
fn is_namesake(record: &Record, other: &Record) -> bool {
    other.name != record.name && other.definition == record.definition
}

/// What is run of a definition: a manager runs one service itself, a guard also what that needs.
fn services(record: &Record, source: &DefinitionSource) -> Vec<String> {
    if record.form == Form::Native && !record.only.is_empty() {
        return record.only.clone();
    }
    let source = DefinitionSource { only: record.only.clone(), ..source.clone() };
    // One that is refused by now runs nothing anew.
    let plan = load(&source).ok().and_then(|loaded| loaded.plan);
    plan.map(|plan| plan.services.keys().map(ToString::to_string).collect()).unwrap_or_default()
}

/// A guard that somebody started by hand may run it, too.
fn hold_against_guards(
    arguments: &Arguments,
    record: &Record,
    source: &DefinitionSource,
    services: &[String],
) -> Result<(), Failure> {
    let files: Vec<PathBuf> = source.files().unwrap_or_default().into_iter().flatten().collect();
    wait_for(async {
        for guard in &Guards::find(arguments).await.all {
            let is_own = record.form == Form::Guard && record.guard == guard.instance;
            let info = tokio::time::timeout(ANSWER_WITHIN, guard.info()).await;
            let Ok(Ok(info)) = info else { continue };
            if is_own || !files.iter().any(|file| at_hand::has(&info, file)) {
                continue;
            }
            let running = guard.services().await?;
            if let Some(service) = running.iter().find(|service| services.contains(&service.name)) {
                let (name, guard) = (&service.name, &guard.instance);
                let message = format!("'{name}' would be run twice: the guard '{guard}' that is running has it");
                return Err(Failure::new(Exit::Failed, message)
                    .help(format!("`menshen --instance {guard} down` first, or leave it to that guard")));
            }
        }
        Ok(())
    })
}
