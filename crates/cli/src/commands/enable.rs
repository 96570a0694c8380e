//! `menshen enable` and `menshen disable`.

use menshen::service::{Scope, ServiceName, Verb};

use super::uninstall::installed;
use crate::args::Installed;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::registering::manager::choose;

pub(super) fn enable(service: &Installed, verb: Verb) -> Result<Exit, Failure> {
    let name: ServiceName = service.name.parse()?;
    let record = installed(&name)?;
    let manager = choose(Some(record.kind()?), Scope::from(record.scope))?;
    manager.act(&name, verb)?;
    output::line(format_args!("{name}: {verb}d"));
    Ok(Exit::Done)
}
