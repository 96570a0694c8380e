//! Trees of either kind: cgroups where the guard may make them, else walked.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::census::Census;
use super::cgroup::{Entry, Hierarchy, Leaf};
use super::mark::{self, Mark, Owner};
use super::procfs;
use super::walk::WalkedTree;
use crate::program::Place;
use crate::system::{Earlier, TreeMode};
use crate::usage::{Enforced, Limits, Usage};

/// All trees of one guard.
#[derive(Debug)]
pub(crate) struct Forest {
    hierarchy: Option<Hierarchy>,
    owner: Owner,
}

/// One tree.
#[derive(Debug)]
pub(crate) enum Tree {
    Cgroup(Leaf),
    /// Known by its marks once its main process is there. A look at it remembers what it saw.
    Walked(Box<RefCell<Option<WalkedTree>>>),
}

impl Forest {
    pub(crate) fn new(owner: Owner, mode: TreeMode) -> io::Result<Self> {
        let hierarchy = match mode {
            TreeMode::Walk => None,
            TreeMode::Auto | TreeMode::Cgroup => Hierarchy::find(&owner.mark),
        };
        if mode == TreeMode::Cgroup && hierarchy.is_none() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this machine has no writable cgroup v2"));
        }
        Ok(Self { hierarchy, owner })
    }

    /// How trees are told apart, for people.
    pub(crate) const fn describe(&self) -> &'static str {
        if self.hierarchy.is_some() { "cgroup v2" } else { "sessions and marks (no writable cgroup v2)" }
    }

    pub(crate) fn tree(&self, place: &Place) -> io::Result<Tree> {
        match &self.hierarchy {
            Some(hierarchy) => hierarchy.leaf(place).map(Tree::Cgroup),
            None => Ok(Tree::Walked(Box::default())),
        }
    }

    /// The mark of a run: the how manieth of this guard.
    pub(crate) fn mark(&self, place: &Place, number: u64) -> Mark {
        Mark::new(&self.owner, place, number)
    }

    /// The number by which a place is known, here and in the marks of its processes.
    pub(crate) fn number(&self, place: &Place) -> u64 {
        self.owner.limit(place)
    }

    /// The numbers by which an earlier guard may have known a place.
    pub(crate) fn numbers(&self, place: &Place) -> impl Iterator<Item = u64> + use<> {
        self.owner.limits(place)
    }

    /// The main process of a program that runs, by a census.
    pub(crate) fn main_of(&self, census: &Census, place: &Place) -> Option<Earlier> {
        let (pid, start_time) = census.main_of(&self.owner, place)?;
        // Guards of before named their folders without what tells them from others of their name.
        let names = [&self.owner.mark, &self.owner.instance];
        let folder = self.hierarchy.as_ref().and_then(|hierarchy| hierarchy.folder_of(pid, names, place));
        Some(Earlier { pid, start_time, first: None, folder })
    }

    /// Whether anything of a program lives, by a census.
    pub(crate) fn has(&self, census: &Census, place: &Place) -> bool {
        census.has(&self.owner, place)
    }

    /// The tree of a run that an earlier guard began, whose processes may be gone. The first of them leads it, even where the
    /// main process is another one by now. What had no folder, or one that cannot be used, is known by its marks; and so is
    /// what was in one folder with programs of another guard of the same name. An error if one cannot look now.
    pub(crate) fn tree_of_earlier(&self, place: &Place, earlier: &Earlier) -> io::Result<Tree> {
        let leaf = match (&self.hierarchy, &earlier.folder) {
            (Some(hierarchy), Some(folder)) => hierarchy.leaf_of_earlier(folder)?,
            // Nobody noted it.
            (Some(hierarchy), None) => lived_in(hierarchy.leaves_of_earlier(place)?, earlier.pid),
            (None, _) => None,
        };
        match leaf.filter(|leaf| !self.is_shared(leaf, place)) {
            Some(leaf) => Ok(Tree::Cgroup(leaf)),
            None => self.walked_of_earlier(place, earlier),
        }
    }

    fn walked_of_earlier(&self, place: &Place, earlier: &Earlier) -> io::Result<Tree> {
        let main = (earlier.pid, earlier.start_time);
        let first = earlier.first.unwrap_or(main);
        let known = [first, main].into_iter().find(|(pid, start)| procfs::lives(*pid, *start));
        let environment = known.map(|(pid, _)| procfs::environment(pid)).transpose()?.flatten();
        // Where it is gone, what is left may be of a later run that nobody noted: it is that of any run.
        let (leader, leader_start) = known.map_or((0, 0), |_| first);
        let mark = Mark::of_earlier(&self.owner, place, environment.as_deref());
        Ok(Tree::Walked(Box::new(RefCell::new(Some(WalkedTree::new(mark, leader, leader_start))))))
    }

    /// Kills whatever lives of a program that an earlier guard started, and nobody waits for.
    pub(crate) fn kill_left(&self, place: &Place) {
        let leaves = self.hierarchy.as_ref().and_then(|hierarchy| hierarchy.leaves_of_earlier(place).ok());
        let leaves = leaves.unwrap_or_default();
        if !leaves.iter().all(Leaf::is_empty) {
            leaves.iter().for_each(Leaf::kill);
        } else if let Ok(tree) = self.walked_of_earlier(place, &Earlier::UNKNOWN) {
            tree.kill();
        }
    }

    /// The process that holds for the next guard may have to be where the guard is.
    pub(crate) fn set_holder(&self, pid: u32) {
        if let Some(hierarchy) = &self.hierarchy {
            hierarchy.set_holder(pid);
        }
    }

    /// Whether programs of others were born in the folder of a tree. Guards of before could have one together; in one of this
    /// guard's own, what carries other marks was started by the service, which may be a guard itself.
    fn is_shared(&self, leaf: &Leaf, place: &Place) -> bool {
        if !leaf.is_elsewhere() {
            return false;
        }
        let program = |pid: u32| mark::read(procfs::realtime_limit(pid).ok().flatten()).map(|(program, _)| program);
        let is_other = |program: u64| self.numbers(place).all(|number| number != program);
        leaf.own_members().into_iter().filter_map(program).any(is_other)
    }

    /// Sets what a service may use, whose trees these are. Says what the system enforces.
    pub(crate) fn limit<'a>(&self, service: &str, limits: &Limits, trees: impl Iterator<Item = &'a Tree>) -> Enforced {
        let none = Enforced {
            memory: limits.memory_bytes.is_none(),
            cpu: limits.cpu_cores.is_none(),
            tasks: limits.tasks.is_none(),
        };
        self.hierarchy.as_ref().map_or(none, |hierarchy| hierarchy.limit(service, limits, &leaves(trees)))
    }

    pub(crate) fn old_entries(&self, service: &str) -> Vec<File> {
        self.hierarchy.as_ref().map(|hierarchy| hierarchy.old_entries(service)).unwrap_or_default()
    }

    /// How often a memory limit has killed something of a service, one of whose trees this is.
    pub(crate) fn oom_kills(&self, service: &str, tree: &Tree) -> u64 {
        let counted = self.hierarchy.as_ref().zip(tree.leaf());
        counted.map_or(0, |(hierarchy, leaf)| hierarchy.oom_kills(service, leaf))
    }

    /// Whether nothing more may be born in this tree of a service: the next program needs a new one.
    pub(crate) fn is_spent(&self, service: &str, tree: &Tree) -> bool {
        let is_outgrown = |leaf| self.hierarchy.as_ref().is_some_and(|hierarchy| hierarchy.is_outgrown(leaf, service));
        tree.leaf().is_none_or(|leaf| leaf.is_spent() || is_outgrown(leaf))
    }

    /// Removes what was made for a service, whose trees these were.
    pub(crate) fn forget<'a>(&self, service: &str, trees: impl Iterator<Item = &'a Tree>) {
        if let Some(hierarchy) = &self.hierarchy {
            hierarchy.forget(service, &leaves(trees));
        }
    }

    /// Lets go of the trees of a service of which nothing will run again, and removes what was made for them by and by.
    pub(crate) fn sweep(&mut self, service: &str, trees: Vec<Rc<Tree>>) {
        let Some(hierarchy) = &mut self.hierarchy else { return };
        // One that a process is still in is removed in the end.
        let leaves = trees.into_iter().filter_map(Rc::into_inner).filter_map(Tree::into_leaf);
        hierarchy.sweep(service, leaves.collect());
    }

    pub(crate) fn go_on_sweeping(&mut self) {
        if let Some(hierarchy) = &mut self.hierarchy {
            hierarchy.go_on_sweeping();
        }
    }

    pub(crate) fn close(&mut self) {
        if let Some(hierarchy) = &mut self.hierarchy {
            hierarchy.close();
        }
    }

    /// What a service uses, whose trees these are; those of what runs are all that has members.
    pub(crate) fn usage<'a>(
        &self,
        service: &str,
        trees: impl Iterator<Item = &'a Tree>,
        running: impl Iterator<Item = &'a Tree>,
    ) -> Usage {
        let members: Vec<u32> = running.flat_map(Tree::members).collect();
        let sum = |of: fn(u32) -> u64| members.iter().map(|pid| of(*pid)).sum::<u64>();
        let (counted, leaves) = (self.hierarchy.as_ref(), leaves(trees));
        Usage {
            cpu: counted
                .and_then(|hierarchy| hierarchy.cpu(service, &leaves))
                .unwrap_or_else(|| Duration::from_nanos(sum(procfs::cpu_ns))),
            memory_bytes: counted
                .and_then(|hierarchy| hierarchy.memory_bytes(service, &leaves))
                .unwrap_or_else(|| sum(procfs::resident_bytes)),
            processes: u32::try_from(members.len()).unwrap_or(u32::MAX),
            tasks: u32::try_from(sum(|pid| procfs::process(pid).map_or(0, |process| u64::from(process.threads))))
                .unwrap_or(u32::MAX),
            files: sum(procfs::files),
        }
    }
}

/// Which of these folders a process lives in, or else anybody.
fn lived_in(mut leaves: Vec<Leaf>, pid: u32) -> Option<Leaf> {
    let at = leaves.iter().position(|leaf| leaf.contains(pid));
    let at = at.or_else(|| leaves.iter().position(|leaf| !leaf.is_empty())).unwrap_or(0);
    (at < leaves.len()).then(|| leaves.swap_remove(at))
}

fn leaves<'a>(trees: impl Iterator<Item = &'a Tree>) -> Vec<&'a Leaf> {
    trees.filter_map(Tree::leaf).collect()
}

impl Tree {
    fn into_leaf(self) -> Option<Leaf> {
        match self {
            Self::Cgroup(leaf) => Some(leaf),
            Self::Walked(_) => None,
        }
    }

    const fn leaf(&self) -> Option<&Leaf> {
        match self {
            Self::Cgroup(leaf) => Some(leaf),
            Self::Walked(_) => None,
        }
    }

    /// The folder new processes get into, and how.
    pub(crate) fn folder(&self) -> Option<(BorrowedFd<'_>, Entry)> {
        match self {
            Self::Cgroup(leaf) => Some(leaf.folder()),
            Self::Walked(_) => None,
        }
    }

    /// Its folder.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Cgroup(leaf) => Some(leaf.path()),
            Self::Walked(_) => None,
        }
    }

    /// The main process is there, and started then if that is known.
    pub(crate) fn planted(&self, mark: Mark, leader: u32, start_time: Option<u64>) {
        if let Self::Walked(tree) = self {
            let leader_start = start_time.or_else(|| procfs::start_time(leader)).unwrap_or(0);
            *tree.borrow_mut() = Some(WalkedTree::new(mark, leader, leader_start));
        }
    }

    /// Processor time of all the runs it has had, where the system counts it.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        match self {
            Self::Cgroup(leaf) => leaf.cpu(),
            Self::Walked(_) => None,
        }
    }

    /// The file that tells of emptiness and frost; without it one has to look again and again.
    pub(crate) fn events(&self) -> Option<OwnedFd> {
        match self {
            Self::Cgroup(leaf) => leaf.events().ok(),
            Self::Walked(_) => None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Cgroup(leaf) => leaf.is_empty(),
            Self::Walked(tree) => tree.borrow_mut().as_mut().is_none_or(WalkedTree::is_empty),
        }
    }

    pub(crate) fn members(&self) -> Vec<u32> {
        match self {
            Self::Cgroup(leaf) => leaf.members(),
            Self::Walked(tree) => {
                tree.borrow_mut().as_mut().map(|tree| tree.members().into_keys().collect()).unwrap_or_default()
            }
        }
    }

    /// Whether a process belongs to it, be it a zombie.
    pub(crate) fn contains(&self, pid: u32) -> bool {
        match self {
            Self::Cgroup(leaf) => leaf.contains(pid),
            Self::Walked(tree) => tree.borrow_mut().as_mut().is_some_and(|tree| tree.contains(pid)),
        }
    }

    /// Sends a signal to every process but one.
    pub(crate) fn signal(&self, signal: i32, except: Option<u32>) -> usize {
        match self {
            Self::Cgroup(leaf) => leaf.signal(signal, except),
            Self::Walked(tree) => tree.borrow_mut().as_mut().map_or(0, |tree| tree.signal(signal, except)),
        }
    }

    pub(crate) fn kill(&self) {
        match self {
            Self::Cgroup(leaf) => leaf.kill(),
            Self::Walked(tree) => {
                if let Some(tree) = tree.borrow_mut().as_mut() {
                    tree.kill();
                }
            }
        }
    }

    /// Begins to freeze or thaw.
    pub(crate) fn freeze(&self, frozen: bool) -> io::Result<()> {
        match self {
            Self::Cgroup(leaf) => leaf.freeze(frozen),
            Self::Walked(_) => {
                self.signal(if frozen { libc::SIGSTOP } else { libc::SIGCONT }, None);
                Ok(())
            }
        }
    }

    /// Whether an earlier guard left it frozen, as far as a short look tells: where processes are stopped one by one, that at the
    /// main one. `None` if that cannot be told.
    pub(crate) fn was_left_frozen(&self, main: u32) -> Option<bool> {
        match self {
            Self::Cgroup(leaf) => leaf.is_told_to_freeze(),
            Self::Walked(_) => Some(procfs::is_stopped(main)),
        }
    }

    /// Whether everything is frozen. Where processes are stopped one by one, those that were started meanwhile are stopped
    /// by this look.
    pub(crate) fn is_frozen(&self) -> bool {
        match self {
            Self::Cgroup(leaf) => leaf.is_frozen(),
            Self::Walked(_) => {
                let frozen = self.members().into_iter().all(procfs::is_stopped);
                if !frozen {
                    self.signal(libc::SIGSTOP, None);
                }
                frozen
            }
        }
    }
}
