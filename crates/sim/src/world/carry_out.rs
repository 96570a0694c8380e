//! What the guard asks for is done, or found to make no sense.

use std::ops::RangeInclusive;
use std::sync::Arc;

use menshen_core::{Effect, Role, RunId, ServiceId};
use menshen_plan::ServicePlan;
use menshen_plan::signal::Signal;

use super::tree::Tree;
use super::{Happening, TreeId, World};
use crate::program::{OnStop, Program, Temper};
use crate::random::Random;
use crate::theme::Theme;

/// Every run a service can have.
pub(super) const fn runs_of(service: ServiceId) -> RangeInclusive<RunId> {
    let first = RunId { service, role: Role::Main, number: 0 };
    let last = RunId { service, role: Role::Stop, number: u64::MAX };
    first..=last
}

impl World {
    /// Does what an effect asks for.
    ///
    /// # Errors
    /// With what is wrong about it, when no driver could do it.
    pub fn carry_out(&mut self, effect: &Effect) -> Result<(), String> {
        match effect {
            Effect::Spawn { run, plan, .. } => self.spawn(*run, plan),
            Effect::Signal { run, target, signal } => {
                let id = self.known(*run, "signal")?;
                self.with_tree(id, |tree, hands| tree.signal(hands, *target, *signal));
                Ok(())
            }
            Effect::Kill { run, target } => {
                let id = self.known(*run, "kill")?;
                self.with_tree(id, |tree, hands| tree.signal(hands, *target, Signal::Kill));
                Ok(())
            }
            Effect::Freeze { run } => self.use_freezer(*run, true),
            Effect::Thaw { run } => self.use_freezer(*run, false),
            Effect::Probe { service, probe, round } => {
                if self.rounds.contains_key(&(*service, *probe)) {
                    return Err(format!("round {round} of {probe} is asked while another is in flight"));
                }
                self.ask(*service, *probe, *round);
                Ok(())
            }
            Effect::CancelProbe { service, probe, round } => {
                self.cancel(*service, *probe, *round);
                Ok(())
            }
            Effect::Replanned { service, plan } => {
                self.replan(*service, plan);
                Ok(())
            }
            Effect::Removed { service } => {
                self.disown(*service);
                Ok(())
            }
            Effect::Remember { .. }
            | Effect::DropFds { .. }
            | Effect::Record(_)
            | Effect::Alert(_)
            | Effect::Reply(_)
            | Effect::ShutdownComplete { .. } => Ok(()),
        }
    }

    fn spawn(&mut self, run: RunId, plan: &Arc<ServicePlan>) -> Result<(), String> {
        if self.runs.contains_key(&run) {
            return Err(format!("{run:?} is spawned twice"));
        }
        let program = self.draw(run.role, plan);
        self.forget_old_runs(run, plan);
        let id = TreeId(self.next_tree);
        self.next_tree += 1;
        self.clock.after(program.spawn_takes, Happening::Born(id));
        self.trees.insert(id, Tree::new(id, run, plan, program, self.clock.now()));
        self.runs.insert(run, id);
        Ok(())
    }

    /// What has long ended is of no interest any more, not even to the next guard.
    fn forget_old_runs(&mut self, new: RunId, plan: &ServicePlan) {
        let Self { trees, runs, .. } = self;
        trees.retain(|_, tree| {
            let old = tree.role == new.role && tree.name == plan.name && tree.number + 50 < new.number;
            !old || tree.is_alive()
        });
        runs.retain(|_, id| trees.contains_key(id));
    }

    /// A service is no more; what it left behind is nobody's.
    fn disown(&mut self, service: ServiceId) {
        let Self { trees, runs, .. } = self;
        for id in runs.range(runs_of(service)).map(|(_, id)| *id) {
            if trees.get(&id).is_some_and(|tree| !tree.is_alive()) {
                trees.remove(&id);
            }
        }
        runs.retain(|run, _| run.service != service);
    }

    fn draw(&mut self, role: Role, plan: &ServicePlan) -> Program {
        if self.calm {
            return Program::good(&mut self.random, role, plan.kind);
        }
        let Self { tempers, random, .. } = self;
        let temper = *tempers.entry(plan.name.clone()).or_insert_with(|| Temper::random(random));
        // Even a broken program works now and then, and a good one does not always.
        let temper = if random.percent(15) { Temper::Flaky } else { temper };
        let mut program = Program::random(random, role, plan.kind, temper);
        match self.theme {
            Theme::Freezing => program.freezing.takes = random.millis(0, 1500),
            Theme::Breaking if role == Role::Fallback => {
                program.on_stop = OnStop::Exits(random.millis(0, 6000), 0);
            }
            Theme::Anything | Theme::Breaking | Theme::Crashing | Theme::Depending => {}
        }
        program
    }

    fn use_freezer(&mut self, run: RunId, freeze: bool) -> Result<(), String> {
        let id = self.known(run, if freeze { "freeze" } else { "thaw" })?;
        self.with_tree(id, |tree, hands| tree.use_freezer(hands, freeze));
        Ok(())
    }

    fn replan(&mut self, service: ServiceId, plan: &Arc<ServicePlan>) {
        for id in self.runs.range(runs_of(service)).map(|(_, id)| *id) {
            if let Some(tree) = self.trees.get_mut(&id) {
                tree.plan = Arc::clone(plan);
            }
        }
    }

    fn known(&self, run: RunId, what: &str) -> Result<TreeId, String> {
        self.runs.get(&run).copied().ok_or_else(|| format!("{what} of {run:?}, which was never spawned"))
    }

    /// Draws something of its own, for whoever drives the world.
    pub fn fork_random(&mut self) -> Random {
        self.random.fork()
    }
}
