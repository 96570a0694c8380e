//! Who asked for the guard's end: the answer is to be with them before the guard is gone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How long the guard's end waits for connections that are to end; who does not read the answer does not get it.
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);

/// The connections of those who asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Farewells(Arc<Mutex<Vec<oneshot::Receiver<()>>>>);

/// What is left to be said when the guard ends.
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct Farewell(Vec<oneshot::Receiver<()>>);

impl Farewells {
    /// One more, which ends when its connection does.
    pub(crate) fn add(&self, answered: oneshot::Receiver<()>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain_mut(|answered| answered.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        waiting.push(answered);
    }

    /// Everything that is to be waited for; nothing is kept.
    pub(crate) fn take(&self) -> Farewell {
        Farewell(std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Farewell {
    /// Waits until all of it has been said.
    pub(crate) async fn said(self) {
        let all = async {
            for answered in self.0 {
                // It is never sent: it is dropped with the connection.
                let _ = answered.await;
            }
        };
        // Whoever does not read has been waited for.
        let _ = tokio::time::timeout(FAREWELL_WITHIN, all).await;
    }
}
