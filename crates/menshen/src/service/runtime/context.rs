//! What a service can ask and say while it runs.

use std::ffi::OsString;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::door::{Asked, Door, Report};
use super::origin::Origin;
use super::request::{Pending, Request, Stop};
use super::sockets::{Sockets, SocketsError};

/// What a service has while it runs: what it is asked, and a [`Handle`] to say something.
#[derive(Debug)]
pub struct Context {
    handle: Handle,
    asked: mpsc::Receiver<Asked>,
    told_to_stop: bool,
}

impl Context {
    pub(super) const fn new(handle: Handle, asked: mpsc::Receiver<Asked>) -> Self {
        Self { handle, asked, told_to_stop: false }
    }

    /// What it is asked next. It can be given up and called again without anything being lost.
    pub async fn next(&mut self) -> Request {
        loop {
            let handle = self.handle.clone();
            let asked = tokio::select! {
                stop = handle.stopped(), if !self.told_to_stop => {
                    self.told_to_stop = true;
                    return Request::Stop(stop);
                }
                Some(asked) = self.asked.recv() => asked,
            };
            if let Some(request) = self.request(asked) {
                return request;
            }
        }
    }

    /// `None` for a stop: that is what the handle knows, and `next` gives it out from there.
    fn request(&self, asked: Asked) -> Option<Request> {
        let pending = |begin: Report, done: Report| {
            self.handle.tell(&begin);
            Pending::new(self.handle.clone(), done)
        };
        match asked {
            Asked::Stop(_) => None,
            Asked::Reload => Some(Request::Reload(pending(Report::Reloading, Report::Reloaded))),
            Asked::Pause => Some(Request::Pause(pending(Report::Pausing, Report::Paused))),
            Asked::Continue => Some(Request::Continue(pending(Report::Continuing, Report::Continued))),
            Asked::Session(change) => Some(Request::Session(change)),
            Asked::Power(event) => Some(Request::Power(event)),
        }
    }

    /// The sockets that the manager has opened for the service. They are given out once; later calls find none.
    ///
    /// # Errors
    /// When what the manager says of them is not so; a service that would listen somewhere else then hides the mistake.
    pub fn sockets(&mut self) -> Result<Sockets, SocketsError> {
        self.handle.door.sockets()
    }

    /// A handle for other tasks.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Deref for Context {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

/// What any task of a service can ask and say. Copies are the same.
#[derive(Debug, Clone)]
pub struct Handle {
    door: Arc<dyn Door>,
    stop: Arc<watch::Sender<Option<StopAt>>>,
}

/// A stop, by the runtime's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct StopAt {
    pub(super) reason: super::request::StopReason,
    pub(super) deadline: Instant,
}

impl StopAt {
    fn told(self) -> Stop {
        Stop { reason: self.reason, deadline: self.deadline.into_std() }
    }
}

impl Handle {
    pub(super) fn new(door: Arc<dyn Door>) -> Self {
        Self { door, stop: Arc::new(watch::Sender::new(None)) }
    }

    /// The service can be used. Until then its manager shows it as starting.
    pub fn ready(&self) {
        self.tell(&Report::Ready);
    }

    /// What the service is doing, in one line, for whoever asks its manager.
    pub fn status(&self, text: impl Into<String>) {
        self.tell(&Report::Status(text.into()));
    }

    /// What the service is doing now (starting, reloading, pausing, stopping) takes at least this much longer. A stop's
    /// deadline is put off by it.
    pub fn more_time(&self, time: Duration) {
        let later = Instant::now() + time;
        self.stop.send_if_modified(|stop| match stop {
            Some(stop) if stop.deadline < later => {
                stop.deadline = later;
                true
            }
            Some(_) | None => false,
        });
        self.tell(&Report::MoreTime(time));
    }

    /// The stop, once it has been asked for.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.stop.borrow().map(StopAt::told)
    }

    /// Waits for the stop. Any number of tasks can.
    pub async fn stopped(&self) -> Stop {
        let mut stop = self.stop.subscribe();
        match stop.wait_for(Option::is_some).await.map(|stop| *stop) {
            Ok(Some(stop)) => stop.told(),
            // The sender is in this very handle, and what was waited for is there.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Who started this process.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.door.origin()
    }

    /// What the manager gave this start, besides the program's own arguments: on Windows those of `sc start NAME …`.
    #[must_use]
    pub fn start_arguments(&self) -> Vec<OsString> {
        self.door.start_arguments()
    }

    /// Has the manager's watchdog fed for as long as a check says that the service is well. The check is made twice in each of
    /// the manager's intervals; one that does not answer in time is not well. Where the manager has no watchdog for this
    /// service, the check is never made.
    pub fn watch<F>(&self, mut check: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = Health> + Send,
    {
        let Some(interval) = self.door.watchdog() else { return };
        let handle = self.clone();
        tokio::spawn(async move {
            let half = interval / 2;
            loop {
                let next = Instant::now() + half;
                match tokio::time::timeout(half, check()).await {
                    Ok(Health::Well) => handle.tell(&Report::Alive),
                    Ok(Health::Unwell) => return handle.tell(&Report::Unwell),
                    // It may be slow once: the manager decides when it has waited long enough.
                    Err(_) => {}
                }
                tokio::time::sleep_until(next).await;
            }
        });
    }

    pub(super) fn tell(&self, report: &Report) {
        self.door.tell(report);
    }

    /// Has everybody know of a stop; only the first counts. Whether this was it.
    pub(super) fn begin_stop(&self, begun: StopAt) -> bool {
        self.stop.send_if_modified(|stop| {
            let is_first = stop.is_none();
            stop.get_or_insert(begun);
            is_first
        })
    }

    /// A stop under way has no more time.
    pub(super) fn stop_now(&self) {
        self.stop.send_modify(|stop| {
            if let Some(stop) = stop {
                stop.deadline = Instant::now();
            }
        });
    }

    /// Waits until a stop has taken longer than it may.
    pub(super) async fn overdue(&self) {
        let mut stop = self.stop.subscribe();
        loop {
            let deadline = stop.borrow_and_update().map(|stop| stop.deadline);
            let at_deadline = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = at_deadline => return,
                _ = stop.changed() => {}
            }
        }
    }
}

/// What a check of a service found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It is well.
    Well,
    /// It is not, and should be restarted.
    Unwell,
}
