//! `menshen events`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use menshen_api::client::Call;
use menshen_api::types::{Event, EventList, EventQuery};
use menshen_api::{ClientError, Endpoint};
use menshen_guard::journal::{Journal, ReadBackError};
use menshen_os::paths::Paths;

use super::status::local;
use crate::args::{Arguments, Events, Lines};
use crate::definition::all_paths;
use crate::failure::{Exit, Failure};
use crate::guards::{Guard, Guards, ended_in_order, find, is_held, wait_for};
use crate::output::{self, bold, dim};

/// How long after the end of a connection the guard is asked whether it is still there.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How often a next guard is looked for when one was killed.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How many events are shown where nobody says since when.
const SHOWN_WITHOUT_SINCE: u32 = 50;

pub(super) fn events(arguments: &Arguments, events: &Events) -> Result<Exit, Failure> {
    wait_for(async {
        let guards = Guards::find(arguments).await;
        let mut query =
            EventQuery { service: events.service.clone(), since: events.since.clone(), ..EventQuery::default() };
        let guard = match guards.one().await {
            Err(failure) if failure.code() == Exit::NoGuard => {
                return from_journal(arguments, events, &guards, &query, failure);
            }
            guard => guard?,
        };
        let past = read_past(guard, query.clone(), shown(events)).await?;
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

/// How much of the past is shown.
fn shown(events: &Events) -> Lines {
    let unless_said = if events.since.is_none() { Lines::Last(SHOWN_WITHOUT_SINCE) } else { Lines::All };
    events.lines.unwrap_or(unless_said)
}

/// How many events there are before those that are shown.
fn surplus(past: &[Event], shown: Lines) -> usize {
    match shown {
        Lines::All => 0,
        Lines::Last(last) => past.len().saturating_sub(usize::try_from(last).unwrap_or(usize::MAX)),
    }
}

fn show_last(arguments: &Arguments, events: &Events, past: &[Event]) {
    for event in &past[surplus(past, shown(events))..] {
        show(arguments, event);
    }
}

/// Without the guard that is meant, what the last one wrote down.
fn from_journal(
    arguments: &Arguments,
    events: &Events,
    guards: &Guards,
    query: &EventQuery,
    no_guard: Failure,
) -> Result<Exit, Failure> {
    let mut journals: Vec<(String, PathBuf)> = all_paths().iter().flat_map(journals_in).collect();
    let is_left = |name: &&str| journals.iter().any(|(of, _)| of == name) && !is_held(name);
    let at_hand = guards.name_at_hand().filter(is_left);
    // Beside a guard that runs, only what is meant for sure is shown in its place.
    if at_hand.is_none() && (!guards.all.is_empty() || guards.has_silent()) {
        return Err(no_guard);
    }
    let names: Vec<String> = journals.iter().map(|(name, _)| name.clone()).collect();
    if let Some(wanted) = arguments.instance.as_deref().or(at_hand) {
        journals.retain(|(name, _)| name == wanted);
    }
    let [(name, path)] = journals.as_slice() else {
        return Err(if names.is_empty() {
            no_guard
        } else {
            no_guard.help(format!("guards have left events behind; say with --instance whose: {}", names.join(", ")))
        });
    };
    if events.follow {
        return Err(no_guard.help("without --follow, what the last guard wrote down is shown"));
    }
    let past = read_back(path, query)?;
    let absent = if guards.are_absent() {
        "no guard is running".to_owned()
    } else {
        format!("the guard '{name}' is not running")
    };
    output::note(dim(format_args!("{absent}; this is what {} has", path.display())));
    if let Some(name) = query.service.as_ref().filter(|_| past.is_empty()) {
        // A service of which there is only what is older than was asked for was there all the same.
        let ever = EventQuery { since: None, limit: Some(1), ..query.clone() };
        if read_back(path, &ever)?.is_empty() {
            return Err(Failure::new(Exit::NoSuchService, format!("there are no events of a service '{name}'")));
        }
    }
    show_last(arguments, events, &past);
    Ok(Exit::Done)
}

pub(super) fn read_back(journal: &Path, query: &EventQuery) -> Result<Vec<Event>, Failure> {
    Journal::read_back(journal, query, menshen_os::clock::wall_ms()).map_err(|error| match &error {
        ReadBackError::Since(_) => Failure::new(Exit::Usage, error.to_string()),
        ReadBackError::Journal(_) => Failure::new(Exit::Failed, error.to_string()),
    })
}

/// The journals that guards have left, by the guard's name.
pub(super) fn journals_in(paths: &Paths) -> Vec<(String, PathBuf)> {
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

/// What is shown, and at least the newest event, after which those that follow go on.
pub(super) async fn read_past(guard: &Guard, mut query: EventQuery, shown: Lines) -> Result<Vec<Event>, Failure> {
    let kept = if shown == Lines::Last(0) { Lines::Last(1) } else { shown };
    let mut events = Vec::new();
    loop {
        let page: EventList = guard.client.call(&Call::new(Endpoint::ListEvents).query(&query)?).await?;
        events.extend(page.events);
        events.drain(..surplus(&events, kept));
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
