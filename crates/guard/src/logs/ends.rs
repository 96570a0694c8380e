//! Where in a service's output a run ends. That is seen to when the run has ended and before the next one writes, so that nobody
//! waits until it is read: the last line of a run that has no end does not go on with the first of the next.
//!
//! It is known to this guard alone. Of what a guard that was killed had not read yet, the next takes all for the last run's.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// Held while bytes are taken from the pipes, and written: what they hold is known when nobody takes any.
    taking: Mutex<()>,
    ends: Mutex<VecDeque<End>>,
    /// Somebody makes lines of the output, or listens to them: it matters where a run ends.
    lines: AtomicBool,
}

/// The end of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    /// How many bytes of each pipe come before it, and after the end before. `None` if bytes were being taken for too long when
    /// the run ended: it ends where the pipes end when nobody takes any.
    left: Option<[usize; 2]>,
    /// The run whose output comes after it, if one has begun.
    next: Option<u64>,
}

/// Whether it was found out in time where a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    InTime,
    /// Whoever takes bytes took too long.
    TooLate,
}

impl RunEnds {
    pub(super) fn new(pipes: Arc<[Pipe; 2]>, run: u64) -> Self {
        let (taking, ends, lines) = (Mutex::default(), Mutex::default(), AtomicBool::new(true));
        Self { pipes, run: Run::new(run), taking, ends, lines }
    }

    /// Whether anybody knows of lines in the output.
    pub(super) fn set_lines(&self, lines: bool) {
        self.lines.store(lines, Ordering::Relaxed);
    }

    /// The run ends with what the pipes hold now. Waits no longer than this for whoever takes bytes, and not at all where nobody
    /// knows of lines.
    pub(super) fn place(&self, at_most: Duration) -> Found {
        let at_most = if self.lines.load(Ordering::Relaxed) { at_most } else { Duration::ZERO };
        let taking = self.take_within(at_most);
        let mut ends = self.ends();
        let left = taking.as_ref().and_then(|_| self.since(&ends).ok());
        let is_full = ends.len() >= ENDS_MAX;
        match (ends.back_mut(), left) {
            // Nothing was written since.
            (Some(_), Some([0, 0])) => {}
            (Some(End { left: Some(last), .. }), Some(left)) if is_full => {
                *last = [0, 1].map(|pipe| last[pipe] + left[pipe]);
            }
            (Some(_), _) if is_full => {}
            (_, left) => ends.push_back(End { left, next: None }),
        }
        if taking.is_some() || at_most.is_zero() { Found::InTime } else { Found::TooLate }
    }

    /// How many bytes of each pipe come after the last end.
    fn since(&self, ends: &VecDeque<End>) -> io::Result<[usize; 2]> {
        let before = |pipe: usize| ends.iter().filter_map(|end| end.left).map(|left| left[pipe]).sum::<usize>();
        let waiting = [self.pipes[0].waiting()?, self.pipes[1].waiting()?];
        Ok([0, 1].map(|pipe| waiting[pipe].saturating_sub(before(pipe))))
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

    /// How many bytes of each pipe come before the first end; `None` if there is none. To be called by who has [taken](Self::take).
    pub(super) fn before_first(&self) -> Option<[usize; 2]> {
        let mut ends = self.ends();
        let first = ends.front().copied()?;
        let left = match first.left {
            Some(left) => left,
            // What comes before a later end was not this run's alone.
            None if ends.len() > 1 => [0, 0],
            None => self.since(&ends).unwrap_or_default(),
        };
        ends[0].left = Some(left);
        Some(left)
    }

    /// So many bytes were taken from each pipe.
    pub(super) fn took(&self, bytes: [usize; 2]) {
        if let Some(End { left: Some(left), .. }) = self.ends().front_mut() {
            *left = [0, 1].map(|pipe| left[pipe].saturating_sub(bytes[pipe]));
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
