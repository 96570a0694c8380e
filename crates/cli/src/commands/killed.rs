//! What had to be killed since a moment, because it did not end when it was asked to. The events tell, also of what a program
//! left behind.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use menshen_api::Time;
use menshen_api::types::{Event, EventQuery};
use serde::Serialize;

use super::events::{read_back, read_past};
use crate::args::Lines;
use crate::failure::{Exit, Failure};
use crate::guards::Guard;
use crate::output;

/// The event that tells of it, and what is in it between what was killed and why.
const KIND: &str = "killed";
const IS_KILLED: &str = " is killed: ";
/// So far back the newest event is looked for. Where there is none, what comes is found by its time.
const LOOK_BACK_MS: i64 = 60_000;
/// A guard whose disk hangs has no events to tell, and is asked to end something all the same.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

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
        pass_over(Self::newest(guard)).await
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
        pass_over(read_past(guard, self.0.clone(), Lines::All)).await.map(told).unwrap_or_default()
    }

    /// The same without the guard.
    pub(super) fn killed_by(&self, journal: &Path) -> Result<Vec<Killed>, Failure> {
        read_back(journal, &self.0).map(told)
    }
}

/// What a guard tells of its events; says so where it does not.
async fn pass_over<T>(asked: impl Future<Output = Result<T, Failure>>) -> Option<T> {
    let told = tokio::time::timeout(TOLD_WITHIN, asked).await;
    let told = told.unwrap_or_else(|_| Err(Failure::new(Exit::Failed, "the guard does not tell its events")));
    told.inspect_err(output::pass_over).ok()
}

fn told(events: Vec<Event>) -> Vec<Killed> {
    let killed = events.into_iter().filter(|event| event.kind == KIND);
    let killed = killed.filter_map(|Event { service, reason, .. }| {
        let (what, why) = reason.split_once(IS_KILLED)?;
        Some(Killed { name: service?, what: what.to_owned(), why: why.to_owned() })
    });
    killed.collect()
}
