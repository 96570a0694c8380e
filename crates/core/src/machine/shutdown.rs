//! The guard's own end: everything is stopped in order, and nothing is started any more.

use std::time::Duration;

use super::Core;
use crate::effect::{Effect, Record, RecordKind};
use crate::event::ServiceId;
use crate::service::Service;
use crate::state::State;
use crate::time::Instant;

/// Processes that survive SIGKILL this long (uninterruptible sleep) no longer keep the guard from ending.
const UNKILLABLE_MAX: Duration = Duration::from_secs(30);
/// So many kills are behind a stop that waited [`UNKILLABLE_MAX`]: 1 + 2 + 4 + 8 + 16 seconds.
const UNKILLABLE_KILLS: u32 = 5;

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    code: u8,
    complete: bool,
    hurried: bool,
    /// When to look again whether only the unkillable is left.
    look_at: Option<Instant>,
}

impl Shutdown {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.look_at.filter(|_| !self.complete)
    }
}

impl Core {
    /// Stops everything. A second call in a hurry kills what a first one asked.
    pub(super) fn shut_down(&mut self, reason: &str, hurry: bool, code: u8) {
        let first = self.shutdown.is_none();
        let shutdown = self.shutdown.get_or_insert(Shutdown { code, complete: false, hurried: false, look_at: None });
        if !first && (!hurry || shutdown.hurried) {
            return;
        }
        shutdown.hurried |= hurry;
        self.delay_until = None;
        let record = Record { service: None, kind: RecordKind::ShuttingDown, reason: reason.to_owned(), by: None };
        self.batch.push(Effect::Record(record));
        let ids: Vec<ServiceId> = self.services.keys().copied().collect();
        let reason = format!("the guard is shutting down: {reason}");
        for id in ids {
            self.end_one(id, &reason, hurry);
            self.changed.insert(id);
        }
    }

    fn end_one(&mut self, id: ServiceId, reason: &str, hurry: bool) {
        self.with_service(id, |service, context| {
            let lives = service.state() == State::Starting || service.state().is_up();
            match (hurry, service.state()) {
                (true, State::Stopping) => service.kill(context),
                (true, _) if lives => service.begin_kill(context, service.after_going_down(reason), reason),
                (true | false, State::Stopping | State::Failed) => {}
                (true | false, _) => service.go_down(context, reason.to_owned()),
            }
            if hurry && service.life.fallback.run.is_some() {
                service.kill_fallback(context);
            }
        });
    }

    /// What concerns the guard as a whole once a service has changed.
    pub(super) fn look_at_whole(&mut self, id: ServiceId) {
        let failed =
            self.services.get(&id).filter(|service| service.plan.essential && service.state() == State::Failed);
        if let Some(reason) = failed
            .filter(|_| self.shutdown.is_none())
            .map(|service| format!("'{}' is essential and has failed", service.plan.name))
        {
            self.shut_down(&reason, false, 7);
        }
    }

    pub(super) fn check_shutdown_deadline(&mut self) {
        let due = self.shutdown.as_ref().and_then(Shutdown::deadline).is_some_and(|at| at <= self.now);
        if due {
            self.complete_shutdown_if_over(true);
        }
    }

    /// Ends the guard when nothing lives any more, or, at the deadline, nothing but what cannot be killed.
    pub(super) fn complete_shutdown_if_over(&mut self, deadline: bool) {
        if self.shutdown.as_ref().is_none_or(|shutdown| shutdown.complete) {
            return;
        }
        let mut living = self.services.values().filter(|service| service.has_processes()).peekable();
        let empty = living.peek().is_none();
        let stuck = !empty && living.all(Service::is_unkillable);
        let given_up = stuck && deadline;
        let now = self.now;
        let Some(shutdown) = &mut self.shutdown else { return };
        if empty || given_up {
            shutdown.complete = true;
            let code = if given_up { shutdown.code.max(1) } else { shutdown.code };
            self.batch.push(Effect::ShutdownComplete { code });
        } else if stuck && shutdown.look_at.is_none() {
            shutdown.look_at = Some(now + UNKILLABLE_MAX);
        } else if deadline {
            shutdown.look_at = None;
        }
    }
}

impl Service {
    /// Whether all that is left of it has survived every kill so far.
    const fn is_unkillable(&self) -> bool {
        let own_survives = self.life.kills >= UNKILLABLE_KILLS;
        let fallback_survives = self.life.fallback.kills >= UNKILLABLE_KILLS;
        (own_survives || (self.life.main.is_none() && self.life.stopper.is_none()))
            && (fallback_survives || self.life.fallback.run.is_none())
    }
}
