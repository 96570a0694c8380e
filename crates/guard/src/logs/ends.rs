//! Where in a service's output a run ends. That is seen to when the run has ended and before the next one writes, so that nobody
//! waits until it is read: the last line of a run that has no end does not go on with the first of the next.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use menshen_os::output::Pipe;

use super::ears::Run;

/// More ends than this are not kept apart: the program has been started as often while nothing could be written.
const ENDS_MAX: usize = 1024;
/// How often whoever takes bytes is asked whether he is done.
const ASK_EVERY: Duration = Duration::from_micros(50);

/// The ends of runs that are not read yet.
#[derive(Debug)]
pub(super) struct RunEnds {
    pub(super) pipes: Arc<[Pipe; 2]>,
    /// The run whose output is read.
    pub(super) run: Run,
    /// Held while bytes are taken from the pipes: what they hold is known when nobody takes any.
    taking: Mutex<()>,
    ends: Mutex<VecDeque<End>>,
}

/// The end of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    /// How many bytes of each pipe come before it, and after the end before.
    left: [usize; 2],
    /// The run whose output comes after it, if one has begun.
    next: Option<u64>,
}

/// Whether it is known where a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// It is among the ends that are kept.
    There,
    /// Bytes were being taken for too long. It ends where the pipes end when it is looked at.
    Nowhere,
}

impl RunEnds {
    pub(super) fn new(pipes: Arc<[Pipe; 2]>, run: u64) -> Self {
        Self { pipes, run: Run::new(run), taking: Mutex::default(), ends: Mutex::default() }
    }

    /// The run ends with what the pipes hold now. Waits no longer than this for whoever takes bytes.
    pub(super) fn place(&self, at_most: Duration) -> Placed {
        let Some(_taking) = self.take_within(at_most) else { return Placed::Nowhere };
        self.place_here().unwrap_or(Placed::Nowhere)
    }

    fn take_within(&self, at_most: Duration) -> Option<MutexGuard<'_, ()>> {
        let begun = Instant::now();
        loop {
            match self.taking.try_lock() {
                Ok(taking) => return Some(taking),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if begun.elapsed() >= at_most => return None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(ASK_EVERY),
            }
        }
    }

    fn place_here(&self) -> io::Result<Placed> {
        let waiting = [self.pipes[0].waiting()?, self.pipes[1].waiting()?];
        let mut ends = self.ends();
        let left = [0, 1].map(|pipe| {
            let before = ends.iter().map(|end| end.left[pipe]).sum();
            waiting[pipe].saturating_sub(before)
        });
        let is_full = ends.len() >= ENDS_MAX;
        match ends.back_mut() {
            // Nothing was written since.
            Some(_) if left == [0, 0] => {}
            Some(last) if is_full => last.left = [0, 1].map(|pipe| last.left[pipe] + left[pipe]),
            Some(_) | None => ends.push_back(End { left, next: None }),
        }
        Ok(Placed::There)
    }

    /// What comes next is of another run.
    pub(super) fn begin_run(&self, run: u64) {
        match self.ends().back_mut() {
            Some(last) => last.next = Some(run),
            None => self.run.begin(run),
        }
    }

    /// Nobody else takes bytes, or counts those that are there, until it is dropped.
    pub(super) fn take(&self) -> MutexGuard<'_, ()> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes of each pipe come before the first end; `None` if there is none.
    pub(super) fn before_first(&self) -> Option<[usize; 2]> {
        self.ends().front().map(|end| end.left)
    }

    /// So many bytes were taken from each pipe.
    pub(super) fn took(&self, bytes: [usize; 2]) {
        if let Some(first) = self.ends().front_mut() {
            first.left = [0, 1].map(|pipe| first.left[pipe].saturating_sub(bytes[pipe]));
        }
    }

    /// The first end is reached.
    pub(super) fn reached(&self) {
        let mut ends = self.ends();
        if let Some(run) = ends.pop_front().and_then(|end| end.next) {
            self.run.begin(run);
        }
    }

    fn ends(&self) -> MutexGuard<'_, VecDeque<End>> {
        // Every change is one step.
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
