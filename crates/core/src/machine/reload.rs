//! Following a changed definition: each service pays only for what changed of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use menshen_plan::definition::StartType;
use menshen_plan::diff::{PlanDiff, ServiceDiff};
use menshen_plan::{Cost, Plan, ServiceName, ServicePlan, diff};
use serde::Serialize;

use super::Core;
use crate::effect::{Effect, Record, RecordKind, SignalTarget};
use crate::event::ServiceId;
use crate::service::{After, Context, Service, default_wanted};
use crate::state::{State, Wanted};
use crate::timer::Timer;

/// What comes of a change for a service, the way it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds from now on.
    Live,
    /// The program gets its reload signal.
    Signal,
    /// The program is stopped and started.
    Restart,
    /// What waited for its next start does not wait any longer.
    Start,
    /// No program runs that the change could be for: the next one follows it.
    NextStart,
    /// The service is added.
    New,
    /// The service is stopped and removed.
    Gone,
}

impl Outcome {
    const fn told(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Signal => "signalled",
            Self::Restart => "restarted",
            Self::Start => "started",
            Self::NextStart => "changed for its next start",
            Self::New => "new",
            Self::Gone => "gone",
        }
    }
}

impl Core {
    /// What would change with another plan now, and what would come of it for each service that changes.
    #[must_use]
    pub fn foresee(&self, plan: &Plan) -> (PlanDiff, BTreeMap<ServiceName, Outcome>) {
        let changes = self.changes(plan);
        let outcomes = changes.services.iter().map(|change| (change.name.clone(), self.outcome(change))).collect();
        (changes, outcomes)
    }

    /// How another plan differs from the one that is followed, and from what programs were started with: one that an earlier
    /// guard started may differ from either.
    fn changes(&self, plan: &Plan) -> PlanDiff {
        let mut changes = diff(&self.plan, plan);
        let mut of_plans = std::mem::take(&mut changes.services).into_iter().peekable();
        for name in plan.services.keys() {
            let change = of_plans.next_if(|change| change.name == *name);
            changes.services.extend(self.change_of_what_runs(name, plan, change));
        }
        changes.services.extend(of_plans);
        changes
    }

    /// What was changed while no guard was there has not been followed yet, and what was changed back need not be.
    fn change_of_what_runs(&self, name: &ServiceName, plan: &Plan, change: Option<ServiceDiff>) -> Option<ServiceDiff> {
        let service = self.ids.get(name).and_then(|id| self.services.get(id)).filter(|service| !service.gone);
        let Some((service, new)) = service.zip(plan.services.get(name)) else { return change };
        let definition = service.earlier_definition().map(|earlier| earlier != new.fingerprint);
        let can_be_told = new.reload.signal.is_some() && new.configuration.is_some();
        let is_to_be_told = |earlier| can_be_told && new.configuration != Some(earlier);
        let configuration = service.earlier_configuration().map(is_to_be_told);
        let needs = [(Cost::Restart, definition), (Cost::Signal, configuration)];
        needs.into_iter().fold(change, |change, (cost, is_needed)| match (is_needed, change) {
            (None, change) => change,
            (Some(false), change) => change.map(|change| change.without(cost)),
            (Some(true), Some(change)) => Some(ServiceDiff { cost: change.cost.max(cost), ..change }),
            (Some(true), None) => Some(ServiceDiff { name: name.clone(), cost, changes: Vec::new() }),
        })
    }

    fn outcome(&self, change: &ServiceDiff) -> Outcome {
        let service = self.ids.get(&change.name).and_then(|id| self.services.get(id));
        match change.cost {
            Cost::Live => Outcome::Live,
            Cost::New => Outcome::New,
            Cost::Gone => Outcome::Gone,
            Cost::Signal if service.is_some_and(Service::main_lives) => Outcome::Signal,
            Cost::Restart => service.map_or(Outcome::NextStart, |service| self.outcome_of_restart(service)),
            Cost::Signal => Outcome::NextStart,
        }
    }

    fn outcome_of_restart(&self, service: &Service) -> Outcome {
        let ends = self.shutdown.is_some() || service.gone || service.life.wanted == Wanted::Down;
        match service.state() {
            State::Backoff | State::Tripped if !ends => Outcome::Start,
            State::Starting | State::Running | State::Pausing | State::Paused | State::Continuing if !ends => {
                Outcome::Restart
            }
            State::Stopped
            | State::Waiting
            | State::Starting
            | State::Running
            | State::Pausing
            | State::Paused
            | State::Continuing
            | State::Stopping
            | State::Backoff
            | State::Tripped
            | State::Completed
            | State::Failed => Outcome::NextStart,
        }
    }

    pub(super) fn reload(&mut self, plan: &Arc<Plan>, by: &str) {
        let changes = self.changes(plan);
        let reason = if changes.is_empty() {
            "nothing changed".to_owned()
        } else {
            let told = |change: &ServiceDiff| format!("{} {}", change.name, self.outcome(change).told());
            let words: Vec<String> = changes.services.iter().map(told).collect();
            if words.is_empty() { "the guard's own settings".to_owned() } else { words.join(", ") }
        };
        self.plan = Arc::clone(plan);
        self.batch.push(Effect::Record(Record {
            service: None,
            kind: RecordKind::Reloaded,
            reason,
            by: Some(by.to_owned()),
        }));
        let mut newly_wanted = Vec::new();
        for change in changes.services {
            let id = self.ids.get(&change.name).copied();
            match (change.cost, id, plan.services.get(&change.name)) {
                (Cost::Gone, Some(id), _) => self.forget(id, by),
                (Cost::New, Some(id), Some(service)) => newly_wanted.extend(self.welcome_back(id, service)),
                (Cost::New, None, Some(service)) => newly_wanted.push(self.welcome(service)),
                (cost @ (Cost::Live | Cost::Signal | Cost::Restart), Some(id), Some(service)) => {
                    newly_wanted.extend(self.replan(id, service, cost));
                }
                (Cost::Live | Cost::Signal | Cost::Restart | Cost::New | Cost::Gone, _, _) => {}
            }
        }
        self.follow_what_is_written_otherwise(plan);
        self.link();
        // Only now that all are known: a new one may need another new one, wherever that stands in the definition.
        if self.begun && self.shutdown.is_none() {
            newly_wanted.into_iter().for_each(|id| self.begin_one(id));
        }
        // Dependencies may have changed too, so that a service may start, or must wait.
        self.changed.extend(self.services.keys().copied());
    }

    /// What comes to the same has another fingerprint where it is written otherwise: the next guard must know that one.
    fn follow_what_is_written_otherwise(&mut self, plan: &Plan) {
        let others = plan.services.iter().filter_map(|(name, new)| {
            let id = *self.ids.get(name)?;
            let service = self.services.get(&id).filter(|service| !service.gone)?;
            let followed = service.next_plan.as_ref().unwrap_or(&service.plan);
            (followed.fingerprint != new.fingerprint).then(|| (id, Arc::clone(new)))
        });
        let others: Vec<_> = others.collect();
        for (id, new) in others {
            self.replan(id, &new, Cost::Live);
        }
    }

    /// A service that is no longer in the definition ends, and is forgotten when it has.
    fn forget(&mut self, id: ServiceId, by: &str) {
        self.with_service(id, |service, context| {
            service.gone = true;
            service.next_plan = None;
            service.go_down(context, format!("removed from the definition by {by}"));
        });
    }

    /// A service that is new.
    fn welcome(&mut self, plan: &Arc<ServicePlan>) -> ServiceId {
        let id = self.add(Arc::clone(plan));
        self.batch.push(Effect::Replanned { service: id, plan: Arc::clone(plan) });
        if let Some(service) = self.services.get_mut(&id) {
            service.life.delayed = false;
        }
        self.touched.insert(id);
        id
    }

    /// A service that is back in the definition before its end. It is returned if it is newly wanted.
    fn welcome_back(&mut self, id: ServiceId, plan: &Arc<ServicePlan>) -> Option<ServiceId> {
        self.with_service(id, |service, context| {
            service.gone = false;
            service.life.stop_held = false;
            if !service.life.wanted_by_operator {
                service.life.wanted = default_wanted(plan.start);
            }
            context.changed.insert(id);
        });
        let newly_wanted = self.replan(id, plan, Cost::Restart);
        self.with_service(id, |service, _| {
            if service.state() == State::Stopping && service.life.wanted != Wanted::Down {
                service.life.after = Some(After::Wanted { reason: "back in the definition".to_owned() });
            }
        });
        newly_wanted
    }

    /// A service whose definition changed. It is returned if it is newly wanted.
    fn replan(&mut self, id: ServiceId, plan: &Arc<ServicePlan>, cost: Cost) -> Option<ServiceId> {
        let newly_wanted = self.with_service(id, |service, context| {
            context.changed.insert(id);
            let newly_wanted = service.follow_start_type(plan);
            service.follow(context, plan, cost);
            newly_wanted
        });
        newly_wanted.filter(|newly_wanted| *newly_wanted).map(|_| id)
    }

    pub(super) fn remove_if_gone(&mut self, id: ServiceId) {
        let Some(service) = self.services.get(&id) else { return };
        if service.gone && service.state().is_at_rest() && !service.has_processes() {
            // What it needed may have waited with its own end for this.
            self.changed.extend(service.plan.depends_on.keys().filter_map(|name| self.ids.get(name)));
            self.timers.cancel_all(id);
            self.ids.remove(&service.plan.name);
            self.services.remove(&id);
            self.changed.remove(&id);
            self.batch.push(Effect::Removed { service: id });
            self.link();
        }
    }
}

impl Service {
    /// A changed start type starts what was not wanted before, or could not be, and never stops what runs. Whether it did.
    fn follow_start_type(&mut self, plan: &ServicePlan) -> bool {
        let before = self.life.wanted;
        let was_disabled = self.plan.start == StartType::Disabled && plan.start != StartType::Disabled;
        if was_disabled && before != Wanted::Down && self.state() == State::Stopped {
            return true;
        }
        if !self.life.wanted_by_operator && self.plan.start != plan.start && before == Wanted::Down {
            self.life.wanted = default_wanted(plan.start);
        }
        self.life.wanted != before
    }

    /// Follows a new plan, now or, where that costs a restart, when what runs by the old one has ended.
    fn follow(&mut self, context: &mut Context<'_>, plan: &Arc<ServicePlan>, cost: Cost) {
        let was_waiting_for_another = self.next_plan.replace(Arc::clone(plan)).is_some();
        let lives = self.life.main.is_some();
        if lives && (cost == Cost::Restart || was_waiting_for_another) {
            if self.state() != State::Stopping && !self.is_going_down(context) {
                let reason = "its definition changed".to_owned();
                self.begin_stop(context, After::Wanted { reason: reason.clone() }, reason);
            }
            return;
        }
        let old = Arc::clone(&self.plan);
        self.adopt_next_plan(context);
        if cost < Cost::Restart && !was_waiting_for_another && self.life.definition == Some(old.fingerprint) {
            // Written otherwise, it is the same.
            self.life.definition = Some(self.plan.fingerprint);
        }
        if old.probes != plan.probes || old.kind != plan.kind {
            self.probes_changed(context);
        }
        self.move_timers(context, &old);
        match (cost, self.state()) {
            // The change may be the mend: there is no sense in waiting.
            (Cost::Restart, State::Backoff | State::Tripped) => self.make_due(context, "its definition changed"),
            (Cost::Signal, _) => self.read_again(context),
            (Cost::Live | Cost::Restart | Cost::New | Cost::Gone, _) => {}
        }
    }

    /// What was to come after a time of the old plan comes after that of the new one, counted from now.
    fn move_timers(&self, context: &mut Context<'_>, old: &ServicePlan) {
        let (old, new) = ((&old.restart.rules, &old.breaker), (&self.plan.restart.rules, &self.plan.breaker));
        let changed = [
            (Timer::Forget, old.0.reset_after, new.0.reset_after),
            (Timer::Close, old.1.close_after, new.1.close_after),
        ];
        for (timer, _, new) in changed.into_iter().filter(|(_, old, new)| old != new) {
            if context.timers.get(self.id, timer).is_some() {
                context.timers.set(self.id, timer, context.now + new);
            }
        }
    }

    /// Has the program read its configuration files again, as they are in the plan.
    pub(crate) fn read_again(&mut self, context: &mut Context<'_>) {
        self.life.configuration = self.plan.configuration;
        // One that is only being started reads what there is then.
        let run = self.main_run().filter(|_| self.main_lives());
        if let Some((signal, run)) = self.plan.reload.signal.zip(run) {
            context.effects.push(Effect::Signal { run, target: SignalTarget::Main, signal });
        }
    }
}
