//! The window: a few low numbers in the guard's table of descriptors, through which children get theirs.
//!
//! A child that begins with the guard's own table makes a table of what lies below the window's end, and of nothing else. The
//! numbers rest on `/dev/null` until they are needed.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::io::DupFlags;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::thread::futex;

/// Above what programs are given: those numbers are taken in the child.
const FIRST: RawFd = 32;
/// Three for the program itself, one for the report, and some for version-1 cgroups and stored descriptors.
const SLOTS: usize = 16;

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
    /// From this number on, it needs none.
    pub end: u32,
    /// Where it says what came of it.
    pub state: *const AtomicU32,
}

#[derive(Debug)]
pub(super) struct Window {
    null: Arc<OwnedFd>,
    slots: Vec<OwnedFd>,
    end: u32,
    state: StateWord,
    /// So many slots have what a child is to get.
    filled: usize,
    /// Who is to get it, and may still share the guard's table.
    child: Option<u32>,
}

/// A child that was ended, or held back, before it had a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stuck(pub u32);

impl Window {
    pub(super) fn new(null: Arc<OwnedFd>) -> io::Result<Self> {
        let slot = |_| rustix::io::fcntl_dupfd_cloexec(&null, FIRST);
        let slots = (0..SLOTS).map(slot).collect::<Result<Vec<_>, _>>()?;
        let highest = slots.iter().map(AsRawFd::as_raw_fd).max().unwrap_or(FIRST);
        let state = StateWord::new()?;
        Ok(Self { null, slots, end: highest.cast_unsigned() + 1, state, filled: 0, child: None })
    }

    /// Whether so much fits, and stays out of the way of what the child is given.
    pub(super) fn has_room_for(&self, handed: &[BorrowedFd<'_>]) -> bool {
        handed.len() <= self.slots.len()
    }

    /// Puts in what the next child is to get, and says under which numbers. The last one must have its own by now.
    pub(super) fn fill(&mut self, handed: &[BorrowedFd<'_>]) -> io::Result<Vec<RawFd>> {
        self.state.get().store(table_state::SHARED, Ordering::Release);
        self.filled = handed.len();
        for (slot, descriptor) in self.slots.iter_mut().zip(handed) {
            rustix::io::dup3(descriptor, slot, DupFlags::CLOEXEC)?;
        }
        Ok(self.slots.iter().take(handed.len()).map(AsRawFd::as_raw_fd).collect())
    }

    pub(super) fn table(&self) -> SharedTable {
        SharedTable { end: self.end, state: self.state.get() }
    }

    /// This child takes what is there, while the guard does something else.
    pub(super) const fn give_to(&mut self, child: u32) {
        self.child = Some(child);
    }

    /// Waits until the last child has a table of its own, and empties the window.
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
        let state = self.state.get();
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

/// A word that is the same in the child's memory, be it a copy of the guard's or not.
#[derive(Debug)]
struct StateWord(ptr::NonNull<AtomicU32>);

impl StateWord {
    fn new() -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory is asked for, wherever there is some.
        #[expect(unsafe_code, reason = "mapping memory")]
        let memory = unsafe {
            rustix::mm::mmap_anonymous(ptr::null_mut(), size_of::<AtomicU32>(), protection, MapFlags::SHARED)?
        };
        Ok(Self(ptr::NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?))
    }

    fn get(&self) -> &AtomicU32 {
        // SAFETY: the memory is there for as long as this, is aligned to a page, and began as zeros.
        #[expect(unsafe_code, reason = "a word in mapped memory")]
        unsafe {
            self.0.as_ref()
        }
    }
}

impl Drop for StateWord {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and no child is waited for any more.
        #[expect(unsafe_code, reason = "unmapping memory")]
        let _ = unsafe { rustix::mm::munmap(self.0.as_ptr().cast(), size_of::<AtomicU32>()) };
    }
}
