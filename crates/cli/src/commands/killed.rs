//! What had to be killed since a moment, because it did not end when it was asked to. The events tell, also of what a program
//! left behind.

use std::path::Path;

use menshen_api::Time;
use menshen_api::types::{Event, EventQuery};
use serde::Serialize;

use super::events::{read_back, read_past};
use crate::args::Lines;
use crate::failure::Failure;
use crate::guards::Guard;

/// The event that tells of it, and what it says first.
const KIND: &str = "killed";
const SAYS: &str = "it is killed: ";
/// So far back the newest event is looked for. Where there is none, what comes is found by its time.
const LOOK_BACK_MS: i64 = 60_000;

/// A service of which something had to be killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Killed {
    pub(super) name: String,
    /// What did not end it, and within what time.
    pub(super) why: String,
}

/// A moment in the events of a guard.
#[derive(Debug)]
pub(super) struct Moment(EventQuery);

impl Moment {
    /// After all there is now.
    pub(super) async fn now(guard: &Guard) -> Result<Self, Failure> {
        let since = Time::from_ms(menshen_os::clock::wall_ms() - LOOK_BACK_MS).to_string();
        let mut query = EventQuery { since: Some(since), ..EventQuery::default() };
        let past = read_past(guard, query.clone(), Lines::Last(1)).await?;
        query.after = past.last().map(|event| event.sequence);
        Ok(Self(query))
    }

    /// What had to be killed since.
    pub(super) async fn killed(&self, guard: &Guard) -> Result<Vec<Killed>, Failure> {
        Ok(told(read_past(guard, self.0.clone(), Lines::All).await?))
    }

    /// The same without the guard.
    pub(super) fn killed_by(&self, journal: &Path) -> Result<Vec<Killed>, Failure> {
        read_back(journal, &self.0).map(told)
    }
}

fn told(events: Vec<Event>) -> Vec<Killed> {
    let killed = events.into_iter().filter(|event| event.kind == KIND);
    let killed = killed.filter_map(|Event { service, reason, .. }| {
        Some(Killed { name: service?, why: reason.strip_prefix(SAYS).unwrap_or(&reason).to_owned() })
    });
    killed.collect()
}
