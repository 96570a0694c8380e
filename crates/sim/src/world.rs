//! The fake operating system: it carries out effects, lets programs live and die, and tells the guard what a real Linux
//! would tell it, when it would.

mod adopt;
mod carry_out;
mod probe;
mod report;
mod tree;

use std::collections::BTreeMap;
use std::time::Duration;

use menshen_core::{Event, Instant, Role, RunId, ServiceId, Tree as TreeState};
use menshen_plan::ServiceName;
use menshen_plan::definition::ProbeKind;

pub use adopt::Found;
pub use tree::Tree;

use crate::clock::Clock;
use crate::program::Temper;
use crate::random::Random;
use crate::theme::Theme;

use probe::Round;
use report::Report;
use tree::Act;

/// One tree of processes, for as long as the world knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreeId(u64);

/// What can happen in the world.
#[derive(Debug, Clone)]
enum Happening {
    /// A spawn is through.
    Born(TreeId),
    /// A process does something, unless it is dead, frozen or stopped.
    Acts { tree: TreeId, pid: u32, generation: u32, act: Act },
    /// A process that was killed is really gone.
    Gone { tree: TreeId, pid: u32 },
    /// A freezer is done.
    Freezes { tree: TreeId, works: bool },
    /// A thaw is done.
    Thaws(TreeId),
    /// A probe has its answer.
    Answers { service: ServiceId, probe: ProbeKind, round: u64 },
    /// News reach the guard.
    Told(Report),
}

/// The fake operating system.
#[derive(Debug)]
pub struct World {
    clock: Clock<Happening>,
    random: Random,
    theme: Theme,
    trees: BTreeMap<TreeId, Tree>,
    /// The guard's names for them.
    runs: BTreeMap<RunId, TreeId>,
    rounds: BTreeMap<(ServiceId, ProbeKind), Round>,
    tempers: BTreeMap<ServiceName, Temper>,
    /// News that wait in a pipe or a socket until there is a guard to read them.
    held: Vec<Report>,
    guarded: bool,
    calm: bool,
    next_tree: u64,
    next_pid: u32,
}

/// What a tree's methods work with besides the tree itself.
struct Hands<'a> {
    clock: &'a mut Clock<Happening>,
    random: &'a mut Random,
    calm: bool,
    theme: Theme,
}

impl World {
    /// A world in which nothing runs yet.
    #[must_use]
    pub fn new(now: Instant, theme: Theme, mut random: Random) -> Self {
        Self {
            clock: Clock::new(now, random.fork()),
            random,
            theme,
            trees: BTreeMap::new(),
            runs: BTreeMap::new(),
            rounds: BTreeMap::new(),
            tempers: BTreeMap::new(),
            held: Vec::new(),
            guarded: true,
            calm: false,
            next_tree: 1,
            next_pid: 100,
        }
    }

    /// When something happens next.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.clock.next()
    }

    /// The present.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Lets time pass in which nothing happens.
    pub fn advance(&mut self, to: Instant) {
        self.clock.advance(to);
    }

    /// Lets the next thing happen, and says what the guard hears of it.
    pub fn happen(&mut self) -> Option<Event> {
        match self.clock.pop()? {
            Happening::Born(id) => self.born(id),
            Happening::Acts { tree, pid, generation, act } => self.act(tree, pid, generation, &act),
            Happening::Gone { tree, pid } => self.with_tree(tree, |tree, hands| tree.gone(hands, pid)),
            Happening::Freezes { tree, works } => self.with_tree(tree, |tree, hands| tree.froze(hands, works)),
            Happening::Thaws(tree) => self.with_tree(tree, Tree::thawed),
            Happening::Answers { service, probe, round } => self.answers(service, probe, round),
            Happening::Told(report) => return self.deliver(report),
        }
        None
    }

    /// From now on everything behaves: programs work, answer, end when asked, and nothing is stuck.
    pub fn calm_down(&mut self) {
        self.calm = true;
        let ids: Vec<TreeId> = self.trees.keys().copied().collect();
        for id in ids {
            self.with_tree(id, Tree::calm_down);
        }
        let hanging: Vec<Round> = self.rounds.values().copied().collect();
        for round in hanging {
            self.clock.after(Duration::from_millis(5), round.answer());
        }
    }

    /// Everything stops at once, as when the power fails.
    pub fn lose_power(&mut self) {
        self.trees.clear();
        self.runs.clear();
        self.rounds.clear();
        self.held.clear();
        self.clock.retain(|_| false);
    }

    /// Somebody kills the main process of a service.
    pub fn murder(&mut self, name: &ServiceName, oom: bool) {
        let victims = self.trees.iter().filter(|(_, tree)| tree.role == Role::Main && tree.name == *name);
        let victim = victims.filter(|(_, tree)| tree.is_main_alive()).map(|(id, _)| *id).next_back();
        if let Some(id) = victim {
            self.with_tree(id, |tree, hands| tree.murder(hands, oom));
        }
    }

    /// Every tree in which some process lives.
    pub fn living(&self) -> impl Iterator<Item = &Tree> {
        self.trees.values().filter(|tree| tree.is_alive())
    }

    /// The living trees of one service in one role.
    pub fn living_of(&self, name: &ServiceName, role: Role) -> impl Iterator<Item = &Tree> {
        self.living().filter(move |tree| tree.role == role && tree.name == *name)
    }

    /// The tree of a run.
    #[must_use]
    pub fn tree_of(&self, run: RunId) -> Option<&Tree> {
        self.runs.get(&run).and_then(|id| self.trees.get(id))
    }

    fn with_tree<R>(&mut self, id: TreeId, act: impl FnOnce(&mut Tree, &mut Hands<'_>) -> R) -> R
    where
        R: Default,
    {
        let mut hands = Hands { clock: &mut self.clock, random: &mut self.random, calm: self.calm, theme: self.theme };
        self.trees.get_mut(&id).map(|tree| act(tree, &mut hands)).unwrap_or_default()
    }

    fn born(&mut self, id: TreeId) {
        let next_pid = &mut self.next_pid;
        let mut hands = Hands { clock: &mut self.clock, random: &mut self.random, calm: self.calm, theme: self.theme };
        if let Some(tree) = self.trees.get_mut(&id) {
            tree.born(&mut hands, || {
                *next_pid += 1;
                *next_pid
            });
        }
    }

    fn act(&mut self, id: TreeId, pid: u32, generation: u32, act: &Act) {
        let asks_main = self.with_tree(id, |tree, hands| tree.act(hands, pid, generation, act));
        if asks_main {
            let name = self.trees.get(&id).map(|tree| tree.name.clone());
            let main = self
                .trees
                .iter()
                .find(|(_, tree)| tree.role == Role::Main && tree.is_main_alive() && Some(&tree.name) == name.as_ref());
            if let Some(main) = main.map(|(id, _)| *id) {
                self.with_tree(main, Tree::ask_main_to_stop);
            }
        }
    }
}

/// How the guard calls what is left of a tree.
const fn tree_state(alive: bool) -> TreeState {
    if alive { TreeState::Alive } else { TreeState::Empty }
}
