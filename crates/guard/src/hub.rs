//! Events as they happen, for whoever follows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use menshen_api::types::Event;
use tokio::sync::broadcast;

/// A follower that is further behind than this reads the journal instead.
pub(crate) const BEHIND_MAX: usize = 1024;

/// Where events are published.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    events: broadcast::Sender<Arc<Event>>,
    /// The number of the last one.
    newest: Arc<AtomicU64>,
}

impl Hub {
    /// Nobody follows yet; `newest` is the number of the last event that has happened.
    pub(crate) fn new(newest: u64) -> Self {
        Self { events: broadcast::channel(BEHIND_MAX).0, newest: Arc::new(AtomicU64::new(newest)) }
    }

    pub(crate) fn publish(&self, event: Arc<Event>) {
        let sequence = event.sequence;
        // Nobody follows: nobody misses it.
        let _ = self.events.send(event);
        self.newest.store(sequence, Ordering::Release);
    }

    /// What happens from here on, and the number of an event before all of it.
    pub(crate) fn subscribe(&self) -> (u64, broadcast::Receiver<Arc<Event>>) {
        // Set after an event is sent and read before anybody listens: whatever is heard has a higher number.
        let newest = self.newest.load(Ordering::Acquire);
        (newest, self.events.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use menshen_api::Time;

    use super::*;

    #[test]
    fn a_follower_knows_where_it_began_whatever_it_misses() {
        let hub = Hub::new(7);
        let event = |sequence: u64| {
            let (kind, reason, details) = ("x".to_owned(), String::new(), BTreeMap::new());
            Arc::new(Event { sequence, time: Time::from_ms(0), service: None, kind, reason, by: None, details })
        };
        assert_eq!(hub.subscribe().0, 7);
        hub.publish(event(8));
        let (newest, mut happening) = hub.subscribe();
        assert_eq!(newest, 8);
        hub.publish(event(9));
        assert_eq!(happening.try_recv().unwrap().sequence, 9);
    }
}
