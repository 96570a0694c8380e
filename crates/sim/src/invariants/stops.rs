//! Stops: for a reason, in order, bounded, and to where the end leads.

use std::collections::BTreeSet;
use std::time::Duration;

use menshen_core::{Effect, Event, RecordKind, Role, RunId, ServiceId, SignalTarget, State};

use super::{Checker, Invariant};
use crate::model::{Next, Service};

/// What survives a kill is killed again at the latest after this long.
const KILL_AGAIN: Duration = Duration::from_secs(30);

/// Whose main process one event had asked to end.
#[derive(Debug, Default)]
pub(super) struct Asked(BTreeSet<ServiceId>);

impl Checker {
    pub(super) fn check_stop(&mut self, event: &Event, effect: &Effect) {
        if let Effect::Kill { run, target } = effect {
            self.check_kill(*run, *target);
        }
        if let Effect::Signal { run, target: SignalTarget::Main, signal } = effect
            && run.role == Role::Main
            && self.model.services.get(&run.service).is_some_and(|service| service.plan.stop.signal == *signal)
        {
            self.asked.0.insert(run.service);
        }
        let Effect::Record(record) = effect else { return };
        let RecordKind::Transition { from, to, .. } = record.kind else { return };
        let Some(id) = record.service.as_ref().and_then(|name| self.model.id(name)) else { return };
        let lives = from == State::Starting || from.is_up();
        if to == State::Stopping {
            self.check_reason(id, from, event);
            self.check_order(id);
        } else if (lives && !to.is_up()) || from == State::Stopping {
            self.check_destination(id, from, to);
        }
    }

    fn check_reason(&mut self, id: ServiceId, from: State, event: &Event) {
        if self.model.reason_to_stop(id, event).is_none() {
            let died = self.model.services.get(&id).is_some_and(|service| service.died);
            let what = if died { "before its death was counted" } else { "for no reason" };
            self.broken(Invariant::StopsForAReason, Some(id), format!("it is stopped {what} (it was {from})"));
        }
    }

    /// Dependants that end too go first, unless the service died or there is a hurry.
    fn check_order(&mut self, id: ServiceId) {
        let Some(service) = self.model.services.get(&id) else { return };
        let cannot_wait = service.next.is_some() || self.model.lost(service).is_some();
        let has_no_choice = cannot_wait || !service.runs.contains_key(&Role::Main);
        if self.model.hurried || has_no_choice || !self.model.is_going_down(service) {
            return;
        }
        let first = self.model.ending_dependants(id).map(|other| other.name.clone()).next();
        if let Some(dependant) = first {
            self.broken(Invariant::StopOrder, Some(id), format!("it is stopped before {dependant}"));
        }
    }

    fn check_destination(&mut self, id: ServiceId, from: State, to: State) {
        let Some(service) = self.model.services.get(&id) else { return };
        let right = if self.model.is_going_down(service) {
            to == State::Stopped
        } else {
            match service.next {
                None => false,
                Some(Next::Wanted) => matches!(to, State::Starting | State::Waiting),
                Some(Next::Stop) => to == State::Stopped,
                Some(Next::Fail) => to == State::Failed,
                Some(Next::Complete) => to == State::Completed,
                Some(Next::Retry(..)) => to == State::Backoff,
                Some(Next::Trip(_)) => to == State::Tripped,
            }
        };
        if !right {
            let what = format!("it goes from {from} to {to}, and its end means {:?}", service.next);
            self.broken(Invariant::EndMeansWhatItMeans, Some(id), what);
        }
    }

    /// A kill reaches what has to go: everything, or the main process alone where the rest may stay.
    fn check_kill(&mut self, run: RunId, target: SignalTarget) {
        let Some(service) = self.model.services.get(&run.service) else { return };
        let Some(current) = service.runs.get(&run.role) else { return };
        let whole = run.role != Role::Main || service.plan.stop.tree || current.ended;
        let reached = if whole { SignalTarget::Tree } else { SignalTarget::Main };
        if target != reached {
            let what = format!("{target:?} of {:?} run {} is killed instead of {reached:?}", run.role, run.number);
            self.broken(Invariant::StopEnds, Some(run.service), what);
        }
    }

    /// The end of a stop command leads to the signal, unless the program has ended or is being killed.
    pub(super) fn check_asked(&mut self, event: &Event) {
        let (Event::Exited { run, .. } | Event::SpawnFailed { run, .. }) = event else { return };
        if run.role != Role::Stop {
            return;
        }
        let Some(service) = self.model.services.get(&run.service) else { return };
        let main_runs = service.runs.get(&Role::Main).is_some_and(|main| !main.ended);
        // Once the stop is over, what runs is the next start.
        let runs_on = service.state == State::Stopping && main_runs;
        if runs_on && service.killed_at.is_none() && !self.asked.0.contains(&run.service) {
            let what = "its stop command has ended, it runs on, and is not asked to end";
            self.broken(Invariant::SignalFollowsCommand, Some(run.service), what);
        }
    }

    /// A stop ends when nothing is left, and until then is on its way to a kill.
    pub(super) fn check_stopping(&mut self, id: ServiceId, event: &Event) {
        let Some(service) = self.model.services.get(&id) else { return };
        if service.state == State::Stopping
            && let Some(what) = self.stop_hangs(service, event)
        {
            self.broken(Invariant::StopEnds, Some(id), what);
        }
    }

    fn stop_hangs(&self, service: &Service, event: &Event) -> Option<String> {
        let timeout = *event == Event::Timeout;
        if service.has_own_runs() {
            let due = service.killed_at.map_or(service.stop_deadline, |at| at + KILL_AGAIN);
            let overdue = timeout && due < self.now && service.runs.contains_key(&Role::Main);
            return overdue.then(|| format!("it should have been killed at {due}"));
        }
        let fallback = service.runs.get(&Role::Fallback);
        let has_to_go = self.model.is_going_down(service) || service.comes_to_rest();
        let trips = matches!(service.next, Some(Next::Trip(_)));
        let may_stay = !has_to_go && (trips || !service.waits_for_fallback());
        match fallback {
            None => Some("nothing of it is left, and it is still stopping".to_owned()),
            Some(_) if may_stay => {
                Some("only its fallback is left, which may stay, and it is still stopping".to_owned())
            }
            Some(run) if run.spawned && service.fallback_asked.is_none() => {
                Some("it waits for the end of its fallback, which nobody asked to end".to_owned())
            }
            Some(_) => None,
        }
    }

    /// What runs has not lost what it cannot do without.
    pub(super) fn check_losses(&mut self, id: ServiceId) {
        let Some(service) = self.model.services.get(&id) else { return };
        if let Some((lost, on_loss)) = self.model.lost(service) {
            let what = format!("it is {} without {lost} (on_loss {on_loss:?})", service.state);
            self.broken(Invariant::OnLoss, Some(id), what);
        }
    }
}
