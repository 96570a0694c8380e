//! Waits: never longer than they may be, never shorter, and over when they are over.

use menshen_core::{Event, Instant, ServiceId, ServiceStatus, State};

use super::{Checker, Invariant};

impl Checker {
    pub(super) fn check_waits(&mut self, id: ServiceId, event: &Event, status: &ServiceStatus) {
        if !matches!(status.state, State::Backoff | State::Tripped) {
            return;
        }
        let Some(service) = self.model.services.get_mut(&id) else { return };
        let Some((earliest, latest)) = service.wait else { return };
        if let Some(at) = status.next_start {
            // Known exactly from now on.
            service.wait = Some((at, at));
            if at < earliest || at > latest {
                let what = format!("it waits until {at}, and should until {}", between(earliest, latest));
                self.broken(Invariant::WaitsAreBounded, Some(id), what);
            }
            return;
        }
        if *event != Event::Timeout || latest > self.now {
            return;
        }
        self.check_leaves(id, status.state, latest);
    }

    /// What has waited long enough goes on; only a trial that has something in its way stays.
    fn check_leaves(&mut self, id: ServiceId, state: State, until: Instant) {
        let Some(service) = self.model.services.get(&id) else { return };
        let blocked = state == State::Tripped && self.model.missing(service).is_some();
        let in_its_way = blocked || service.waits_for_fallback();
        if !in_its_way && !self.model.is_going_down(service) {
            self.broken(Invariant::WaitsAreBounded, Some(id), format!("it is {state} and was to go on at {until}"));
        }
    }
}

fn between(earliest: Instant, latest: Instant) -> String {
    if earliest == latest { earliest.to_string() } else { format!("{earliest} to {latest}") }
}
