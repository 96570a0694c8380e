//! Starts: only what is wanted, in time, and with everything it needs.

use menshen_core::{Effect, Event, RecordKind, Role, RunId, ServiceId, State, Wanted};
use menshen_plan::ServicePlan;

use super::{Checker, Invariant};

impl Checker {
    pub(super) fn check_start(&mut self, event: &Event, effect: &Effect) {
        if let Effect::Spawn { run, plan, .. } = effect {
            self.check_spawn(*run, plan);
        }
        let Effect::Record(record) = effect else { return };
        let RecordKind::Transition { from, to, .. } = record.kind else { return };
        let Some(id) = record.service.as_ref().and_then(|name| self.model.id(name)) else { return };
        if matches!(to, State::Starting | State::Waiting) {
            self.check_is_asked(id, from, to);
        }
        if from == State::Starting && to == State::Running {
            self.check_is_up(id);
        }
        if from == State::Pausing && to == State::Continuing {
            self.check_freezing_failed(id, event);
        }
    }

    fn check_spawn(&mut self, run: RunId, plan: &ServicePlan) {
        let Some(service) = self.model.services.get(&run.service) else { return };
        if self.model.shutting_down && run.role != Role::Stop {
            let what = format!("{:?} run {} is spawned although the guard was told to stop", run.role, run.number);
            self.broken(Invariant::NothingAfterShutdown, Some(run.service), what);
        } else if run.role == Role::Main && *plan != *service.newest {
            self.broken(Invariant::NewestDefinition, Some(run.service), "it is started by an old definition");
        }
    }

    fn check_is_asked(&mut self, id: ServiceId, from: State, to: State) {
        let Some(service) = self.model.services.get(&id) else { return };
        let early = service.wait.is_some_and(|(earliest, _)| self.now < earliest);
        let unasked = match from {
            State::Stopped | State::Completed | State::Failed => !service.due,
            State::Backoff | State::Tripped => early && !service.due,
            State::Stopping => service.next != Some(crate::model::Next::Wanted),
            State::Waiting => false,
            State::Starting | State::Running | State::Pausing | State::Paused | State::Continuing => true,
        };
        if unasked || service.wanted == Wanted::Down || service.gone {
            let what = format!(
                "it goes from {from} to {to}, though nobody asked (wanted {}, next {:?}, may leave {:?})",
                service.wanted, service.next, service.wait
            );
            self.broken(Invariant::NothingStartsUnasked, Some(id), what);
        } else if to == State::Starting && self.model.is_delayed(service) {
            let what = "it is delayed, and others have not come up";
            self.broken(Invariant::DependenciesHold, Some(id), what);
        } else if let Some(missing) = self.model.missing(service).filter(|_| to == State::Starting) {
            let what = format!("it starts without {missing}");
            self.broken(Invariant::DependenciesHold, Some(id), what);
        }
    }

    fn check_is_up(&mut self, id: ServiceId) {
        if self.model.services.get(&id).is_some_and(|service| !service.shows_up()) {
            self.broken(Invariant::EvidenceDecides, Some(id), "it is called up and has not shown it");
        }
    }

    /// Out of Pausing, other than by command, only when freezing failed: it was said, or took too long.
    fn check_freezing_failed(&mut self, id: ServiceId, event: &Event) {
        let failed = matches!(event, Event::FreezeFailed { run, .. } if run.service == id);
        // A start of another service may need this one.
        let asked = matches!(event, Event::Command { .. });
        if !failed && !asked && *event != Event::Timeout {
            self.broken(Invariant::StatusIsTrue, Some(id), "it is thawed for no reason");
        }
    }

    /// What waits, waits for something.
    pub(super) fn check_waiting(&mut self, id: ServiceId) {
        let Some(service) = self.model.services.get(&id) else { return };
        let blocked =
            self.model.missing(service).is_some() || self.model.is_delayed(service) || service.waits_for_fallback();
        let asked = service.due && service.state.is_at_rest() && !service.has_runs();
        if service.state == State::Waiting && !blocked {
            self.broken(Invariant::WaitsForSomething, Some(id), "it waits, and everything it needs is there");
        } else if asked && !self.model.is_going_down(service) {
            let what = format!("it is {}, was asked to start, and does nothing", service.state);
            self.broken(Invariant::WaitsForSomething, Some(id), what);
        }
    }
}
