//! Waiting for more to be written to a log.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// What is rung when something was written. It costs nothing while nobody waits.
#[derive(Debug, Clone)]
pub(super) struct Bell(Arc<watch::Sender<u64>>);

/// Waits for more to be written to one service's log. Take it before reading; what is written after that is never missed.
#[derive(Debug)]
pub struct Follow {
    /// Carries how many runs have ended.
    receiver: watch::Receiver<u64>,
    runs_ended: u64,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There is more to read.
    Written,
    /// The program's run is over: a last line without an end stays without one.
    RunEnded,
    /// Nothing more will be written.
    Detached,
}

impl Bell {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub(super) fn written(&self) {
        if self.0.receiver_count() > 0 {
            self.0.send_modify(|_| ());
        }
    }

    pub(super) fn run_ended(&self) {
        self.0.send_modify(|runs_ended| *runs_ended += 1);
    }

    pub(super) fn follow(&self) -> Follow {
        let receiver = self.0.subscribe();
        let runs_ended = *receiver.borrow();
        Follow { receiver, runs_ended }
    }
}

impl Follow {
    /// Waits until something is written or happens. Safe to cancel.
    pub async fn changed(&mut self) -> Change {
        if self.receiver.changed().await.is_err() {
            return Change::Detached;
        }
        let runs_ended = *self.receiver.borrow_and_update();
        if runs_ended == self.runs_ended {
            return Change::Written;
        }
        self.runs_ended = runs_ended;
        Change::RunEnded
    }

    /// The same for a thread that has nothing else to do. `None` if nothing happened for so long.
    pub fn wait(&mut self, timeout: Duration) -> Option<Change> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let end = Instant::now().checked_add(timeout);
        let mut changed = pin!(self.changed());
        loop {
            if let Poll::Ready(change) = changed.as_mut().poll(&mut context) {
                return Some(change);
            }
            match end.map(|end| end.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return None,
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_follower_is_told_of_what_came_before_it_waited() {
        let bell = Bell::new();
        let mut follow = bell.follow();
        assert_eq!(follow.wait(Duration::ZERO), None);
        bell.written();
        assert_eq!(follow.wait(LONG), Some(Change::Written));
        bell.written();
        bell.run_ended();
        bell.written();
        assert_eq!(follow.wait(LONG), Some(Change::RunEnded));
        assert_eq!(follow.wait(Duration::ZERO), None);
        drop(bell);
        assert_eq!(follow.wait(LONG), Some(Change::Detached));
    }

    #[test]
    fn a_waiting_follower_is_woken_by_another_thread() {
        let bell = Bell::new();
        let mut follow = bell.follow();
        thread::scope(|scope| {
            scope.spawn(|| bell.written());
            assert_eq!(follow.wait(LONG), Some(Change::Written));
        });
    }
}
