//! `menshen reload`.

use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use menshen_api::client::Call;
use menshen_api::types::{Change, ReloadQuery, ReloadReport, Service};
use menshen_api::{ClientError, Endpoint};

use super::settled::{Pauses, are_settled, is_settled_well, not_ready, tell_states};
use super::time_out;
use crate::args::{Arguments, Reload};
use crate::failure::{Exit, Failure};
use crate::guards::{Guard, Guards, wait_for};
use crate::output::{self, bold, dim, styled};

pub(super) fn reload(arguments: &Arguments, reload: &Reload) -> Result<Exit, Failure> {
    let timeout = time_out(&reload.timeout)?;
    wait_for(async {
        let guards = Guards::find(arguments).await;
        let guard = guards.one().await?;
        let before = if reload.wait { guard.services().await? } else { Vec::new() };
        let query = ReloadQuery { dry_run: reload.dry_run };
        let answer: Result<ReloadReport, ClientError> =
            guard.client.call(&Call::new(Endpoint::Reload).query(&query)?).await;
        let report = answer.map_err(not_followed)?;
        if arguments.json {
            output::json(&report);
        } else {
            print(&report);
        }
        if reload.wait {
            let services = await_settled(guard, &before, &report, timeout).await?;
            if !arguments.json {
                tell_states(&services);
            }
        }
        Ok(Exit::Done)
    })
}

/// Waits until what changes is where it is wanted, cannot come there, or has taken too long. What was there before is to be
/// there again: what changes may take along those that need it. Gives those that change, as they are then.
async fn await_settled(
    guard: &Guard,
    before: &[Service],
    report: &ReloadReport,
    timeout: Duration,
) -> Result<Vec<Service>, Failure> {
    let is_changed = |service: &Service| report.services.iter().any(|changed| changed.name == service.name);
    let was_there = |service: &Service| before.iter().any(|old| old.name == service.name && is_settled_well(old));
    let begun = Instant::now();
    let mut pauses = Pauses::new();
    loop {
        let mut services = guard.services().await?;
        let is_waited_for = |service: &Service| is_changed(service) || was_there(service);
        let is_over = are_settled(services.iter().filter(|service| is_waited_for(service)), &services);
        if is_over || begun.elapsed() >= timeout {
            services.retain(is_waited_for);
            if !services.iter().all(is_settled_well) {
                return Err(not_ready(&services));
            }
            services.retain(is_changed);
            return Ok(services);
        }
        pauses.pause().await;
    }
}

/// What follows where the guard has not said that it follows the definition.
fn not_followed(error: ClientError) -> Failure {
    let is_broken = matches!(error, ClientError::Broken(_));
    let failure = Failure::from(error);
    if is_broken {
        failure.help("whether it has followed the definition is not known; the next guard does: `menshen up`")
    } else if failure.code() == Exit::Refused {
        failure.help("nothing was changed: the guard goes on with the definition it has")
    } else {
        failure
    }
}

fn print(report: &ReloadReport) {
    for warning in &report.warnings {
        output::note(format_args!("{} {warning}", styled("warning:", AnsiColor::Yellow.on_default())));
    }
    if report.services.is_empty() && report.guard.is_empty() {
        return output::line("nothing changed");
    }
    if !report.guard.is_empty() {
        print_changes("guard", ("live", "live"), None, &report.guard);
    }
    for service in &report.services {
        let outcome = service.outcome.as_ref().unwrap_or(&service.cost);
        print_changes(&service.name, (&service.cost, outcome), service.reason.as_deref(), &service.changes);
    }
    if !report.applied {
        output::line(dim("nothing was done: this was a dry run"));
    }
}

/// What changes, with what it costs where the service runs, and what really comes of it.
fn print_changes(name: &str, (cost, outcome): (&str, &str), reason: Option<&str>, changes: &[Change]) {
    output::line(format_args!("{}  {}", bold(name), styled(said(outcome), style(outcome))));
    if let Some(reason) = reason {
        output::line(dim(format_args!("  {}", output::printable(reason))));
    }
    for change in changes {
        let (old, new) = (shown(&change.old), shown(&change.new));
        // What costs most is what comes out differently where nothing runs.
        let comes = if change.cost == cost { outcome } else { &change.cost };
        output::line(format_args!("  {}: {} → {new}  {}", change.field, dim(old), styled(said(comes), style(comes))));
    }
}

fn said(outcome: &str) -> String {
    outcome.replace('-', " ")
}

fn shown(value: &serde_json::Value) -> String {
    if value.is_null() { "(none)".to_owned() } else { output::printable(&value.to_string()) }
}

fn style(cost: &str) -> Style {
    match cost {
        "live" => AnsiColor::Green.on_default(),
        "signal" | "new" | "start" | "next-start" => AnsiColor::Cyan.on_default(),
        "restart" => AnsiColor::Yellow.on_default(),
        "gone" => AnsiColor::Red.on_default(),
        _ => Style::new(),
    }
}
