//! Events as they happen, for whoever follows them.

use std::sync::Arc;

use menshen_api::types::Event;
use tokio::sync::broadcast;

/// A follower that is further behind than this reads the journal instead.
const BEHIND_MAX: usize = 1024;

/// Where events are published.
#[derive(Debug, Clone)]
pub(crate) struct Hub(broadcast::Sender<Arc<Event>>);

impl Hub {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(BEHIND_MAX).0)
    }

    pub(crate) fn publish(&self, event: Arc<Event>) {
        // Nobody follows: nobody misses it.
        let _ = self.0.send(event);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.0.subscribe()
    }
}
