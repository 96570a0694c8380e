//! What happened, as `menshen events --follow` tells it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use menshen_api::types::{Event, State};

use crate::wait::{DEADLINE, until};

/// Every event since the guard was first started.
#[derive(Debug, Clone, Default)]
pub struct History(Arc<(Mutex<Vec<Event>>, Condvar)>);

/// A place in the history: after the last event there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// Before everything.
    pub const BEGIN: Self = Self(0);

    /// The number of the last event before it.
    #[must_use]
    pub const fn sequence(self) -> u64 {
        self.0
    }
}

/// A running `menshen events --follow`.
#[derive(Debug)]
pub(crate) struct Follower {
    child: Child,
    reader: Option<JoinHandle<()>>,
    /// It has said that the guard is gone.
    has_lost_guard: Arc<AtomicBool>,
}

impl History {
    /// The events after a mark, oldest first.
    #[must_use]
    pub fn after(&self, mark: Mark) -> Vec<Event> {
        self.lock().iter().filter(|event| event.sequence > mark.0).cloned().collect()
    }

    /// Waits for an event after a mark.
    ///
    /// # Panics
    /// When none comes within [`DEADLINE`].
    pub fn await_event(&self, mark: Mark, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        let end = Instant::now() + DEADLINE;
        let mut events = self.lock();
        loop {
            if let Some(event) = events.iter().find(|event| event.sequence > mark.0 && is_it(event)) {
                return event.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no such event within {DEADLINE:?}: {what}");
            events = self.0.1.wait_timeout(events, left).unwrap().0;
        }
    }

    fn add(&self, event: Event) {
        let mut events = self.lock();
        if events.last().is_none_or(|last| last.sequence < event.sequence) {
            events.push(event);
        }
        self.0.1.notify_all();
    }

    /// A test that gave up waiting has harmed nothing.
    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    pub(crate) fn start(menshen: &mut Command, history: &History) -> Self {
        menshen.args(["events", "--follow", "--json", "--since", "1d"]);
        let mut child = menshen.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let notes = BufReader::new(child.stderr.take().unwrap()).lines();
        let has_lost_guard = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&has_lost_guard);
        let listen = move || {
            for note in notes.map_while(Result::ok) {
                lost.fetch_or(note.contains("the guard has ended"), Ordering::Release);
            }
        };
        // It ends with the follower.
        std::thread::spawn(listen);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let history = history.clone();
        let read = move || {
            for line in lines.map_while(Result::ok) {
                history.add(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}")));
            }
        };
        Self { child, reader: Some(std::thread::spawn(read)), has_lost_guard }
    }

    /// Reads what is left, once the guard has ended.
    pub(crate) fn finish(mut self) {
        // It waits for the next guard when the last has not ended in order, and has told all of that one before it says so.
        until("the events of a guard that has ended end", || {
            self.has_lost_guard.load(Ordering::Acquire) || self.child.try_wait().unwrap().is_some()
        });
        // It may have ended.
        let _ = self.child.kill();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It ends by itself with the guard.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Where a transition leads, if the event is one of this service.
#[must_use]
pub fn entered(event: &Event, service: &str) -> Option<State> {
    (event.kind == "transition" && event.service.as_deref() == Some(service)).then(|| state(event, "to"))
}

/// A state named in an event.
fn state(event: &Event, key: &str) -> State {
    serde_json::from_value(event.details[key].clone()).unwrap()
}

/// The newest place in a list of events.
pub(crate) fn mark(events: &[Event]) -> Mark {
    events.last().map_or(Mark::BEGIN, |event| Mark(event.sequence))
}

/// Events for people.
pub(crate) fn tell(events: &[Event]) -> String {
    let line = |event: &Event| {
        let about = event.service.as_deref().unwrap_or("guard");
        let details = serde_json::to_string(&event.details).unwrap_or_default();
        format!("  {} {} {about} {} {details}: {}\n", event.sequence, event.time, event.kind, event.reason)
    };
    events.iter().map(line).collect()
}
