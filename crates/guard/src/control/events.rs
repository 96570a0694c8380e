//! Events over the control socket: from the journal, and as they happen.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::channel::Channel;
use menshen_api::types::{Event, EventList, EventQuery};
use menshen_api::{Problem, ProblemCode, Time};
use menshen_os::local_socket::Caller;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;

use super::answer::{Answer, json, stream};
use super::body::bad;
use super::reader::{PIECES_MAX, Reader};
use super::{NO_ANSWER, Shared};
use crate::journal::Filter;
use crate::since;

/// How many events one answer has at most, and how many are read at once for a follower.
const PAGE_MAX: u32 = 1000;
/// A follower hears something at least this often, so that a connection that is gone is noticed.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// One page, or, for those who accept it, everything that happens from here on.
pub(super) async fn list(
    shared: &Arc<Shared>,
    caller: &Caller,
    query: EventQuery,
    headers: &HeaderMap,
) -> Result<Answer, Problem> {
    let last_seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::parse);
    let last_seen = last_seen.transpose().map_err(|_| bad("Last-Event-ID is not a number"))?;
    let now = Time::from_ms(menshen_os::clock::wall_ms());
    let since = query
        .since
        .as_deref()
        .map(|text| since::parse(text, now))
        .transpose()
        .map_err(|error| bad(error.to_string()))?;
    let filter = Filter {
        service: query.service,
        since_ms: since.map(Time::as_ms),
        after: last_seen.or(query.after),
        limit: query.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX),
        last: false,
    };
    let accepts = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
    if accepts.into_iter().any(|value| value.contains("text/event-stream")) {
        return Ok(follow(shared, caller, filter));
    }
    let events = read(shared, filter.clone()).await?;
    let full = u32::try_from(events.len()).unwrap_or(u32::MAX) >= filter.limit;
    let next = events.last().filter(|_| full).map(|event| event.sequence);
    Ok(json(&EventList { events, next }))
}

/// Reads the journal.
pub(super) async fn read(shared: &Shared, filter: Filter) -> Result<Vec<Event>, Problem> {
    let (sender, answer) = oneshot::channel();
    shared.disk.query(filter, move |events| drop(sender.send(events)));
    let no_answer = |_| Problem::new(ProblemCode::ShuttingDown, NO_ANSWER);
    answer.await.map_err(no_answer)?.map_err(|error| Problem::new(ProblemCode::Internal, error.to_string()))
}

fn follow(shared: &Arc<Shared>, caller: &Caller, filter: Filter) -> Answer {
    let (sender, body) = Channel::new(PIECES_MAX);
    // Subscribed before the journal is read: what happens in between comes twice and is told once.
    let (newest, happening) = shared.hub.subscribe();
    // Without a place to begin, the past is not asked for, also when the follower falls behind later.
    let wants_past = filter.after.is_some() || filter.since_ms.is_some();
    let after = if wants_past { filter.after.unwrap_or(0) } else { newest };
    let reader = Reader::following(sender, shared.inputs.clone(), caller, "the events");
    let follower = Follower { shared: Arc::clone(shared), service: filter.service.clone(), after, reader };
    let filter = Some(filter).filter(|_| wants_past);
    tokio::spawn(follower.run(filter, happening));
    stream("text/event-stream", body)
}

struct Follower {
    shared: Arc<Shared>,
    service: Option<String>,
    /// The number of the last event told.
    after: u64,
    reader: Reader,
}

impl Follower {
    /// Tells of the past, if that is wanted, and then of what happens.
    async fn run(mut self, past: Option<Filter>, mut happening: Receiver<Arc<Event>>) {
        if let Some(past) = past
            && self.catch_up(past).await.is_err()
        {
            return;
        }
        loop {
            let told = match tokio::time::timeout(SIGN_OF_LIFE, happening.recv()).await {
                Err(_) => self.send(": still here\n\n".to_owned()).await,
                Ok(Ok(event)) => self.tell(&event).await,
                // Too far behind: the journal has what was missed.
                Ok(Err(RecvError::Lagged(_))) => self.catch_up(self.rest()).await,
                Ok(Err(RecvError::Closed)) => return,
            };
            if told.is_err() {
                return;
            }
        }
    }

    fn rest(&self) -> Filter {
        Filter { service: self.service.clone(), since_ms: None, after: Some(self.after), limit: PAGE_MAX, last: false }
    }

    async fn catch_up(&mut self, mut filter: Filter) -> Result<(), ()> {
        filter.limit = PAGE_MAX;
        loop {
            let events = read(&self.shared, filter).await.map_err(drop)?;
            for event in &events {
                self.tell(event).await?;
            }
            if events.len() < PAGE_MAX as usize {
                return Ok(());
            }
            filter = self.rest();
        }
    }

    async fn tell(&mut self, event: &Event) -> Result<(), ()> {
        let concerned = self.service.is_none() || self.service == event.service;
        if event.sequence <= self.after || !concerned {
            return Ok(());
        }
        self.after = event.sequence;
        let data = serde_json::to_string(event).unwrap_or_default();
        self.send(format!("id: {}\nevent: {}\ndata: {data}\n\n", event.sequence, event.kind)).await
    }

    async fn send(&mut self, text: String) -> Result<(), ()> {
        self.reader.send(Bytes::from(text)).await
    }
}
