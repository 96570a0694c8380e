//! What runs of a guard's programs, as the processes themselves tell by their marks. What was noted of them may be older, or
//! damaged, or was never written.

use std::collections::BTreeMap;
use std::io;

use super::mark::{self, Owner};
use super::procfs;
use crate::program::Place;

/// Every marked process at one instant.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// By the mark of the program: the main process of its latest run with its start time, if that lives.
    programs: BTreeMap<u64, Option<(u32, u64)>>,
}

impl Census {
    /// Looks at every process there is. An error if one cannot look now.
    pub(crate) fn take() -> io::Result<Self> {
        let mut census = Self::default();
        procfs::for_each(|pid| {
            // Few are marked, and the others are of no interest.
            if let Some((program, main)) = mark::read(procfs::realtime_limit(pid)?) {
                census.enter(pid, program, main)?;
            }
            Ok(())
        })?;
        Ok(census)
    }

    fn enter(&mut self, pid: u32, program: u64, main: u32) -> io::Result<()> {
        if let Some(process) = procfs::look(pid)?.filter(|process| !matches!(process.state, 'Z' | 'X')) {
            let known = self.programs.entry(program).or_default();
            if main == pid && known.is_none_or(|(_, start)| start <= process.start) {
                *known = Some((pid, process.start));
            }
        }
        Ok(())
    }

    /// Only programs whose main process lives.
    pub(crate) fn with_main(mut self) -> Self {
        self.programs.retain(|_, main| main.is_some());
        self
    }

    /// The main process of a program, with its start time.
    pub(crate) fn main_of(&self, owner: &Owner, place: &Place) -> Option<(u32, u64)> {
        owner.limits(place).find_map(|limit| self.programs.get(&limit).copied().flatten())
    }

    /// Whether anything of a program lives.
    pub(crate) fn has(&self, owner: &Owner, place: &Place) -> bool {
        owner.limits(place).any(|limit| self.programs.contains_key(&limit))
    }
}
