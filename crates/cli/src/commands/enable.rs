//! `menshen enable` and `menshen disable`.

use menshen::service::registration::StartType;
use menshen::service::{Scope, ServiceManager, ServiceName, Verb};
use serde_json::json;

use super::steps;
use super::uninstall::installed;
use crate::args::{Arguments, Enable, Mode};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::registering::manager::choose;

pub(super) fn enable(arguments: &Arguments, enable: &Enable, verb: Verb) -> Result<Exit, Failure> {
    let name: ServiceName = enable.name.parse()?;
    let record = installed(&name)?;
    let manager = choose(Some(record.kind()?), Scope::from(record.scope))?;
    match enable.dry_run.mode() {
        Mode::Show => steps::show(arguments, step(manager.as_ref(), &name, verb)?),
        Mode::Do => {
            manager.act(&name, verb)?;
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

/// What would be done; nothing, where it is so already.
fn step(manager: &dyn ServiceManager, name: &ServiceName, verb: Verb) -> Result<Option<String>, Failure> {
    let is_enabled = match manager.status(name)?.start {
        Some(StartType::Auto | StartType::Delayed) => true,
        Some(StartType::Manual | StartType::Disabled) | None => false,
    };
    let is_so = is_enabled == (verb == Verb::Enable);
    Ok((!is_so).then(|| format!("ask {} to {verb} {name}", manager.kind())))
}
