//! The breaker and its fallback.

use std::time::Duration;

use menshen_core::{BreakerState, Effect, Event, RecordKind, Role, RunId, ServiceId, State};
use menshen_plan::definition::FallbackUntil;

use super::{Checker, Invariant};
use crate::model::{Next, Service};

/// The shortest time between the death of a fallback and its next start.
const FALLBACK_DELAY_MIN: Duration = Duration::from_millis(100);
/// What survives a kill is killed again at the latest after this long.
const KILL_AGAIN: Duration = Duration::from_secs(30);

impl Checker {
    pub(super) fn check_breaker(&mut self, effect: &Effect) {
        match effect {
            Effect::Spawn { run, .. } if run.role == Role::Fallback => self.check_fallback_spawn(*run),
            Effect::Signal { run, .. } if run.role == Role::Fallback => self.check_fallback_end(*run),
            Effect::Spawn { .. }
            | Effect::Signal { .. }
            | Effect::Remember { .. }
            | Effect::Kill { .. }
            | Effect::Freeze { .. }
            | Effect::Thaw { .. }
            | Effect::Probe { .. }
            | Effect::CancelProbe { .. }
            | Effect::DropFds { .. }
            | Effect::Replanned { .. }
            | Effect::Removed { .. }
            | Effect::Record(_)
            | Effect::Alert(_)
            | Effect::Reply(_)
            | Effect::ShutdownComplete { .. } => {}
        }
        let Effect::Record(record) = effect else { return };
        if record.kind == RecordKind::BreakerClosed {
            let id = record.service.as_ref().and_then(|name| self.model.id(name));
            self.check_closes(id);
        }
    }

    /// It closes when a trial has stayed ready for `close_after`.
    fn check_closes(&mut self, id: Option<ServiceId>) {
        let Some(service) = id.and_then(|id| self.model.services.get(&id)) else { return };
        let due = service.ready_since.map(|since| since + service.plan.breaker.close_after);
        let held = service.state == State::Running && due.is_some_and(|due| due <= self.now);
        let completed = service.next == Some(Next::Complete);
        let right = completed || (service.breaker == BreakerState::HalfOpen && held);
        if !right && !service.timers_are_old {
            let what = format!("the breaker closes while it is {:?} and {}", service.breaker, service.state);
            self.broken(Invariant::BreakerKeepsItsRules, id, what);
        }
    }

    fn check_fallback_spawn(&mut self, run: RunId) {
        let Some(service) = self.model.services.get(&run.service) else { return };
        let until = service.plan.breaker.fallback.as_ref().map(|fallback| fallback.until);
        let what = if until.is_none() {
            "there is none in the definition"
        } else if service.breaker == BreakerState::Closed {
            "the breaker is closed"
        } else if self.model.is_going_down(service) || service.comes_to_rest() {
            "the service is not to run"
        } else if until == Some(FallbackUntil::Trial) && service.runs.contains_key(&Role::Main) {
            "the service runs, and they would be in each other's way"
        } else if service.ready {
            "the service is ready"
        } else if service.fallback_died.is_some_and(|at| self.now < at + FALLBACK_DELAY_MIN) {
            "it has died just now, and spins"
        } else {
            return;
        };
        self.broken(Invariant::FallbackStandsIn, Some(run.service), format!("a fallback starts, though {what}"));
    }

    /// A fallback that can run beside the service serves until that is ready.
    fn check_fallback_end(&mut self, run: RunId) {
        let Some(service) = self.model.services.get(&run.service) else { return };
        let serves = service.runs.get(&Role::Fallback).is_some_and(|run| !run.ended);
        if serves && is_needed(service) && !self.model.is_going_down(service) {
            let what = format!("fallback run {} is asked to end while it is needed", run.number);
            self.broken(Invariant::FallbackStandsIn, Some(run.service), what);
        }
    }

    /// Where it is not wanted any more it has been asked to end; and what was asked is killed in the end.
    pub(super) fn check_fallback(&mut self, id: ServiceId, event: &Event) {
        let Some(service) = self.model.services.get(&id) else { return };
        let closes =
            service.ready_since.map(|since| since.max(service.replanned_at) + service.plan.breaker.close_after);
        let overdue = service.breaker == BreakerState::HalfOpen && closes.is_some_and(|at| at < self.now);
        if overdue && *event == Event::Timeout && !service.timers_are_old {
            self.broken(Invariant::BreakerKeepsItsRules, Some(id), "the breaker should have closed");
            return;
        }
        let Some(run) = service.runs.get(&Role::Fallback).filter(|run| run.spawned) else { return };
        let unwanted = service.breaker == BreakerState::Closed || self.model.is_going_down(service) || service.ready;
        if unwanted && service.fallback_asked.is_none() {
            let what = format!("fallback run {} is not needed any more, and nobody asked it to end", run.number);
            self.broken(Invariant::FallbackStandsIn, Some(id), what);
            return;
        }
        let Some(asked) = service.fallback_asked.filter(|_| *event == Event::Timeout) else { return };
        let due = service.fallback_killed.map_or(asked + service.plan.stop.timeout, |at| at + KILL_AGAIN);
        // A changed stop time-out does not move what is under way.
        if due < self.now && service.replanned_at < asked {
            let what = format!("fallback run {} should have been killed at {due}", run.number);
            self.broken(Invariant::FallbackStandsIn, Some(id), what);
        }
    }
}

/// Whether the breaker is not closed, and the fallback may run through everything until the service is ready.
fn is_needed(service: &Service) -> bool {
    let until = service.plan.breaker.fallback.as_ref().map(|fallback| fallback.until);
    let broken = service.breaker != BreakerState::Closed;
    broken && until == Some(FallbackUntil::Ready) && !service.ready && !service.comes_to_rest()
}
