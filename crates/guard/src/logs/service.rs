//! The log of one service: its pipes, its files, who listens, and what does not work about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use menshen_api::types::Stream;
use menshen_os::file::Folder;
use menshen_os::output::Pipe;
use menshen_plan::definition::{AlsoLog, Log, LogFormat};

use super::current::prepare_folder;
use super::ears::{Ears, Hearing};
use super::ends::RunEnds;
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
use super::{LogId, Pattern, Report};

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

/// What a log is of, but for its pipes.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) instance: String,
    pub(super) folder: PathBuf,
    pub(super) plan: Log,
    pub(super) patterns: Vec<Pattern>,
}

/// What the handle and a service share, past the queue of commands.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    pub(super) bell: Bell,
    pub(super) ends: Arc<RunEnds>,
}

impl Outlet {
    pub(super) fn new(pipes: Arc<[Pipe; 2]>, run: u64) -> Self {
        Self { bell: Bell::new(), ends: Arc::new(RunEnds::new(pipes, run)) }
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
    ends: Arc<RunEnds>,
    writing: Writing,
    ears: Ears,
    bell: Bell,
    troubles: Troubles,
    /// Nothing is copied before then, because that failed.
    paused_until: Option<Instant>,
    /// When a file is old enough, by both clocks.
    age_timer: Option<(i64, Instant)>,
}

/// Whether the ends of all runs that are over were reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    All,
    Some,
}

/// What a piece of work works with.
struct Work<'a> {
    ends: &'a RunEnds,
    writing: &'a mut Writing,
    scratch: &'a mut Scratch,
    hearing: Hearing<'a>,
    progress: &'a mut Progress,
}

impl<'a> Work<'a> {
    fn copy(&mut self, stream: Stream, bytes_max: usize) -> io::Result<()> {
        match self.end_runs()? {
            Reached::All => self.copy_run(stream, bytes_max),
            // It is the turn of others.
            Reached::Some => Ok(()),
        }
    }

    /// Copies what runs that are over have written, within a turn, and what they have begun and not ended.
    fn end_runs(&mut self) -> io::Result<Reached> {
        while self.ends.before_first().is_some() {
            for stream in Stream::ALL {
                // Writing one may take bytes of the other, of which lines were made before.
                let left = self.ends.before_first().map_or(0, |left| left[stream as usize]);
                if left > 0 || self.writing.has_pending(stream) {
                    self.copy_run(stream, left.min(TURN_BYTES_MAX))?;
                }
                if left > TURN_BYTES_MAX {
                    return Ok(Reached::Some);
                }
            }
            self.end_begun(Ends::Here)?;
            self.ends.reached();
        }
        Ok(Reached::All)
    }

    /// Copies what one run has written.
    fn copy_run(&mut self, stream: Stream, bytes_max: usize) -> io::Result<()> {
        let input = Input { pipes: &self.ends.pipes, stream };
        input.pipe().widen();
        let before = self.progress.taken;
        let copied = self.writing.copy(input, bytes_max, self.scratch, &mut self.hearing, self.progress);
        self.ends.took([0, 1].map(|pipe| self.progress.taken[pipe] - before[pipe]));
        copied
    }

    /// Copies what the pipes hold now. Where that is nothing, no file is even looked at.
    fn drain(&mut self) -> io::Result<()> {
        while self.end_runs()? == Reached::Some {}
        for stream in Stream::ALL {
            let waiting = self.ends.pipes[stream as usize].waiting()?;
            if waiting > 0 || self.writing.has_pending(stream) {
                self.copy_run(stream, waiting)?;
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
        let tools = Tools { pipes: &self.ends.pipes, undo, hearing: &mut self.hearing, progress: self.progress };
        (self.writing, tools)
    }
}

impl Service {
    /// Opens its files, and goes on where they end.
    pub(super) fn open(log: LogId, source: Source, outlet: Outlet, undo: &mut Undo, now: Now) -> io::Result<Self> {
        let folder: Arc<Path> = Arc::from(source.folder);
        let ends = outlet.ends;
        let pipes = &*ends.pipes;
        undo.undo_left(pipes)?;
        let mut writing = Writing::new(&folder, &source.plan, pipes)?;
        let found = prepare_folder(&folder)?;
        if found == Folder::Found {
            writing.join(now, &mut Progress::default())?;
            writing.close_others(&folder, now)?;
        }
        writing.take_tails(pipes, undo, now)?;
        let ears = Ears::new(log, source.name.into(), source.instance.into(), ends.run.clone());
        let mut service = Self {
            log,
            folder,
            found,
            plan: source.plan,
            ends,
            writing,
            ears,
            bell: outlet.bell,
            troubles: Troubles::new(log),
            paused_until: None,
            age_timer: None,
        };
        service.ears.set(source.patterns, &service.plan.also);
        service.see_who_knows_of_lines();
        Ok(service)
    }

    /// What its program writes to.
    pub(super) fn pipes(&self) -> &[Pipe; 2] {
        &self.ends.pipes
    }

    /// Looks after what another guard left.
    pub(super) fn attached(&mut self, around: &mut Around<'_>) {
        self.check_also(around.report);
        if self.found != Folder::Found {
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

    /// Writes all that runs which are over have written, and what has no end yet. What cannot be written stays.
    pub(super) fn end_run(&mut self, around: &mut Around<'_>) {
        if self.paused_until.is_none() {
            self.work(around, |work| work.end_runs().map(drop));
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
        self.see_who_knows_of_lines();
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
            while work.end_runs()? == Reached::Some {}
            work.end_begun(Ends::Later)?;
            work.writing.close(work.hearing.now, work.progress);
            work.writing.forget();
            Ok(())
        });
        if self.paused_until.is_none() {
            let (folder, plan) = (Arc::clone(&self.folder), self.plan.clone());
            self.work(around, |work| {
                *work.writing = Writing::new(&folder, &plan, &work.ends.pipes)?;
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

    fn see_who_knows_of_lines(&self) {
        self.ends.set_lines(self.plan.format != LogFormat::Raw || self.ears.listen());
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
        let taking = self.ends.take();
        let result = act(&mut Work {
            ends: &self.ends,
            writing: &mut self.writing,
            scratch: around.scratch,
            hearing,
            progress: &mut progress,
        });
        drop(taking);
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
