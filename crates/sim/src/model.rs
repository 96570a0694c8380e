//! A small second opinion: what a guard has to do, written from `semantics.md` and not from the core.
//!
//! The model sees what the core is given and what comes out of it, and works out from that alone what each service's state,
//! counts, breaker and waits have to be. `invariants` holds the core against it.

mod follow;
mod service;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use menshen_core::{BreakerState, Command, Effect, Event, Instant, RunId, ServiceId, State, Wanted};
use menshen_plan::definition::{Condition, OnLoss, StartType};
use menshen_plan::{Plan, ServiceName, ServicePlan};

pub use service::{Next, Probe, Run, Service};

/// How long `start = "delayed"` waits at most.
const DELAY: Duration = Duration::from_secs(120);

/// All services, as they have to be.
#[derive(Debug, Clone)]
pub struct Model {
    /// The services.
    pub services: BTreeMap<ServiceId, Service>,
    /// The definition that holds now.
    plan: Arc<Plan>,
    /// Whether the guard was told to stop.
    pub shutting_down: bool,
    /// Whether it was told to hurry.
    pub hurried: bool,
    /// Until when delayed services wait at most.
    delayed_until: Option<Instant>,
}

impl Model {
    /// Before the first event: every service at rest.
    pub fn new(now: Instant, plan: &Arc<Plan>, ids: impl Iterator<Item = ServiceId>) -> Self {
        // A core numbers its services in the order of the definition.
        let services = ids.zip(plan.services.values()).map(|(id, plan)| (id, Service::new(now, plan))).collect();
        Self { services, plan: Arc::clone(plan), shutting_down: false, hurried: false, delayed_until: None }
    }

    /// The number of a service.
    #[must_use]
    pub fn id(&self, name: &ServiceName) -> Option<ServiceId> {
        self.services.iter().find(|(_, service)| service.name == *name).map(|(id, _)| *id)
    }

    /// Whether a service is to end.
    #[must_use]
    pub fn is_going_down(&self, service: &Service) -> bool {
        self.shutting_down || service.gone || service.wanted == Wanted::Down
    }

    /// What a service needs and does not have.
    #[must_use]
    pub fn missing(&self, service: &Service) -> Option<ServiceName> {
        let missing = |(name, condition): (&ServiceName, Condition)| {
            let holds =
                self.id(name).and_then(|id| self.services.get(&id)).is_some_and(|needed| needed.holds(condition));
            (!holds).then(|| name.clone())
        };
        service.plan.depends_on.iter().map(|(name, dependency)| (name, dependency.condition)).find_map(missing)
    }

    /// What a running service has lost, and what its definition says then.
    #[must_use]
    pub fn lost(&self, service: &Service) -> Option<(ServiceName, OnLoss)> {
        if self.shutting_down || !(service.state == State::Starting || service.state.is_up()) {
            return None;
        }
        service.plan.depends_on.iter().filter(|(_, dependency)| dependency.on_loss != OnLoss::Ignore).find_map(
            |(name, dependency)| {
                let needed = self.id(name).and_then(|id| self.services.get(&id));
                let holds = needed.is_some_and(|needed| needed.holds(dependency.condition));
                (!holds).then(|| (name.clone(), dependency.on_loss))
            },
        )
    }

    /// Whether a delayed service has to wait on.
    #[must_use]
    pub fn is_delayed(&self, service: &Service) -> bool {
        let settled = |other: &Service| {
            other.wanted != Wanted::Up
                || other.is_delayed()
                || (other.state.is_at_rest() && !other.due)
                || other.ready
                || other.state == State::Tripped
        };
        let waits = self.delayed_until.is_some() && !self.shutting_down;
        service.is_delayed() && waits && !self.services.values().all(settled)
    }

    /// An event is over. Once all others have come up, delayed services are free, whatever the others do then; and where
    /// nothing has to stand in, what stands in the next time is new.
    pub fn settled(&mut self) {
        let ending: BTreeSet<ServiceId> =
            self.services.iter().filter(|(_, service)| self.is_going_down(service)).map(|(id, _)| *id).collect();
        for (id, service) in &mut self.services {
            if service.breaker == BreakerState::Closed
                || service.ready
                || service.comes_to_rest()
                || ending.contains(id)
            {
                service.fallback_died = None;
            }
        }
        let over = self.delayed_until.is_some() && !self.shutting_down;
        if over && !self.services.values().any(|service| self.is_delayed(service)) {
            self.let_delayed_go();
        }
    }

    /// What was delayed is free from now on.
    fn let_delayed_go(&mut self) {
        self.delayed_until = None;
        self.services.values_mut().for_each(|service| service.delayed = false);
    }

    /// Those that depend on a service and are themselves to end, and have not.
    pub fn ending_dependants(&self, id: ServiceId) -> impl Iterator<Item = &Service> {
        let name = self.services.get(&id).map(|service| service.name.clone());
        self.services.values().filter(move |service| {
            let depends = name.as_ref().is_some_and(|name| service.plan.depends_on.contains_key(name));
            depends && service.has_runs() && self.is_going_down(service)
        })
    }

    /// Why a service stops that is not known to have died; `None` if there is no reason to.
    #[must_use]
    pub fn reason_to_stop(&self, id: ServiceId, event: &Event) -> Option<Next> {
        let service = self.services.get(&id)?;
        if let Some(next) = service.next {
            return Some(next);
        }
        if self.is_going_down(service) {
            return Some(Next::Wanted);
        }
        match (event, self.lost(service)) {
            (Event::Command { service, command: Command::Restart, .. }, _) if *service == id => Some(Next::Wanted),
            (Event::Reload { .. }, _) if !Arc::ptr_eq(&service.plan, &service.newest) => Some(Next::Wanted),
            (_, Some((_, OnLoss::Stop))) => Some(Next::Stop),
            (_, Some((_, OnLoss::Restart | OnLoss::Ignore))) => Some(Next::Wanted),
            (_, None) => None,
        }
    }

    /// A death whose exit says nothing about what comes next: the policy decides.
    fn fails(&mut self, id: ServiceId) {
        let ending = self.services.get(&id).is_some_and(|service| self.is_going_down(service));
        if let Some(service) = self.services.get_mut(&id) {
            if ending {
                service.next = Some(Next::Wanted);
            } else {
                service.dies(verdict::of_failure(&service.plan));
            }
        }
    }

    fn service_of(&mut self, run: RunId) -> Option<&mut Service> {
        self.services.get_mut(&run.service).filter(|service| service.is_current(run))
    }

    // What is wanted.

    /// Somebody starts a service: it and everything it needs is wanted.
    fn ask_for(&mut self, id: ServiceId) {
        if let Some(service) = self.services.get_mut(&id) {
            service.wanted = Wanted::Up;
            service.by_operator = true;
            service.delayed = false;
            service.become_due();
            if service.state == State::Stopping {
                service.next = Some(Next::Wanted);
            }
        }
        for needed in self.needs(id) {
            let Some(service) = self.services.get_mut(&needed).filter(|service| service.may_be_started()) else {
                continue;
            };
            let is_done = service.state == State::Completed && service.is_run_by_hand();
            if service.wanted == Wanted::Down && !is_done {
                service.wanted = Wanted::Up;
                service.by_operator = true;
            }
            service.delayed = false;
            if service.state == State::Failed {
                service.close_breaker();
            }
            if matches!(service.state, State::Stopped | State::Failed) {
                service.become_due();
            }
            if service.state == State::Stopping && matches!(service.next, Some(Next::Stop | Next::Fail)) {
                service.next = Some(Next::Wanted);
            }
        }
    }

    /// The guard starts a service that is wanted: what it needs is wanted too, unless an operator stopped that.
    fn start_by_itself(&mut self, id: ServiceId) {
        let Some(service) = self.services.get_mut(&id) else { return };
        let may = service.state == State::Stopped && !service.rests && service.may_be_started();
        if service.wanted == Wanted::Down || !may || service.has_runs() {
            return;
        }
        service.become_due();
        for needed in self.needs(id) {
            let Some(service) = self.services.get_mut(&needed) else { continue };
            let stopped = service.wanted == Wanted::Down && service.by_operator;
            if stopped || service.rests || !service.may_be_started() || service.state == State::Failed {
                continue;
            }
            if service.wanted == Wanted::Down {
                service.wanted = Wanted::Up;
            }
            service.delayed = false;
            if service.state == State::Stopped {
                service.become_due();
            }
        }
    }

    /// Everything a service needs, and what that needs.
    fn needs(&self, id: ServiceId) -> BTreeSet<ServiceId> {
        let mut needs = BTreeSet::new();
        let mut to_do = vec![id];
        while let Some(id) = to_do.pop() {
            let names = self.services.get(&id).into_iter().flat_map(|service| service.plan_now().depends_on.keys());
            to_do.extend(names.filter_map(|name| self.id(name)).filter(|id| needs.insert(*id)).collect::<Vec<_>>());
        }
        needs
    }

    // A change of guards.

    /// The power is lost: nothing lives, and only what operators asked for is known afterwards.
    pub fn lose_power(&mut self, now: Instant) {
        for service in self.services.values_mut() {
            let new = Service::new(now, &service.newest);
            let asked = Service { wanted: service.wanted, by_operator: true, ..new.clone() };
            *service = if service.by_operator { asked } else { new };
        }
    }

    /// The next guard took over. Services keep what they had; their numbers and plans are the new guard's. What is not in
    /// its definition and lives is ended by the plans of strangers.
    pub fn take_over(
        &mut self,
        now: Instant,
        (plan, strangers): (&Arc<Plan>, &BTreeMap<ServiceName, Arc<ServicePlan>>),
        ids: &BTreeMap<ServiceName, ServiceId>,
    ) {
        let old = std::mem::take(&mut self.services);
        for mut service in old.into_values() {
            let own = plan.services.get(&service.name).or_else(|| strangers.get(&service.name));
            let Some((id, own)) = ids.get(&service.name).zip(own) else { continue };
            if *service.plan != **own {
                service.timers_are_old = true;
                service.replanned_at = now;
            }
            service.differs = service.was_started_otherwise_than(own);
            service.plan = Arc::clone(own);
            service.newest = Arc::clone(own);
            service.replan_waits = false;
            service.gone = !plan.services.contains_key(&service.name);
            if !service.by_operator && service.wanted == Wanted::Down {
                service.wanted = wanted_by(own);
                service.delayed = own.start == StartType::Delayed;
            }
            // The next guard asks anew.
            service.probes.clear();
            self.services.insert(*id, service);
        }
        for (name, id) in ids {
            if let Some(plan) = plan.services.get(name).filter(|_| !self.services.contains_key(id)) {
                self.services.insert(*id, Service::new(now, plan));
            }
        }
        self.plan = Arc::clone(plan);
        self.shutting_down = false;
        self.hurried = false;
        self.delayed_until = None;
    }

    /// Takes back what an event did to the services the guard did not come to remember, or to forget.
    pub fn take_back(&mut self, now: Instant, before: &Self, done: &[Effect]) {
        // Whoever came to be remembered is remembered as the event left it.
        self.settled();
        let is_done = |effect: &Effect| done.contains(effect);
        for (id, service) in &mut self.services {
            if !is_done(&Effect::Remember { service: *id }) {
                let new = || Service::new(now, &service.newest);
                *service = before.services.get(id).cloned().unwrap_or_else(new);
            }
        }
        for (id, service) in &before.services {
            if !self.services.contains_key(id) && !is_done(&Effect::Removed { service: *id }) {
                self.services.insert(*id, service.clone());
            }
        }
    }
}

/// A plan's own wish.
pub(crate) const fn wanted_by(plan: &ServicePlan) -> Wanted {
    match plan.start {
        StartType::Auto | StartType::Delayed => Wanted::Up,
        StartType::Manual | StartType::Disabled => Wanted::Down,
    }
}
