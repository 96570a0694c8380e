//! The log of one service: its pipes, its files, who listens, and what does not work about it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use menshen_api::types::Stream;
use menshen_os::file::Folder;
use menshen_os::output::Pipe;
use menshen_plan::definition::{AlsoLog, Log};

use super::collector::Then;
use super::current::make_folder;
use super::ears::{Ears, Hearing, Run};
use super::event_log::EventLog;
use super::follow::Bell;
use super::formatted::Tools;
use super::journald::Journald;
use super::lines::Ends;
use super::names::Listing;
use super::now::Now;
use super::pour::Progress;
use super::raw::Scratch;
use super::tap::Taps;
use super::trouble::{Trouble, Troubles};
use super::undo::Undo;
use super::worker::Worker;
use super::writing::{Input, Writing};
use super::{LogId, Pattern, Report, Spec};

/// The most that is copied from one pipe before it is the turn of the next, in bytes: what a pipe holds.
pub(super) const TURN_BYTES_MAX: usize = 1024 * 1024;
/// How long a copy that failed waits before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What all services share.
pub(super) struct Around<'a> {
    pub(super) now: Now,
    pub(super) taps: &'a mut Taps,
    pub(super) journald: &'a mut Journald,
    pub(super) event_log: &'a mut EventLog,
    pub(super) scratch: &'a mut Scratch,
    pub(super) worker: &'a mut Worker,
    pub(super) report: &'a dyn Fn(Report),
}

/// What the handle and a service share, past the queue of commands.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    pub(super) bell: Bell,
    pub(super) run: Run,
    pub(super) flushes: Arc<Flushes>,
}

impl Outlet {
    pub(super) fn new(run: u64) -> Self {
        Self { bell: Bell::new(), run: Run::new(run), flushes: Arc::default() }
    }
}

/// How many flushes were asked for that are not done yet.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    asked: Mutex<u32>,
    done: Condvar,
}

impl Flushes {
    /// One is asked for; it is done when what is returned is dropped.
    pub(super) fn ask(self: &Arc<Self>) -> Then {
        *self.asked() += 1;
        let flushes = Arc::clone(self);
        Then::new(move || {
            *flushes.asked() -= 1;
            flushes.done.notify_all();
        })
    }

    pub(super) fn are_done(&self) -> bool {
        *self.asked() == 0
    }

    /// Waits until all are done, but no longer than this. Whether they are.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        match self.done.wait_timeout_while(self.asked(), at_most, |asked| *asked > 0) {
            Ok((asked, _)) => *asked == 0,
            Err(_) => false,
        }
    }

    fn asked(&self) -> MutexGuard<'_, u32> {
        // Every change of the number is one step.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log of one service.
#[derive(Debug)]
pub(super) struct Service {
    log: LogId,
    folder: Arc<Path>,
    /// Whether another guard may have left something in it.
    found: Folder,
    plan: Log,
    pub(super) pipes: [Pipe; 2],
    writing: Writing,
    ears: Ears,
    bell: Bell,
    troubles: Troubles,
    /// Nothing is copied before then, because that failed.
    paused_until: Option<Instant>,
    /// When a file is old enough, by both clocks.
    age_timer: Option<(i64, Instant)>,
}

/// What a piece of work works with.
struct Work<'a> {
    pipes: &'a [Pipe; 2],
    writing: &'a mut Writing,
    scratch: &'a mut Scratch,
    hearing: Hearing<'a>,
    progress: &'a mut Progress,
}

impl<'a> Work<'a> {
    fn copy(&mut self, stream: Stream, bytes_max: usize) -> io::Result<()> {
        let input = Input { pipes: self.pipes, stream };
        self.writing.copy(input, bytes_max, self.scratch, &mut self.hearing, self.progress)
    }

    /// Copies what the pipes hold now. Where that is nothing, no file is even looked at.
    fn drain(&mut self) -> io::Result<()> {
        for stream in Stream::ALL {
            let waiting = self.pipes[stream as usize].waiting()?;
            if waiting > 0 || self.writing.has_pending(stream) {
                self.copy(stream, waiting)?;
            }
        }
        Ok(())
    }

    fn end_begun(&mut self, ends: Ends) -> io::Result<()> {
        let (writing, mut tools) = self.tools();
        writing.end_begun(ends, &mut tools)
    }

    fn leave(&mut self) -> io::Result<()> {
        let (writing, mut tools) = self.tools();
        writing.leave(&mut tools)
    }

    fn tools(&mut self) -> (&mut Writing, Tools<'_, 'a>) {
        let undo = &mut self.scratch.undo;
        let tools = Tools { pipes: self.pipes, undo, hearing: &mut self.hearing, progress: self.progress };
        (self.writing, tools)
    }
}

impl Service {
    /// Opens its files, and goes on where they end.
    pub(super) fn open(log: LogId, spec: Spec, outlet: Outlet, undo: &mut Undo, now: Now) -> io::Result<Self> {
        let folder: Arc<Path> = Arc::from(spec.folder);
        let pipes = [spec.stdout, spec.stderr];
        undo.undo_left(&pipes)?;
        let mut writing = Writing::new(&folder, &spec.plan, &pipes)?;
        let found = make_folder(&folder)?;
        if found == Folder::Found {
            writing.join(now, &mut Progress::default())?;
            writing.close_others(&folder, now)?;
        }
        writing.take_tails(&pipes, undo, now)?;
        let ears = Ears::new(log, spec.name.into(), spec.instance.into(), outlet.run);
        let mut service = Self {
            log,
            folder,
            found,
            plan: spec.plan,
            pipes,
            writing,
            ears,
            bell: outlet.bell,
            troubles: Troubles::new(log),
            paused_until: None,
            age_timer: None,
        };
        service.ears.set(spec.patterns, &service.plan.also);
        Ok(service)
    }

    /// Looks after what another guard left.
    pub(super) fn attached(&mut self, around: &mut Around<'_>) {
        self.check_also(around.report);
        if self.found == Folder::Made {
            return;
        }
        let left = Listing::of(&self.folder).is_ok_and(|left| !left.closed.is_empty() || !left.unfinished.is_empty());
        if left {
            around.worker.tend(self.log, &self.folder, &self.plan.rotate);
        }
    }

    /// Copies what a pipe holds, within its turn, and says how many bytes were written.
    pub(super) fn copy(&mut self, stream: Stream, around: &mut Around<'_>) -> usize {
        if self.paused_until.is_some() {
            return 0;
        }
        self.work(around, |work| work.copy(stream, TURN_BYTES_MAX))
    }

    /// Writes all that the pipes hold now, and what has no end yet: the run is over. What cannot be written stays.
    pub(super) fn flush(&mut self, around: &mut Around<'_>) {
        if self.paused_until.is_none() {
            self.work(around, |work| {
                work.drain()?;
                work.end_begun(Ends::Here)
            });
        }
        self.bell.run_ended();
    }

    /// Tries to write all that is there: the next guard goes on.
    pub(super) fn leave(&mut self, around: &mut Around<'_>) {
        self.work(around, |work| {
            work.drain()?;
            work.leave()
        });
    }

    /// Tries to write all that is there, and what has no end yet: nothing more comes.
    pub(super) fn end(&mut self, around: &mut Around<'_>) {
        self.work(around, |work| {
            work.drain()?;
            work.end_begun(Ends::Here)
        });
        self.writing.forget();
    }

    /// Follows another plan from now on.
    pub(super) fn replan(&mut self, plan: Log, patterns: Vec<Pattern>, around: &mut Around<'_>) {
        let old = std::mem::replace(&mut self.plan, plan);
        self.ears.set(patterns, &self.plan.also);
        self.check_also(around.report);
        self.writing.set_rotate(&self.plan.rotate);
        self.age_timer = None;
        self.change_format(around);
        if old.rotate != self.plan.rotate {
            around.worker.tend(self.log, &self.folder, &self.plan.rotate);
        }
    }

    /// Closes the files if they are of another format than the plan's. While nothing can be written, they wait.
    fn change_format(&mut self, around: &mut Around<'_>) {
        if self.writing.format() == self.plan.format || self.paused_until.is_some() {
            return;
        }
        self.work(around, |work| {
            work.end_begun(Ends::Later)?;
            work.writing.close(work.hearing.now, work.progress);
            work.writing.forget();
            Ok(())
        });
        if self.paused_until.is_none() {
            let (folder, plan) = (Arc::clone(&self.folder), self.plan.clone());
            self.work(around, |work| {
                *work.writing = Writing::new(&folder, &plan, work.pipes)?;
                Ok(())
            });
        }
    }

    /// Does what it is time for.
    pub(super) fn tick(&mut self, around: &mut Around<'_>) {
        self.age_timer = None;
        self.writing.give_back(around.now);
        if let Some(until) = self.paused_until {
            if until <= around.now.monotonic {
                self.work(around, |work| {
                    Stream::ALL.into_iter().try_for_each(|stream| work.copy(stream, TURN_BYTES_MAX))
                });
                self.change_format(around);
            }
        } else if self.writing.due_ms().is_some_and(|due_ms| due_ms <= around.now.wall_ms) {
            self.work(around, |work| work.writing.close_aged(work.hearing.now, work.progress));
        }
    }

    /// When `tick` has something to do; `None` if only more output can change anything.
    pub(super) fn wake_at(&mut self, now: Now) -> Option<Instant> {
        if self.paused_until.is_some() {
            return self.paused_until;
        }
        self.aged_at(now).into_iter().chain(self.writing.give_back_at()).min()
    }

    fn aged_at(&mut self, now: Now) -> Option<Instant> {
        let due_ms = self.writing.due_ms()?;
        if self.age_timer.is_none_or(|(for_ms, _)| for_ms != due_ms) {
            self.age_timer = now.instant_of(due_ms).map(|at| (due_ms, at));
        }
        self.age_timer.map(|(_, at)| at)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// Closed files could be looked after, or not.
    pub(super) fn tended(&mut self, error: Option<String>, report: &dyn Fn(Report)) {
        match error {
            None => self.troubles.end(Trouble::Tending, report),
            Some(error) => self.troubles.begin(Trouble::Tending, report, || error),
        }
    }

    fn check_also(&mut self, report: &dyn Fn(Report)) {
        let also = &self.plan.also;
        if !also.contains(&AlsoLog::Eventlog) {
            self.troubles.end(Trouble::Eventlog, report);
        }
        if !also.contains(&AlsoLog::Journald) {
            self.troubles.end(Trouble::Journald, report);
        }
    }

    /// Does something that writes, and tells what came of it. Says how many bytes were written.
    fn work(&mut self, around: &mut Around<'_>, act: impl FnOnce(&mut Work<'_>) -> io::Result<()>) -> usize {
        let mut progress = Progress::default();
        let hearing = Hearing {
            ears: &mut self.ears,
            now: around.now,
            taps: around.taps,
            journald: around.journald,
            event_log: around.event_log,
            troubles: &mut self.troubles,
            report: around.report,
        };
        let result = act(&mut Work {
            pipes: &self.pipes,
            writing: &mut self.writing,
            scratch: around.scratch,
            hearing,
            progress: &mut progress,
        });
        let bytes = progress.bytes;
        self.settle(result, progress, around);
        bytes
    }

    fn settle(&mut self, result: io::Result<()>, progress: Progress, around: &mut Around<'_>) {
        if progress.bytes > 0 {
            self.bell.written();
        }
        if progress.closed > 0 {
            self.troubles.end(Trouble::Closing, around.report);
            around.worker.tend(self.log, &self.folder, &self.plan.rotate);
        }
        if let Some(error) = progress.close_error {
            self.troubles.begin(Trouble::Closing, around.report, || error.to_string());
        }
        match result {
            Ok(()) => {
                self.paused_until = None;
                self.troubles.end(Trouble::Writing, around.report);
            }
            Err(error) => {
                self.paused_until = Some(around.now.monotonic + RETRY_AFTER);
                self.troubles.begin(Trouble::Writing, around.report, || error.to_string());
            }
        }
    }
}

#[cfg(test)]
impl Service {
    /// As if the kernel moved nothing.
    pub(super) fn refuse_moves(&mut self) {
        if let Writing::Raw(streams) = &mut self.writing {
            streams.iter_mut().for_each(super::raw::Raw::refuse_moves);
        }
    }
    /// The memory it keeps for output, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        match &self.writing {
            Writing::Raw(streams) => streams.iter().map(super::raw::Raw::kept_bytes).sum(),
            Writing::Formatted(formatted) => formatted.kept_bytes(),
        }
    }
}
