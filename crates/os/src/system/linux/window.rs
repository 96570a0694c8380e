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

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::DupFlags;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::thread::futex;

/// Above what programs are given: those numbers are taken in the child.
const FIRST: RawFd = 32;
/// Three for the program itself, one for the report, and some for version-1 cgroups and stored descriptors.
const SLOTS: usize = 16;

/// What a child says of its table of descriptors.
pub(super) mod table_state {
    /// It still is the guard's.
    pub(in super::super) const SHARED: u32 = 0;
    /// It has its own.
    pub(in super::super) const OWN: u32 = 1;
    /// It could not make its own, and ends.
    pub(in super::super) const REFUSED: u32 = 2;
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
}

/// A window with what one child is to get; empty again when this is dropped.
#[derive(Debug)]
pub(super) struct Filled<'a> {
    window: &'a mut Window,
    count: usize,
}

impl Window {
    pub(super) fn new(null: Arc<OwnedFd>) -> io::Result<Self> {
        let slot = |_| rustix::io::fcntl_dupfd_cloexec(&null, FIRST);
        let slots = (0..SLOTS).map(slot).collect::<Result<Vec<_>, _>>()?;
        let highest = slots.iter().map(AsRawFd::as_raw_fd).max().unwrap_or(FIRST);
        let state = StateWord::new()?;
        Ok(Self { null, slots, end: highest.cast_unsigned() + 1, state })
    }

    /// Whether so much fits, and stays out of the way of what the child is given.
    pub(super) fn has_room_for(&self, handed: &[BorrowedFd<'_>]) -> bool {
        handed.len() <= self.slots.len()
    }

    pub(super) fn fill(&mut self, handed: &[BorrowedFd<'_>]) -> io::Result<Filled<'_>> {
        self.state.get().store(table_state::SHARED, Ordering::Release);
        let filled = Filled { window: self, count: handed.len() };
        for (slot, descriptor) in filled.window.slots.iter_mut().zip(handed) {
            rustix::io::dup3(descriptor, slot, DupFlags::CLOEXEC)?;
        }
        Ok(filled)
    }
}

impl Filled<'_> {
    pub(super) fn numbers(&self) -> Vec<RawFd> {
        self.window.slots.iter().take(self.count).map(AsRawFd::as_raw_fd).collect()
    }

    pub(super) fn table(&self) -> SharedTable {
        SharedTable { end: self.window.end, state: self.window.state.get() }
    }

    /// Waits until the child has a table of its own. False if it has ended before, or does not get there.
    pub(super) fn await_own_table(&self, child: BorrowedFd<'_>) -> bool {
        /// It is one system call away. A child that somebody holds back (by freezing its cgroup, say) is given up.
        const WAIT_MAX: Duration = Duration::from_secs(1);
        /// How often to look whether it still lives.
        const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        let state = self.window.state.get();
        let begun = Instant::now();
        while begun.elapsed() < WAIT_MAX {
            match state.load(Ordering::Acquire) {
                table_state::OWN => return true,
                table_state::REFUSED => return false,
                _ => {}
            }
            let _ = futex::wait(state, futex::Flags::empty(), table_state::SHARED, Some(&LOOK));
            let ended = || poll(&mut [PollFd::from_borrowed_fd(child, PollFlags::IN)], Some(&Timespec::default()));
            if state.load(Ordering::Acquire) == table_state::SHARED && ended().is_ok_and(|ended| ended > 0) {
                return false;
            }
        }
        false
    }
}

impl Drop for Filled<'_> {
    fn drop(&mut self) {
        for slot in self.window.slots.iter_mut().take(self.count) {
            // What rests in a slot is replaced when it is next needed, at the latest.
            let _ = rustix::io::dup3(&self.window.null, slot, DupFlags::CLOEXEC);
        }
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
