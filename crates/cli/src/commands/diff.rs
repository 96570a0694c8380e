//! `menshen diff`.

use anstyle::AnsiColor;
use menshen::service::{Difference, Scope, ServiceName};
use serde_json::json;
use similar::{ChangeTag, TextDiff};

use super::install::registration;
use super::uninstall::installed;
use crate::args::{Arguments, Installed};
use crate::definition::source_of;
use crate::failure::{Exit, Failure};
use crate::output::{self, bold, styled};
use crate::registering::manager::choose;

/// Ends as diff(1) does, so that nobody has to read what differs to know that something does.
pub(super) fn diff(arguments: &Arguments, service: &Installed) -> Result<Exit, Failure> {
    compare(arguments, service).map_err(untold)
}

/// One means that something differs. That the comparison failed, or its manager took too long, is that it cannot be told.
fn untold(failure: Failure) -> Failure {
    match failure.code() {
        Exit::Failed | Exit::NotReady => failure.with_exit(Exit::Untold),
        Exit::Done
        | Exit::Usage
        | Exit::Refused
        | Exit::NoSuchService
        | Exit::NotPermitted
        | Exit::NoGuard
        | Exit::NotRunning
        | Exit::Unknown
        | Exit::Differs
        | Exit::Untold
        | Exit::Guard(_) => failure,
    }
}

fn compare(arguments: &Arguments, service: &Installed) -> Result<Exit, Failure> {
    let name: ServiceName = service.name.parse()?;
    let record = installed(&name)?;
    let manager = choose(Some(record.kind()?), Scope::from(record.scope))?;
    let registration = registration(&record, &source_of(&record), manager.as_ref())?;
    let differences = manager.diff(&registration)?;
    let exit = if differences.is_empty() { Exit::Done } else { Exit::Differs };
    if arguments.json {
        let each: Vec<_> = differences
            .iter()
            .map(|difference| {
                json!({ "what": difference.what, "installed": difference.installed, "wanted": difference.wanted })
            })
            .collect();
        output::json(&json!({ "name": record.name, "differences": each }));
        return Ok(exit);
    }
    if differences.is_empty() {
        output::line(format_args!("{name}: as it should be"));
    }
    differences.iter().for_each(show);
    Ok(exit)
}

/// What is there, and what installing it again would make of it, line by line.
pub(super) fn show(difference: &Difference) {
    output::line(bold(&difference.what));
    let (installed, wanted) =
        (difference.installed.as_deref().unwrap_or_default(), difference.wanted.as_deref().unwrap_or_default());
    for change in TextDiff::from_lines(installed, wanted).iter_all_changes() {
        let line = output::printable(change.value().trim_end_matches('\n'));
        match change.tag() {
            ChangeTag::Equal => {}
            ChangeTag::Delete => output::line(styled(format_args!("- {line}"), AnsiColor::Red.on_default())),
            ChangeTag::Insert => output::line(styled(format_args!("+ {line}"), AnsiColor::Green.on_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use menshen::service::ManagerError;

    use super::*;

    #[test]
    fn a_manager_that_takes_too_long_leaves_it_untold() {
        let error = ManagerError::TookTooLong {
            command: "systemctl show web".to_owned(),
            within: Duration::from_secs(30),
            said: String::new(),
        };
        assert_eq!(untold(error.into()).code(), Exit::Untold);
        assert_eq!(untold(Failure::new(Exit::NotPermitted, "")).code(), Exit::NotPermitted);
    }
}
