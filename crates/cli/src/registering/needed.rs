//! What a service that its manager runs itself needs, by the names that manager knows; and what needs it.

use menshen::service::registration::Dependency;
use menshen_plan::ServicePlan;

use super::record::{Form, Record};
use crate::definition::{load, source_of};
use crate::failure::{Exit, Failure};

/// What a service depends on, as its manager calls it. What the manager does not run itself it cannot wait for: a service that
/// needs it could never be started.
pub(crate) fn of(record: &Record, service: &ServicePlan) -> Result<Vec<Dependency>, Failure> {
    if service.depends_on.is_empty() {
        return Ok(Vec::new());
    }
    let siblings = siblings(record)?;
    let (mut needed, mut missing) = (Vec::new(), Vec::new());
    for name in service.depends_on.keys() {
        match siblings.iter().find(|sibling| is_only(sibling, name.as_str())) {
            Some(sibling) => needed.push(Dependency::Service(sibling.name.clone())),
            None => missing.push(name.as_str()),
        }
    }
    let [first, ..] = missing.as_slice() else { return Ok(needed) };
    let (name, manager, all) = (&record.name, &record.manager, missing.join(", "));
    Err(Failure::new(Exit::Refused, format!("'{name}' needs what {manager} does not run itself: {all}"))
        .help(format!("`menshen install {first} --native` first, or leave --native out: a guard runs them all")))
}

/// The services that could not be started without this one.
pub(crate) fn by(record: &Record) -> Result<Vec<String>, Failure> {
    let [own] = record.only.as_slice() else { return Ok(Vec::new()) };
    if record.form != Form::Native {
        return Ok(Vec::new());
    }
    let needs = |other: &Record| {
        // A definition that is refused by now says nothing of what was installed with it.
        let plan = load(&source_of(other)).ok().and_then(|loaded| loaded.plan);
        let service = plan.and_then(|plan| plan.services.get(other.only.first()?.as_str()).cloned());
        service.is_some_and(|service| service.depends_on.keys().any(|name| name.as_str() == own))
    };
    Ok(siblings(record)?.into_iter().filter(needs).map(|other| other.name).collect())
}

/// What else the same manager runs itself of the same definition.
fn siblings(record: &Record) -> Result<Vec<Record>, Failure> {
    let mut all = Record::all()?;
    all.retain(|other| {
        other.form == Form::Native
            && other.name != record.name
            && (&other.manager, other.scope) == (&record.manager, record.scope)
            && other.definition == record.definition
    });
    Ok(all)
}

fn is_only(record: &Record, service: &str) -> bool {
    record.only.as_slice() == [service]
}
