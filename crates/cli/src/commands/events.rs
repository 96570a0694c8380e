//! `menshen events`.

use std::path::PathBuf;
use std::time::Duration;

use menshen_api::client::Call;
use menshen_api::types::{Event, EventList, EventQuery};
use menshen_api::{ClientError, Endpoint};
use menshen_guard::journal::{Journal, ReadBackError};
use menshen_os::paths::Paths;

use super::status::local;
use crate::args::{Arguments, Events};
use crate::definition::all_paths;
use crate::failure::{Exit, Failure};
use crate::guards::{Guard, Guards, ended_in_order, find, wait_for};
use crate::output::{self, bold, dim};

/// How long after the end of a connection the guard is asked whether it is still there.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How often a next guard is looked for when one was killed.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How many events are shown where nobody says since when.
const SHOWN_WITHOUT_SINCE: usize = 50;

pub(super) fn events(arguments: &Arguments, events: &Events) -> Result<Exit, Failure> {
    wait_for(async {
        let guards = Guards::find(arguments).await;
        let mut query =
            EventQuery { service: events.service.clone(), since: events.since.clone(), ..EventQuery::default() };
        if let Err(failure) = guards.some()
            && failure.code() == Exit::NoGuard
            && !guards.has_silent()
        {
            return from_journal(arguments, events, &query, failure);
        }
        let guard = guards.one().await?;
        let past = read_all(guard, query.clone()).await?;
        if let Some(name) = events.service.as_ref().filter(|_| past.is_empty()) {
            // Events may be left of a service that is gone.
            let services = guard.services().await?.into_iter().map(|service| (guard, service)).collect::<Vec<_>>();
            find(&services, name)?;
        }
        show_last(arguments, events, &past);
        if !events.follow {
            return Ok(Exit::Done);
        }
        // Without anything to go on from, what comes is found by its time.
        if let Some(last) = past.last() {
            query.since = None;
            query.after = Some(last.sequence);
        }
        let mut waits = false;
        loop {
            match guard.client.events(&Call::new(Endpoint::ListEvents).query(&query)?).await {
                Ok(mut happening) => {
                    waits = false;
                    // The next guard, or the next version of this one, goes on where it ended.
                    while let Ok(Some(event)) = happening.next().await {
                        show(arguments, &event);
                        query.since = None;
                        query.after = Some(event.sequence);
                    }
                }
                Err(error @ (ClientError::Problem(_) | ClientError::Unreadable(_))) => return Err(error.into()),
                Err(ClientError::Silent { .. } | ClientError::Unreachable(_) | ClientError::Broken(_)) => {}
            }
            tokio::time::sleep(if waits { LOOK_AGAIN } else { ASK_AGAIN }).await;
            if !waits && is_gone(guard).await {
                if ended_in_order(&guard.instance) != Some(false) {
                    output::note("the guard has ended");
                    return Ok(Exit::Done);
                }
                output::note("the guard has ended; waiting for the next one");
                waits = true;
            }
        }
    })
}

/// Shows those asked for, and the last of them where nobody said since when.
fn show_last(arguments: &Arguments, events: &Events, past: &[Event]) {
    let skipped = if events.since.is_none() { past.len().saturating_sub(SHOWN_WITHOUT_SINCE) } else { 0 };
    for event in &past[skipped..] {
        show(arguments, event);
    }
}

/// Without a guard, what the last one wrote down.
fn from_journal(
    arguments: &Arguments,
    events: &Events,
    query: &EventQuery,
    no_guard: Failure,
) -> Result<Exit, Failure> {
    let is_meant = |name: &str| arguments.instance.as_deref().is_none_or(|wanted| wanted == name);
    let mut journals: Vec<(String, PathBuf)> =
        all_paths().iter().flat_map(journals_in).filter(|(name, _)| is_meant(name)).collect();
    let (Some((_, path)), 0) = (journals.pop(), journals.len()) else {
        let names: Vec<String> = all_paths().iter().flat_map(journals_in).map(|(name, _)| name).collect();
        return Err(if names.is_empty() {
            no_guard
        } else {
            no_guard.help(format!("guards have left events behind; say with --instance whose: {}", names.join(", ")))
        });
    };
    if events.follow {
        return Err(no_guard.help("without --follow, what the last guard wrote down is shown"));
    }
    let past = Journal::read_back(&path, query, menshen_os::clock::wall_ms()).map_err(|error| match &error {
        ReadBackError::Since(_) => Failure::new(Exit::Usage, error.to_string()),
        ReadBackError::Journal(_) => Failure::new(Exit::Failed, error.to_string()),
    })?;
    output::note(dim(format_args!("no guard is running; this is what {} has", path.display())));
    if let Some(name) = query.service.as_ref().filter(|_| past.is_empty()) {
        return Err(Failure::new(Exit::NoSuchService, format!("there are no events of a service '{name}'")));
    }
    show_last(arguments, events, &past);
    Ok(Exit::Done)
}

/// The journals that guards have left, by the guard's name.
fn journals_in(paths: &Paths) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(&paths.state).into_iter().flatten().flatten();
    let journal = |entry: std::fs::DirEntry| {
        let path = entry.path().join("journal.db");
        path.is_file().then(|| (entry.file_name().to_string_lossy().into_owned(), path))
    };
    let mut journals: Vec<_> = entries.filter_map(journal).collect();
    journals.sort();
    journals
}

/// Whether nobody is there any more. One that says nothing yet may be taking over what runs.
async fn is_gone(guard: &Guard) -> bool {
    loop {
        match guard.info().await {
            Ok(_) => return false,
            Err(ClientError::Silent { .. }) => {}
            Err(_) => return true,
        }
    }
}

async fn read_all(guard: &Guard, mut query: EventQuery) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    loop {
        let page: EventList = guard.client.call(&Call::new(Endpoint::ListEvents).query(&query)?).await?;
        events.extend(page.events);
        query.after = page.next;
        if page.next.is_none() {
            return Ok(events);
        }
    }
}

fn show(arguments: &Arguments, event: &Event) {
    if arguments.json {
        output::json_line(event);
    } else {
        output::line(format_args!("{} {}", dim(local(event.time)), sentence(event)));
    }
}

/// An event in a line, without its time.
pub(super) fn sentence(event: &Event) -> String {
    let about = event.service.as_deref().unwrap_or("guard");
    let detail = |key: &str| event.details.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let reason = output::printable(&event.reason);
    let what = match event.kind.as_str() {
        "transition" => format!("{} → {}: {reason}", detail("from"), detail("to")),
        "command" => {
            let by = event.by.as_deref().unwrap_or("somebody");
            let refusal = detail("refusal");
            let refused = if refusal.is_empty() { String::new() } else { format!(" (refused: {refusal})") };
            format!("{} asked by {}{refused}", detail("command"), output::printable(by))
        }
        "probe" => {
            let passing = event.details.get("passing").and_then(serde_json::Value::as_bool).unwrap_or(false);
            let word = match (detail("probe").as_str(), passing) {
                ("readiness", true) => "ready",
                ("readiness", false) => "not ready",
                (_, true) => "healthy",
                (_, false) => "not healthy",
            };
            format!("{word}: {reason}")
        }
        "breaker_closed" => format!("breaker closed: {reason}"),
        "forgotten" => format!("restarts forgotten: {reason}"),
        "trouble" if event.details.get("over").and_then(serde_json::Value::as_bool) == Some(true) => {
            format!("trouble over: {reason}")
        }
        "trouble" => format!("trouble: {reason}"),
        kind => format!("{}: {reason}", kind.replace('_', " ")),
    };
    format!("{} {what}", bold(about))
}
