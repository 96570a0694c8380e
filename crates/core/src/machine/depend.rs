//! What services are to each other: conditions that hold or are lost, dependencies that are pulled in, and the order of
//! stopping.

use std::collections::{BTreeMap, BTreeSet};

use menshen_plan::definition::{Condition, OnLoss, StartType};

use super::Core;
use crate::event::ServiceId;
use crate::service::{After, Context, Service};
use crate::state::{State, Wanted};

/// Each look at a service can lead to a look at its neighbours; more rounds than this for each service mean a mistake.
const LOOKS_PER_SERVICE_MAX: usize = 64;

impl Core {
    /// Works out anew who depends on whom.
    pub(super) fn link(&mut self) {
        let mut dependants: BTreeMap<ServiceId, Vec<ServiceId>> = BTreeMap::new();
        for service in self.services.values() {
            for dependency in service.plan.depends_on.keys() {
                if let Some(id) = self.ids.get(dependency) {
                    dependants.entry(*id).or_default().push(service.id);
                }
            }
        }
        self.dependants = dependants;
    }

    /// Looks at every service that changed, and at its neighbours, until nothing changes any more.
    pub(super) fn settle(&mut self) {
        let mut looks_left = LOOKS_PER_SERVICE_MAX * (self.services.len() + 1);
        while let Some(id) = self.next_to_look_at() {
            looks_left -= 1;
            if looks_left == 0 {
                debug_assert!(false, "the services do not settle");
                break;
            }
            self.look(id);
            for neighbour in self.neighbours(id) {
                self.look(neighbour);
            }
            self.look_at_whole(id);
        }
        self.complete_shutdown_if_over(false);
    }

    /// The next service that changed; when there is none left, delayed ones may be free to go.
    fn next_to_look_at(&mut self) -> Option<ServiceId> {
        if self.changed.is_empty() {
            self.release_delayed_if_settled();
        }
        self.changed.pop_first()
    }

    /// Those that wait for a service, and, while it ends, those that wait with their own end for its.
    fn neighbours(&self, id: ServiceId) -> Vec<ServiceId> {
        let Some(service) = self.services.get(&id) else { return Vec::new() };
        let dependants = self.dependants.get(&id).into_iter().flatten().copied();
        let dependencies = service.plan.depends_on.keys().filter_map(|name| self.ids.get(name).copied());
        dependants.chain(dependencies).collect()
    }

    /// Does what can be done for one service now.
    fn look(&mut self, id: ServiceId) {
        let Some(service) = self.services.get(&id) else { return };
        let blocker = self.blocker(service);
        let lost = self.lost_dependency(service);
        let held = service.life.stop_held && self.has_dependants_going_down(id);
        let shutting_down = self.shutdown.is_some();
        self.with_service(id, |service, context| {
            if service.life.stop_held && !held {
                let reason = service.life.reason.clone();
                service.begin_stop(context, service.after_going_down(&reason), reason);
            } else if let Some((on_loss, reason)) = lost {
                let after = match on_loss {
                    OnLoss::Stop => After::Stop { reason: reason.clone() },
                    OnLoss::Restart | OnLoss::Ignore => After::Wanted { reason: reason.clone() },
                };
                service.begin_stop(context, after, reason);
            }
            service.check_stopped(context);
            if !shutting_down {
                service.try_start(context, blocker);
            }
            service.tend_fallback(context);
        });
        self.remove_if_gone(id);
    }

    /// What keeps a service from starting, for people.
    fn blocker(&self, service: &Service) -> Option<String> {
        if service.is_delayed() && self.delay_until.is_some() {
            return Some("waiting for the other services to come up (start = \"delayed\")".to_owned());
        }
        service.plan.depends_on.iter().find_map(|(name, dependency)| {
            let Some(needed) = self.ids.get(name).and_then(|id| self.services.get(id)) else {
                return Some(format!("waiting for {name}, which is not defined"));
            };
            (!holds(needed, dependency.condition)).then(|| {
                format!("waiting for {name} to be {} (it is {})", dependency.condition.as_str(), needed.state())
            })
        })
    }

    /// A dependency that was there and is not any more, where that matters.
    fn lost_dependency(&self, service: &Service) -> Option<(OnLoss, String)> {
        let runs = service.state() == State::Starting || service.state().is_up();
        if !runs || self.shutdown.is_some() {
            return None;
        }
        service.plan.depends_on.iter().filter(|(_, dependency)| dependency.on_loss != OnLoss::Ignore).find_map(
            |(name, dependency)| {
                let needed = self.ids.get(name).and_then(|id| self.services.get(id));
                let lost = needed.is_none_or(|needed| !holds(needed, dependency.condition));
                let rule = dependency.on_loss.as_str();
                lost.then(|| {
                    (
                        dependency.on_loss,
                        format!("{name} is no longer {}: on_loss {rule}", dependency.condition.as_str()),
                    )
                })
            },
        )
    }

    /// Whether a service that depends on this one lives and is to end too: it goes first.
    fn has_dependants_going_down(&self, id: ServiceId) -> bool {
        let dependants = self.dependants.get(&id).into_iter().flatten().filter_map(|id| self.services.get(id));
        let mut ending = dependants.filter(|dependant| dependant.has_processes());
        ending.any(|dependant| self.shutdown.is_some() || dependant.gone || dependant.life.wanted == Wanted::Down)
    }

    /// Whether a service's dependency is in the condition it waits for.
    #[must_use]
    pub fn dependency_holds(&self, id: ServiceId, dependency: &str) -> bool {
        let condition = self.services.get(&id).and_then(|service| service.plan.depends_on.get(dependency));
        let needed = self.ids.get(dependency).and_then(|id| self.services.get(id));
        condition.zip(needed).is_some_and(|(dependency, needed)| holds(needed, dependency.condition))
    }

    /// Starts what a service needs. Somebody's explicit start reaches what an operator stopped; the guard's own start does
    /// not.
    pub(super) fn pull_in(&mut self, id: ServiceId, by_operator: bool) {
        let mut seen = BTreeSet::from([id]);
        let mut to_do = vec![id];
        while let Some(id) = to_do.pop() {
            let Some(service) = self.services.get(&id) else { continue };
            let name = service.plan.name.clone();
            let needed: Vec<ServiceId> =
                service.plan.depends_on.keys().filter_map(|name| self.ids.get(name).copied()).collect();
            for dependency in needed.into_iter().filter(|dependency| seen.insert(*dependency)) {
                let reason = format!("needed by {name}");
                self.with_service(dependency, |service, context| {
                    if service.may_be_pulled_in(by_operator) {
                        service.pull_in(context, reason, by_operator);
                    }
                });
                to_do.push(dependency);
            }
        }
    }

    /// Lets `start = "delayed"` services go once the others have come up.
    fn release_delayed_if_settled(&mut self) {
        let settled = |service: &Service| {
            let wanted = service.life.wanted == Wanted::Up && !service.is_delayed();
            !wanted
                || (service.state().is_at_rest() && !service.life.due)
                || service.life.ready
                || service.state() == State::Tripped
        };
        if self.delay_until.is_some() && self.services.values().all(settled) {
            self.release_delayed();
        }
    }

    pub(super) fn release_delayed(&mut self) {
        self.delay_until = None;
        let ids: Vec<ServiceId> = self.services.keys().copied().collect();
        for id in ids {
            self.with_service(id, |service, context| {
                if std::mem::take(&mut service.life.delayed) {
                    context.changed.insert(id);
                }
            });
        }
    }
}

impl Service {
    /// Whether it waits for the other services to come up first.
    pub(super) fn is_delayed(&self) -> bool {
        self.life.delayed && self.plan.start == StartType::Delayed && self.life.wanted != Wanted::Down
    }

    /// Whether a start of a service that needs this one reaches it. What an operator stopped, what a rule left at rest and what
    /// failed are left alone unless an operator asks.
    fn may_be_pulled_in(&self, by_operator: bool) -> bool {
        let stopped_by_operator = self.life.wanted == Wanted::Down && self.life.wanted_by_operator;
        let left_alone = stopped_by_operator || self.life.stopped_by_rule || self.state() == State::Failed;
        self.plan.start != StartType::Disabled && !self.gone && (by_operator || !left_alone)
    }

    /// A service that needs this one is started.
    fn pull_in(&mut self, context: &mut Context<'_>, reason: String, by_operator: bool) {
        // What a one-shot that is run by hand was needed for is there: another run is not wanted.
        let is_done = self.state() == State::Completed && self.is_run_by_hand();
        if self.life.wanted == Wanted::Down && !is_done {
            self.life.wanted = Wanted::Up;
            self.life.wanted_by_operator = by_operator;
        }
        self.life.delayed = false;
        match self.state() {
            // It starts anyway, for a reason of its own.
            State::Stopped if self.life.due => {}
            State::Stopped | State::Failed => self.go_up(context, reason),
            // It was to end, and not to stay frozen.
            State::Pausing | State::Paused if self.life.wanted == Wanted::Up => self.go_up(context, reason),
            State::Stopping => {
                // What comes back by itself, or has done its work, is not hurried.
                if let Some(After::Stop { .. } | After::Fail { .. }) = self.life.after.as_ref().filter(|_| by_operator)
                {
                    self.life.after = Some(After::Wanted { reason });
                }
            }
            State::Starting | State::Running | State::Pausing | State::Paused | State::Continuing => {
                self.keep_up(reason);
            }
            State::Waiting | State::Backoff | State::Tripped | State::Completed => {}
        }
        context.changed.insert(self.id);
    }

    /// Starts if it is due and nothing is in the way; otherwise says what it waits for.
    fn try_start(&mut self, context: &mut Context<'_>, blocker: Option<String>) {
        let waits = self.state() == State::Waiting;
        let has_own = self.life.main.is_some() || self.life.stopper.is_some();
        if !(self.life.due || waits) || has_own || self.gone || self.life.wanted == Wanted::Down {
            return;
        }
        match (blocker, self.state()) {
            // The breaker stays open, and the fallback in place, until the trial can be made.
            (Some(blocker), State::Tripped) => {
                self.life.reason = format!("trial: {blocker}");
                self.life.breaker.trial_cleared = false;
            }
            (Some(blocker), _) => self.wait(context, blocker),
            (None, State::Tripped) if self.fallback_is_in_the_way() => self.life.breaker.trial_cleared = true,
            (None, _) if self.fallback_is_in_the_way() => {}
            (None, _) => {
                if waits && self.life.due_reason.is_empty() {
                    "its dependencies are there".clone_into(&mut self.life.due_reason);
                }
                self.start(context);
            }
        }
    }
}

/// Whether a service is in a condition.
fn holds(service: &Service, condition: Condition) -> bool {
    let completed = service.state() == State::Completed;
    match condition {
        Condition::Started => service.state().is_up() || completed,
        Condition::Ready => service.is_ready(),
        Condition::Completed => completed,
    }
}
