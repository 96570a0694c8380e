//! Deaths: counted once each, and forgotten in time.

use menshen_core::{Effect, Event, RecordKind, ServiceId, State};
use menshen_plan::definition::AlertKind;

use super::{Checker, Invariant};

impl Checker {
    pub(super) fn check_count(&mut self, effect: &Effect) {
        match effect {
            Effect::Alert(alert) if alert.kind == AlertKind::Restarting => {
                let id = alert.service.as_ref().and_then(|name| self.model.id(name));
                let died = id.and_then(|id| self.model.services.get(&id)).is_some_and(|service| service.died);
                if !died {
                    self.broken(Invariant::DeathsCount, id, format!("counted what is no death: {}", alert.text));
                }
            }
            Effect::Record(record) if record.kind == RecordKind::Forgotten => {
                let id = record.service.as_ref().and_then(|name| self.model.id(name));
                self.check_forgotten(id);
            }
            Effect::Alert(_)
            | Effect::Record(_)
            | Effect::Remember { .. }
            | Effect::Spawn { .. }
            | Effect::Signal { .. }
            | Effect::Kill { .. }
            | Effect::Freeze { .. }
            | Effect::Thaw { .. }
            | Effect::Probe { .. }
            | Effect::CancelProbe { .. }
            | Effect::DropFds { .. }
            | Effect::Replanned { .. }
            | Effect::Removed { .. }
            | Effect::Reply(_)
            | Effect::ShutdownComplete { .. } => {}
        }
    }

    fn check_forgotten(&mut self, id: Option<ServiceId>) {
        let Some(service) = id.and_then(|id| self.model.services.get(&id)) else { return };
        let due = service.ready_since.map(|since| since + service.plan.restart.rules.reset_after);
        let is_due = service.state == State::Running && due.is_some_and(|due| due <= self.now);
        if !is_due && !service.timers_are_old {
            let what = format!(
                "the count is forgotten while it is {}, ready since {:?}",
                service.state,
                service.ready_since.map(|since| since.to_string())
            );
            self.broken(Invariant::ForgottenInTime, id, what);
        }
    }

    pub(super) fn check_counts(&mut self, id: ServiceId, event: &Event) {
        let Some(service) = self.model.services.get_mut(&id) else { return };
        if std::mem::take(&mut service.died) {
            self.broken(Invariant::DeathsCount, Some(id), "it died, and that was not counted");
            return;
        }
        // A changed `reset_after` counts from the change.
        let from = service.ready_since.map(|since| since.max(service.replanned_at));
        let due = from.map(|from| from + service.plan.restart.rules.reset_after);
        let overdue = service.state == State::Running && service.restarts > 0 && due.is_some_and(|due| due < self.now);
        if overdue && *event == Event::Timeout && !service.timers_are_old {
            self.broken(Invariant::ForgottenInTime, Some(id), "the count should have been forgotten");
        }
    }
}
