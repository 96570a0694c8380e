//! Processes: one of each, none where none may be, and effects that are about living ones.

use menshen_core::{Effect, RecordKind, Role, RunId, ServiceId, State};

use super::{Checker, Invariant};
use crate::world::{Tree, World};

impl Checker {
    pub(super) fn check_processes(&mut self, effect: &Effect, world: &World) {
        match effect {
            Effect::Spawn { run, .. } => self.check_only_one(*run, world),
            Effect::Signal { run, .. } | Effect::Freeze { run } | Effect::Thaw { run } => {
                self.check_address(*run, effect, true);
            }
            // A kill may come before the process: a driver kills it as soon as it is there.
            Effect::Kill { run, .. } => self.check_address(*run, effect, false),
            Effect::Record(record) => {
                if let RecordKind::Transition { to: State::Paused, .. } = record.kind {
                    let id = record.service.as_ref().and_then(|name| self.model.id(name));
                    self.check_lives(id, "paused");
                }
            }
            Effect::Remember { .. }
            | Effect::Probe { .. }
            | Effect::CancelProbe { .. }
            | Effect::DropFds { .. }
            | Effect::Replanned { .. }
            | Effect::Removed { .. }
            | Effect::Alert(_)
            | Effect::Reply(_)
            | Effect::ShutdownComplete { .. } => {}
        }
    }

    /// Before a spawn nothing of an earlier run in the same role lives: neither for the guard, nor really. What a program
    /// left behind under `stop.tree = false` does not count, since nobody has to end it.
    fn check_only_one(&mut self, run: RunId, world: &World) {
        let Some(service) = self.model.services.get(&run.service) else {
            self.broken(Invariant::EffectsMakeSense, None, format!("{run:?} is of no service"));
            return;
        };
        if let Some(other) = service.runs.get(&run.role) {
            let what = format!("{:?} run {} is spawned while run {} is not over", run.role, run.number, other.number);
            self.broken(Invariant::OneOfEach, Some(run.service), what);
            return;
        }
        let tree_counts = run.role != Role::Main || service.plan.stop.tree;
        let counts = |tree: &&Tree| tree.is_main_alive() || (tree_counts && !tree.let_go);
        let other = world.living_of(&service.name, run.role).find(counts);
        if let Some(other) = other {
            let what = format!(
                "{:?} run {} is spawned while processes of run {} live (pid {})",
                run.role,
                run.number,
                other.number,
                other.main_pid()
            );
            self.broken(Invariant::OneOfEach, Some(run.service), what);
        }
    }

    fn check_address(&mut self, run: RunId, effect: &Effect, needs_process: bool) {
        let service = self.model.services.get(&run.service);
        let current =
            service.and_then(|service| service.runs.get(&run.role)).filter(|other| other.number == run.number);
        match current {
            None => self.broken(Invariant::EffectsMakeSense, Some(run.service), format!("{effect:?}: the run is over")),
            Some(current) if needs_process && !current.spawned && !current.ended => {
                self.broken(
                    Invariant::EffectsMakeSense,
                    Some(run.service),
                    format!("{effect:?}: there is no process yet"),
                );
            }
            Some(_) => {}
        }
    }

    fn check_lives(&mut self, id: Option<ServiceId>, what: &str) {
        let lives = id
            .and_then(|id| self.model.services.get(&id))
            .and_then(|service| service.runs.get(&Role::Main))
            .is_some_and(|run| run.spawned && !run.ended);
        if !lives {
            self.broken(Invariant::StatusIsTrue, id, format!("it is called {what} and has no main process"));
        }
    }

    /// What is not running has no processes; what is at rest has no fallback either.
    pub(super) fn check_trees(&mut self, id: ServiceId, world: &World) {
        let Some(service) = self.model.services.get(&id) else { return };
        let may_run = match service.state {
            State::Starting | State::Running | State::Pausing | State::Paused | State::Continuing | State::Stopping => {
                true
            }
            State::Stopped | State::Waiting | State::Backoff | State::Tripped | State::Completed | State::Failed => {
                false
            }
        };
        let roles: &[Role] = match (may_run, service.state.is_at_rest()) {
            (true, _) => return,
            (false, true) => &[Role::Main, Role::Stop, Role::Fallback],
            (false, false) => &[Role::Main, Role::Stop],
        };
        let left = roles.iter().flat_map(|role| world.living_of(&service.name, *role)).find(|tree| !tree.let_go);
        if let Some(tree) = left {
            let what = format!("it is {} while processes of {:?} run {} live", service.state, tree.role, tree.number);
            self.broken(Invariant::TreeIsEmpty, Some(id), what);
            return;
        }
        if let Some((role, run)) = roles.iter().find_map(|role| service.runs.get_key_value(role)) {
            let what = format!("it is {} while {role:?} run {} is not over", service.state, run.number);
            self.broken(Invariant::TreeIsEmpty, Some(id), what);
        }
    }
}
