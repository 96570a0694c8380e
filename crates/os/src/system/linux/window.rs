//! Windows: a few low numbers in the guard's table of descriptors, through which children get theirs.
//!
//! A child that begins with the guard's own table makes a table of what lies below its window's end, and of nothing else. The
//! numbers rest on `/dev/null` until they are needed. There are several windows, so that the guard can bear the next children
//! before the last ones have had their turn on a processor.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::io::DupFlags;
use rustix::thread::futex;

use crate::memory::platform::Shared;

/// Above what programs are given: those numbers are taken in the child.
pub(super) const FIRST: RawFd = 32;
/// How many slots the windows have: three for the program itself, one for the report, and in the last some for version-1
/// cgroups and stored descriptors.
const SLOTS: [usize; 6] = [4, 4, 4, 4, 4, 16];

/// What is said of the table of descriptors a child began with.
pub(super) mod table_state {
    /// It still is the guard's.
    pub(in super::super) const SHARED: u32 = 0;
    /// It still is the guard's, and the guard sleeps until that is over.
    pub(in super::super) const AWAITED: u32 = 1;
    /// The child has its own.
    pub(in super::super) const OWN: u32 = 2;
    /// It could not make its own, and ends.
    pub(in super::super) const REFUSED: u32 = 3;
}

/// What a child needs to make a table of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedTable {
    /// From here on are its own.
    pub begin: u32,
    /// From this number on, it needs none.
    pub end: u32,
    /// Where it says what came of it.
    pub state: *const AtomicU32,
}

/// All windows, the one that was used last at the end.
#[derive(Debug)]
pub(super) struct Windows(Vec<Window>);

#[derive(Debug)]
pub(super) struct Window {
    null: Arc<OwnedFd>,
    slots: Vec<OwnedFd>,
    /// The same word in the child's memory, be it a copy of the guard's or not.
    state: Shared<AtomicU32>,
    /// So many slots have what a child is to get.
    filled: usize,
    /// Who is to get it, and may still share the guard's table.
    child: Option<u32>,
}

/// A child that was ended, or held back, before it had a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stuck(pub u32);

impl Windows {
    /// `null` is what rests in them.
    pub(super) fn new(null: &Arc<OwnedFd>) -> io::Result<Self> {
        SLOTS.into_iter().map(|slots| Window::new(Arc::clone(null), slots)).collect::<io::Result<_>>().map(Self)
    }

    /// One that has so much room: the one whose child has had the most time to take what was in it.
    pub(super) fn next(&mut self, count: usize) -> Option<&mut Window> {
        let index = self.0.iter().position(|window| window.slots.len() >= count)?;
        self.0[index..].rotate_left(1);
        self.0.last_mut()
    }

    /// Empties them.
    pub(super) fn empty(&mut self) -> impl Iterator<Item = Stuck> {
        self.0.iter_mut().filter_map(|window| window.empty().err())
    }
}

impl Window {
    fn new(null: Arc<OwnedFd>, slots: usize) -> io::Result<Self> {
        let slot = |_| rustix::io::fcntl_dupfd_cloexec(&null, FIRST);
        let slots = (0..slots).map(slot).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { null, slots, state: Shared::new(AtomicU32::new(table_state::SHARED))?, filled: 0, child: None })
    }

    /// Puts in what the next child is to get, and says under which numbers. It must be empty.
    pub(super) fn fill(&mut self, handed: &[BorrowedFd<'_>]) -> io::Result<Vec<RawFd>> {
        self.state.store(table_state::SHARED, Ordering::Release);
        self.filled = handed.len();
        for (slot, descriptor) in self.slots.iter_mut().zip(handed) {
            rustix::io::dup3(descriptor, slot, DupFlags::CLOEXEC)?;
        }
        Ok(self.slots.iter().take(handed.len()).map(AsRawFd::as_raw_fd).collect())
    }

    pub(super) fn table(&self) -> SharedTable {
        let numbers = || self.slots.iter().map(|slot| slot.as_raw_fd().cast_unsigned());
        let (begin, last) = (numbers().min().unwrap_or(0), numbers().max().unwrap_or(u32::MAX - 1));
        SharedTable { begin, end: last + 1, state: &raw const *self.state }
    }

    /// This child takes what is there, while the guard does something else.
    pub(super) const fn give_to(&mut self, child: u32) {
        self.child = Some(child);
    }

    /// Waits until its child has a table of its own, and empties it.
    pub(super) fn empty(&mut self) -> Result<(), Stuck> {
        let stuck = self.child.take().filter(|child| !self.await_own_table(*child)).map(Stuck);
        let filled = std::mem::take(&mut self.filled);
        for slot in self.slots.iter_mut().take(filled) {
            // What rests in a slot is replaced when it is next needed, at the latest.
            let _ = rustix::io::dup3(&self.null, slot, DupFlags::CLOEXEC);
        }
        stuck.map_or(Ok(()), Err)
    }

    /// Waits until the child has a table of its own. False if it has ended before, or does not get there.
    fn await_own_table(&self, child: u32) -> bool {
        /// It is one system call away. A child that somebody holds back (by freezing its cgroup, say) is given up.
        const WAIT_MAX: Duration = Duration::from_secs(1);
        /// How often to look whether it still lives.
        const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        let state = &*self.state;
        let begun = Instant::now();
        while begun.elapsed() < WAIT_MAX {
            let (from, to) = (table_state::SHARED, table_state::AWAITED);
            match state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire) {
                Err(table_state::OWN) => return true,
                Err(table_state::REFUSED) => return false,
                Ok(_) | Err(_) => {}
            }
            let _ = futex::wait(state, futex::Flags::empty(), table_state::AWAITED, Some(&LOOK));
            if state.load(Ordering::Acquire) == table_state::AWAITED && super::reap::has_ended(child) {
                return false;
            }
        }
        false
    }
}
