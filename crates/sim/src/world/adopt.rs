//! A guard dies, and the next one looks around.

use std::time::Duration;

use menshen_core::{Exit, Role, RunId, ServiceId};

use super::report::{News, Report};
use super::tree::{End, Spawn, Tree};
use super::{Happening, TreeId, World};
use crate::program::Program;

/// A run the next guard knows of from what the last one remembered.
#[derive(Debug, Clone)]
pub struct Found {
    /// The service's number with the next guard.
    pub service: ServiceId,
    /// Its plan with the next guard.
    pub plan: std::sync::Arc<menshen_plan::ServicePlan>,
    /// The role, number and process of the run.
    pub run: (Role, u64, Option<u32>),
}

impl World {
    /// The guard is gone. Programs live on; spawns that were under way went through, or did not.
    pub fn lose_guard(&mut self) {
        self.guarded = false;
        self.rounds.clear();
        self.runs.clear();
        let ids: Vec<TreeId> = self.trees.keys().copied().collect();
        for id in ids {
            let through = self.random.percent(50);
            let Some(tree) = self.trees.get_mut(&id) else { continue };
            tree.run = None;
            if tree.spawn == Spawn::UnderWay && through && tree.program.spawn_error.is_none() {
                self.born(id);
            } else if tree.spawn == Spawn::UnderWay {
                tree.spawn = Spawn::Failed;
            }
        }
        self.clock.retain(|happening| !matches!(happening, Happening::Answers { .. }));
    }

    /// The next guard is there, looks for each run it was told of, and will hear what became of it. What lives and is not
    /// among that is returned: the last guard forgot it.
    pub fn find_guard(&mut self, found: &[Found]) -> Vec<String> {
        self.guarded = true;
        // What happened while nobody listened is found out by looking.
        self.clock.retain(|happening| !matches!(happening, Happening::Told(report) if !report.news.is_kept()));
        for one in found {
            self.adopt(one);
        }
        for report in std::mem::take(&mut self.held) {
            self.clock.after(Duration::ZERO, Happening::Told(report));
        }
        let forgotten = self.trees.values().filter(|tree| tree.run.is_none() && tree.is_main_alive());
        forgotten
            .map(|tree| format!("{:?} run {} of {} (pid {})", tree.role, tree.number, tree.name, tree.main_pid()))
            .collect()
    }

    fn adopt(&mut self, found: &Found) {
        let (role, number, pid) = found.run;
        let run = RunId { service: found.service, role, number };
        let is_it = |tree: &&Tree| tree.role == role && tree.number == number && tree.name == found.plan.name;
        let known = self.trees.values().rev().find(is_it).map(|tree| tree.id);
        let id = known.unwrap_or_else(|| self.never_spawned(run, found));
        self.runs.insert(run, id);
        let exit_is_known = self.random.percent(50);
        let says_spawned = self.random.percent(50);
        self.with_tree(id, |tree, hands| {
            tree.run = Some(run);
            tree.plan = std::sync::Arc::clone(&found.plan);
            if tree.spawn != Spawn::Done {
                tree.report(hands, News::SpawnFailed);
                return;
            }
            // What is known to have started and to have ended may be told at once.
            if pid.is_none() && (tree.is_main_alive() || says_spawned) {
                tree.report(hands, News::Spawned);
            }
            if tree.is_main_alive() {
                if role == Role::Main {
                    hands.clock.after(Duration::ZERO, Happening::Told(Report { tree: id, news: News::Adopted }));
                }
                return;
            }
            // A guard cannot know what its predecessor was told already; it says it again.
            if !exit_is_known {
                tree.end = tree.end.map(|end| End { exit: Exit::Unknown, ..end });
            }
            tree.report(hands, News::Exited);
        });
    }

    /// A run whose spawn the last guard remembered and did not come to.
    fn never_spawned(&mut self, run: RunId, found: &Found) -> TreeId {
        let id = TreeId(self.next_tree);
        self.next_tree += 1;
        let program = Program::good(&mut self.random, run.role, found.plan.kind);
        let mut tree = Tree::new(id, run, &found.plan, program, self.clock.now());
        tree.spawn = Spawn::Failed;
        self.trees.insert(id, tree);
        id
    }
}
