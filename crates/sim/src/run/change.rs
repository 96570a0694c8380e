//! What operators, editors and the power do to a run, and the change of guards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use menshen_core::{Event, Ticket};

use super::Simulation;
use crate::guard::Guard;
use crate::invariants::Invariant;
use crate::operator::Action;

impl Simulation {
    pub(super) fn act(&mut self, action: Action) {
        self.note(|| format!("{action:?}"));
        match action {
            Action::Command { service, command, answered } => {
                self.tickets += 1;
                let ticket = answered.then_some(Ticket(self.tickets));
                self.give(Event::Command { service, command, by: "alice".to_owned(), ticket });
            }
            Action::Reload { changes } => {
                if self.edit(changes) {
                    let plan = Arc::clone(&self.plan);
                    self.give(Event::Reload { plan, by: "alice".to_owned() });
                }
            }
            Action::Trouble { over } => {
                let service = self.checker.model.services.keys().next().copied().filter(|_| self.random.percent(70));
                let text = "no space left on device".to_owned();
                self.give(if over { Event::TroubleOver { service, text } } else { Event::Trouble { service, text } });
            }
            Action::Crash { after_effects, down_for, edited } => {
                if edited {
                    self.edit(1);
                }
                match after_effects {
                    Some(count) => self.cut = Some((count, down_for)),
                    None => self.lose_guard(down_for),
                }
            }
            Action::Murder { service, oom } => {
                if let Some(service) = self.checker.model.services.get(&service) {
                    self.world.murder(&service.name, oom);
                }
            }
            Action::PowerLoss => self.lose_power(),
            Action::Shutdown { hurry } => self.give(Event::Shutdown { reason: "sim".to_owned(), hurry }),
            Action::Wake => self.give(Event::Timeout),
        }
    }

    /// Changes the definition. Whether it can be loaded, as it has to.
    fn edit(&mut self, changes: u64) -> bool {
        for _ in 0..changes {
            self.definition.change(&mut self.random);
        }
        self.trace.note(self.world.now(), || self.definition.text());
        match self.definition.load(self.sabotage.definition) {
            Ok(plan) => {
                self.plan = plan;
                true
            }
            Err(findings) => {
                let what = format!("{findings}\n{}", self.definition.text());
                self.checker.broken(Invariant::DefinitionLoads, None, what);
                false
            }
        }
    }

    /// The guard is killed.
    pub(super) fn lose_guard(&mut self, down_for: Duration) {
        self.note(|| "the guard is killed".to_owned());
        self.guard = None;
        self.wake = None;
        self.cut = None;
        self.guard_at = Some(self.world.now() + down_for);
        self.world.lose_guard();
    }

    /// The next guard takes over.
    pub(super) fn next_guard(&mut self) {
        let now = self.world.now();
        self.note(|| "the next guard takes over".to_owned());
        self.guard_at = None;
        self.guards += 1;
        match Guard::successor(now, &self.plan, self.random.number(), &mut self.disk) {
            Ok((guard, found)) => {
                let ids: BTreeMap<_, _> = guard.statuses().into_iter().map(|(id, status)| (status.name, id)).collect();
                let forgotten = self.world.find_guard(&found);
                let strangers = found.into_iter().map(|found| (found.plan.name.clone(), found.plan)).collect();
                self.checker.model.take_over(now, (&self.plan, &strangers), &ids);
                self.checker.forget_shutdown();
                self.checker.check_takeover(&guard.statuses(), &forgotten);
                self.guard = Some(guard);
                self.give(Event::Begin);
            }
            Err(what) => self.checker.broken(Invariant::GoesOnWhereItWas, None, what),
        }
    }

    /// The machine is started anew, and a guard with it.
    fn lose_power(&mut self) {
        self.lose_guard(Duration::ZERO);
        self.world.lose_power();
        self.disk.boot();
        self.checker.model.lose_power(self.world.now());
        self.checker.forget_alerts();
        self.next_guard();
    }
}
