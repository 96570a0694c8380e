//! What had to be killed since a moment, because it did not end when it was asked to. The events tell, also of what a program
//! left behind.

use std::fmt;
use std::time::{Duration, Instant};

use menshen_api::Time;
use menshen_api::types::{Event, EventQuery};
use serde::Serialize;

use super::events::{journals_in, read_back, read_past};
use crate::args::Lines;
use crate::definition::all_paths;
use crate::failure::{Exit, Failure};
use crate::guards::{Guard, ended_in_order};
use crate::output;

/// The event that tells of it, and what is in it between what was killed and why.
const KIND: &str = "killed";
const IS_KILLED: &str = " is killed: ";
/// So far back the newest event is looked for. Where there is none, what comes is found by its time.
const LOOK_BACK_MS: i64 = 60_000;
/// A guard whose disk hangs has no events to tell, and is asked to end something all the same.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// How soon one that is ending is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A service of which something had to be killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Killed {
    pub(super) name: String,
    /// The program (`it`), or what of it.
    what: String,
    /// What did not end it, and within what time.
    why: String,
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} had to be killed: {}", self.what, self.why)
    }
}

/// A moment in the events of a guard.
#[derive(Debug)]
pub(super) struct Moment(EventQuery);

impl Moment {
    /// After all there is now. That it cannot be known keeps nobody from ending what is to end.
    pub(super) async fn now(guard: &Guard) -> Option<Self> {
        in_time(Self::newest(guard)).await.inspect_err(output::pass_over).ok()
    }

    async fn newest(guard: &Guard) -> Result<Self, Failure> {
        let since = Time::from_ms(menshen_os::clock::wall_ms() - LOOK_BACK_MS).to_string();
        let mut query = EventQuery { since: Some(since), ..EventQuery::default() };
        let past = read_past(guard, query.clone(), Lines::Last(1)).await?;
        query.after = past.last().map(|event| event.sequence);
        Ok(Self(query))
    }

    /// What had to be killed since, as far as it is known.
    pub(super) async fn killed(&self, guard: &Guard) -> Vec<Killed> {
        match in_time(read_past(guard, self.0.clone(), Lines::All)).await {
            Ok(events) => told(events),
            // That of `menshen run` ends with its service.
            Err(_) if is_ending(&guard.instance).await => self.killed_to_the_end(&guard.instance),
            Err(failure) => {
                output::pass_over(&failure);
                Vec::new()
            }
        }
    }

    /// The same of a guard that has ended in order, as it has written down to its end.
    pub(super) fn killed_to_the_end(&self, instance: &str) -> Vec<Killed> {
        let journal = all_paths().iter().flat_map(journals_in).find(|(name, _)| name == instance);
        let events = journal.map(|(_, journal)| read_back(&journal, &self.0)).transpose();
        events.inspect_err(output::pass_over).ok().flatten().map(told).unwrap_or_default()
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let told = tokio::time::timeout(TOLD_WITHIN, asked).await;
    told.unwrap_or_else(|_| Err(Failure::new(Exit::Failed, "the guard does not tell its events")))
}

/// Whether a guard that tells nothing any more ends in order, which takes it a moment.
pub(super) async fn is_ending(instance: &str) -> bool {
    let end = Instant::now() + TOLD_WITHIN;
    while ended_in_order(instance) != Some(true) {
        if Instant::now() > end {
            return false;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    true
}

fn told(events: Vec<Event>) -> Vec<Killed> {
    let killed = events.into_iter().filter(|event| event.kind == KIND);
    let killed = killed.filter_map(|Event { service, reason, .. }| {
        let (what, why) = reason.split_once(IS_KILLED)?;
        Some(Killed { name: service?, what: what.to_owned(), why: why.to_owned() })
    });
    killed.collect()
}
