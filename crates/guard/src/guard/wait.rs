//! Those who wait for a service to come to a state.

use menshen_api::types::{Service, WaitFor};
use menshen_api::{Problem, ProblemCode};
use menshen_core::{ServiceId, ServiceStatus, State, Wanted};
use tokio::sync::oneshot;

use super::Guard;

/// How many may wait at once; each holds a connection, of which there are fewer.
const WAITERS_MAX: usize = 1024;

/// Everybody who waits.
#[derive(Default)]
pub(super) struct Waiters(Vec<Waiter>);

struct Waiter {
    service: ServiceId,
    name: String,
    until: WaitFor,
    reply: oneshot::Sender<Result<Service, Problem>>,
}

/// Whether what is waited for is so, may still come, or cannot.
enum Verdict {
    Yes,
    NotYet,
    Never(String),
}

impl Guard {
    pub(super) fn begin_wait(
        &mut self,
        name: String,
        until: WaitFor,
        reply: oneshot::Sender<Result<Service, Problem>>,
    ) {
        let Some(service) = self.core.id(&name) else {
            let _ = reply.send(Err(super::request::no_such_service(&name)));
            return;
        };
        self.waiters.0.retain(|waiter| !waiter.reply.is_closed());
        if self.waiters.0.len() >= WAITERS_MAX {
            let _ = reply.send(Err(Problem::new(ProblemCode::Busy, "too many callers are waiting")));
            return;
        }
        self.waiters.0.push(Waiter { service, name, until, reply });
        self.moved = true;
    }

    /// Answers those for whom it is so, or never will be.
    pub(super) fn settle_waiters(&mut self) {
        if !std::mem::take(&mut self.moved) {
            return;
        }
        self.end_if_at_rest();
        if self.waiters.0.is_empty() {
            return;
        }
        // Who hears of a state may ask for the events that led to it.
        self.tell();
        let waiting = std::mem::take(&mut self.waiters.0);
        for waiter in waiting {
            let verdict = match self.core.status(waiter.service) {
                Some(status) => verdict(&status, waiter.until),
                None if waiter.until == WaitFor::Stopped => Verdict::Yes,
                None => Verdict::Never(format!("'{}' is gone from the definition", waiter.name)),
            };
            let answer = match verdict {
                Verdict::NotYet => {
                    self.waiters.0.push(waiter);
                    continue;
                }
                Verdict::Yes => self.show(waiter.service).ok_or_else(|| super::request::no_such_service(&waiter.name)),
                Verdict::Never(detail) => Err(Problem::new(ProblemCode::WaitFailed, detail)),
            };
            // Who waited may have gone.
            let _ = waiter.reply.send(answer);
        }
    }
}

fn verdict(status: &ServiceStatus, until: WaitFor) -> Verdict {
    let at_rest = status.state.is_at_rest();
    let reached = match until {
        WaitFor::Running => status.state == State::Running || status.state == State::Completed,
        WaitFor::Ready => status.ready,
        WaitFor::Paused => status.state == State::Paused,
        WaitFor::Stopped => at_rest,
    };
    let stays_away = match until {
        WaitFor::Running | WaitFor::Ready | WaitFor::Paused => at_rest && !status.due || status.wanted == Wanted::Down,
        WaitFor::Stopped => status.wanted != Wanted::Down && status.state == State::Running,
    };
    if reached {
        Verdict::Yes
    } else if stays_away {
        Verdict::Never(format!("'{}' is {}: {}", status.name, status.state, status.reason))
    } else {
        Verdict::NotYet
    }
}
