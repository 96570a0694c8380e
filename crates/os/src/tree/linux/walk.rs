//! Trees without cgroups: a mark on everything a program starts, its own session, and lines of descent.
//! Every signal goes through a pidfd that was opened first and checked by the start time after, so that it can never hit a
//! process that merely has the same number.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd as _;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::mark::Mark;
use super::procfs::{self, Process, Snapshot};
use super::send::send;

/// A tree known by its marks.
#[derive(Debug)]
pub(crate) struct WalkedTree {
    mark: Mark,
    /// The main process, which is also the session.
    leader: u32,
    leader_start: u64,
    /// Members seen so far, with their start times: they stay members when their parents are gone.
    known: BTreeMap<u32, u64>,
}

/// What a look at all processes has shown.
struct Look {
    live: BTreeMap<u32, u64>,
    /// Of every process it was seen whose it is.
    is_whole: bool,
}

enum Whose {
    Ours,
    Others,
    /// It ended before that could be seen.
    Gone,
}

impl WalkedTree {
    pub(crate) fn new(mark: Mark, leader: u32, leader_start: u64) -> Self {
        let known = BTreeMap::from([(leader, leader_start)]);
        Self { mark, leader, leader_start, known }
    }

    /// Every live member with its start time. Zombies are not alive. While one cannot look, it is those seen last: what
    /// cannot be seen is not gone.
    pub(crate) fn members(&mut self) -> BTreeMap<u32, u64> {
        self.look().unwrap_or_else(|_| self.known.clone())
    }

    fn look(&mut self) -> io::Result<BTreeMap<u32, u64>> {
        Ok(self.look_at(&procfs::snapshot()?)?.live)
    }

    /// Whether nothing of it lives. That is believed only of a look that missed nothing: what ends between being listed and
    /// having been looked at may have started another just before, which is in no list.
    pub(crate) fn is_empty(&mut self) -> bool {
        /// So many are made at once. Of a tree that changes during all of them it cannot be said now.
        const LOOKS_MAX: usize = 5;
        let mut dead_before = BTreeSet::new();
        for _ in 0..LOOKS_MAX {
            let Ok(all) = procfs::snapshot() else { return false };
            let Ok(look) = self.look_at(&all) else { return false };
            if !look.live.is_empty() {
                return false;
            }
            let dead: BTreeSet<u32> = self.known.keys().copied().collect();
            if dead.is_subset(&dead_before) && look.is_whole {
                return true;
            }
            dead_before = dead;
        }
        false
    }

    fn look_at(&mut self, all: &Snapshot) -> io::Result<Look> {
        let Snapshot { processes: all, some_vanished } = all;
        let mut is_whole = !some_vanished;
        let mut members = BTreeSet::new();
        for (pid, process) in all {
            match self.whose(*pid, process)? {
                Whose::Ours => drop(members.insert(*pid)),
                Whose::Others => {}
                Whose::Gone => is_whole = false,
            }
        }
        loop {
            let children: Vec<u32> = all
                .iter()
                .filter(|(pid, process)| members.contains(&process.parent) && !members.contains(pid))
                .map(|(pid, _)| *pid)
                .collect();
            if children.is_empty() {
                break;
            }
            members.extend(children);
        }
        self.known = members.iter().filter_map(|pid| all.get(pid).map(|process| (*pid, process.start))).collect();
        let lives = |pid: &u32| all.get(pid).is_some_and(|process| !matches!(process.state, 'Z' | 'X'));
        let live = self.known.iter().filter(|(pid, _)| lives(pid)).map(|(pid, start)| (*pid, *start)).collect();
        Ok(Look { live, is_whole })
    }

    /// Whether a process belongs to it, be it a zombie that nobody has reaped yet.
    pub(crate) fn contains(&mut self, pid: u32) -> bool {
        self.members();
        self.known.contains_key(&pid)
    }

    fn whose(&self, pid: u32, process: &Process) -> io::Result<Whose> {
        let whose = |is_ours: bool| if is_ours { Whose::Ours } else { Whose::Others };
        if self.known.get(&pid) == Some(&process.start) {
            return Ok(Whose::Ours);
        }
        if process.start < self.leader_start {
            return Ok(Whose::Others);
        }
        if let Some(is_ours) = self.mark.is_limit(procfs::realtime_limit(pid)?, self.leader) {
            return Ok(whose(is_ours));
        }
        // The limit could not be set, or the program has set it for itself.
        if process.session == self.leader && self.leader != 0 {
            return Ok(Whose::Ours);
        }
        if let Some(variable) = self.mark.variable()
            && procfs::has_variable(pid, variable.as_bytes())?
        {
            return Ok(Whose::Ours);
        }
        // What is gone has no mark to read.
        Ok(if procfs::start_time(pid) == Some(process.start) { Whose::Others } else { Whose::Gone })
    }

    /// Sends a signal to every member but one. How many were reached.
    pub(crate) fn signal(&mut self, signal: i32, except: Option<u32>) -> usize {
        let members = self.members();
        members
            .into_iter()
            .filter(|(pid, _)| Some(*pid) != except)
            .filter(|(pid, start)| signal_checked(*pid, *start, signal))
            .count()
    }

    /// Stops every member first, so that none can start another behind our back, then kills them all.
    pub(crate) fn kill(&mut self) {
        /// Each round finds at least one process that a member started since the last one.
        const ROUNDS_MAX: usize = 32;
        let mut seen = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            let fresh: Vec<(u32, u64)> = self.members().into_iter().filter(|member| seen.insert(*member)).collect();
            if fresh.is_empty() {
                break;
            }
            for (pid, start) in fresh {
                signal_checked(pid, start, libc::SIGSTOP);
            }
        }
        self.signal(libc::SIGKILL, None);
    }
}

/// Sends a signal to the process that has this number and started then.
fn signal_checked(pid: u32, start: u64, signal: i32) -> bool {
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let Ok(pidfd) = pidfd_open(raw, PidfdFlags::empty()) else { return false };
    // From here on the descriptor means one process whatever happens to the number.
    procfs::start_time(pid) == Some(start) && send(pidfd.as_fd(), signal).is_ok()
}
