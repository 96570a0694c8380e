//! What has to come true once nothing disturbs any more.

use std::collections::BTreeMap;

use menshen_core::{BreakerState, Effect, ServiceId, State, Wanted};
use menshen_plan::ServiceName;
use menshen_plan::definition::{AlertKind, StartType};

use super::{Checker, Invariant};
use crate::model::Service;
use crate::world::World;

/// Services about which people were told that something is wrong, and not that it is over.
pub(super) type OpenAlerts = BTreeMap<ServiceName, AlertKind>;

impl Checker {
    /// Keeps count of what people were told. What a dying guard did not come to tell is not waited for, and neither is the
    /// end of what was told if that was lost with it.
    pub fn note_alert(&mut self, effect: &Effect, carried_out: bool) {
        if let Effect::Removed { service } = effect
            && let Some(service) = self.model.services.get(service)
        {
            self.alerts.remove(&service.name);
        }
        let Effect::Alert(alert) = effect else { return };
        let Some(service) = &alert.service else { return };
        match alert.kind {
            AlertKind::Tripped | AlertKind::Failed | AlertKind::Unhealthy if !carried_out => {}
            AlertKind::Tripped | AlertKind::Failed | AlertKind::Unhealthy => {
                self.alerts.insert(service.clone(), alert.kind);
            }
            AlertKind::Recovered => {
                self.alerts.remove(service);
            }
            AlertKind::Restarting | AlertKind::Limit | AlertKind::Trouble => {}
        }
    }

    /// What is not yet as it has to be in the end, if anything.
    #[must_use]
    pub fn unsettled(&self, world: &World) -> Option<(Invariant, ServiceId, String)> {
        self.model.services.iter().find_map(|(id, service)| {
            let wanted = self.not_where_wanted(service, world).map(|what| (Invariant::WantedWins, *id, what));
            let open = self.alerts.get(&service.name).filter(|_| service.state == State::Running && service.ready);
            let open = open.map(|kind| (Invariant::AlertsEnd, *id, format!("{kind:?} was told, and not its end")));
            wanted.or(open)
        })
    }

    /// Everything has behaved for long: what is still unsettled never will be.
    pub fn check_settled(&mut self, world: &World) {
        if let Some((invariant, id, what)) = self.unsettled(world) {
            self.broken(invariant, Some(id), what);
        }
    }

    fn not_where_wanted(&self, service: &Service, world: &World) -> Option<String> {
        let state = service.state;
        let lives = world.living_of(&service.name, menshen_core::Role::Fallback).next().is_some();
        let what = match (service.wanted, state) {
            (Wanted::Down, State::Stopped | State::Completed | State::Failed) => return None,
            (Wanted::Up | Wanted::Paused, State::Stopped | State::Failed) if service.rests => return None,
            (Wanted::Up | Wanted::Paused, State::Stopped) if service.plan.start == StartType::Disabled => return None,
            (Wanted::Up | Wanted::Paused, State::Completed) => return None,
            // A trial waits for what the service needs, like any start.
            (Wanted::Up | Wanted::Paused, State::Waiting | State::Tripped) => return self.waits_in_vain(service),
            (Wanted::Paused, State::Paused) if self.is_frozen(service, world) => return None,
            (Wanted::Paused, State::Paused) => "its tree is not frozen",
            (Wanted::Up, State::Running) if lives => "its fallback still runs",
            (Wanted::Up, State::Running) if self.is_frozen(service, world) => "its tree is frozen",
            (Wanted::Up, State::Running) if !service.ready => "it is not ready",
            (Wanted::Up, State::Running) if service.breaker != BreakerState::Closed => "its breaker is not closed",
            (Wanted::Up, State::Running) if service.restarts > 0 => "its restarts are not forgotten",
            (Wanted::Up, State::Running) => return None,
            (Wanted::Up | Wanted::Down | Wanted::Paused, _) => "that is not the same",
        };
        Some(format!("it is {state}, wanted {}: {what}", service.wanted))
    }

    /// Waiting is right as long as what it waits for has itself come to where it is wanted.
    fn waits_in_vain(&self, service: &Service) -> Option<String> {
        let Some(missing) = self.model.missing(service).and_then(|name| self.model.id(&name)) else {
            return Some(format!("it is {}, and nothing is missing", service.state));
        };
        let missing = self.model.services.get(&missing)?;
        let stays =
            missing.state.is_at_rest() || matches!(missing.state, State::Waiting | State::Tripped | State::Paused);
        (!stays).then(|| format!("it waits for {}, which is {}", missing.name, missing.state))
    }

    fn is_frozen(&self, service: &Service, world: &World) -> bool {
        world.living_of(&service.name, menshen_core::Role::Main).any(|tree| tree.is_frozen() && !tree.let_go)
    }
}
