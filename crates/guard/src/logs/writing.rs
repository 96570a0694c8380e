//! How a service's output is written, by its plan's format.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use menshen_api::types::Stream;
use menshen_os::output::{LogFile, Pipe};
use menshen_plan::definition::{Log, LogFormat, Rotate};

use super::current::Current;
use super::ears::Hearing;
use super::format::LineFormat;
use super::formatted::{Formatted, Tools};
use super::lines::Ends;
use super::names::Stem;
use super::now::Now;
use super::pour::{Pour, Progress};
use super::raw::{Raw, Scratch};
use super::rotate::Limits;
use super::tail::Tail;
use super::undo::Undo;

/// Where output comes from.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) pipes: &'a [Pipe; 2],
    pub(super) stream: Stream,
}

impl<'a> Input<'a> {
    pub(super) const fn pipe(self) -> &'a Pipe {
        &self.pipes[self.stream as usize]
    }
}

/// The files of one service that are being written.
#[derive(Debug)]
pub(super) enum Writing {
    /// A file for each stream.
    Raw(Box<[Raw; 2]>),
    /// One file for both.
    Formatted(Box<Formatted>),
}

impl Writing {
    /// No file is opened yet.
    pub(super) fn new(folder: &Arc<Path>, plan: &Log, pipes: &[Pipe; 2]) -> io::Result<Self> {
        let formatted = |format| Ok(Self::Formatted(Box::new(Formatted::new(folder, format, &plan.rotate, pipes)?)));
        match plan.format {
            LogFormat::Raw => Ok(Self::Raw(Box::new(Stream::ALL.map(|stream| Raw::new(folder, stream, &plan.rotate))))),
            LogFormat::Text => formatted(LineFormat::Text),
            LogFormat::Json => formatted(LineFormat::Json),
        }
    }

    /// The format it writes.
    pub(super) const fn format(&self) -> LogFormat {
        match self {
            Self::Raw(_) => LogFormat::Raw,
            Self::Formatted(formatted) => match formatted.format {
                LineFormat::Text => LogFormat::Text,
                LineFormat::Json => LogFormat::Json,
            },
        }
    }

    /// Goes on where another guard ended.
    pub(super) fn join(&mut self, now: Now, progress: &mut Progress) -> io::Result<()> {
        match self {
            Self::Raw(streams) => streams.iter_mut().try_for_each(|raw| raw.current.resume()),
            Self::Formatted(formatted) => formatted.join(now, progress),
        }
    }

    /// Writes what another guard kept of lines, if it made some and this one does not.
    pub(super) fn take_tails(&mut self, pipes: &[Pipe; 2], undo: &mut Undo, now: Now) -> io::Result<()> {
        let Self::Raw(streams) = self else { return Ok(()) };
        for (raw, pipe) in streams.iter_mut().zip(pipes) {
            let (mut tail, begun) = Tail::open(pipe.path())?;
            if !begun.is_empty() {
                raw.begin_with(&mut tail, &begun, pipe, undo, now)?;
            }
        }
        Ok(())
    }

    /// Follows other rules from now on.
    pub(super) fn set_rotate(&mut self, rotate: &Rotate) {
        match self {
            Self::Raw(streams) => streams.iter_mut().for_each(|raw| raw.limits = Limits::of_bytes(rotate)),
            Self::Formatted(formatted) => formatted.limits = Limits::of_lines(rotate),
        }
    }

    /// Copies at most so many bytes of what a pipe holds.
    pub(super) fn copy(
        &mut self,
        input: Input<'_>,
        bytes_max: usize,
        scratch: &mut Scratch,
        hearing: &mut Hearing<'_>,
        progress: &mut Progress,
    ) -> io::Result<()> {
        match self {
            Self::Raw(streams) => {
                streams[input.stream as usize].copy(input.pipe(), bytes_max, scratch, hearing, progress)
            }
            Self::Formatted(formatted) => formatted.copy(input, bytes_max, scratch, hearing, progress),
        }
    }

    /// Whether something was taken that is in no file yet.
    pub(super) fn has_pending(&self, stream: Stream) -> bool {
        match self {
            Self::Raw(streams) => streams[stream as usize].has_pending(),
            Self::Formatted(formatted) => formatted.has_pending(),
        }
    }

    /// Writes, and passes on, what has no end yet.
    pub(super) fn end_begun(&mut self, ends: Ends, tools: &mut Tools<'_, '_>) -> io::Result<()> {
        match self {
            Self::Raw(streams) => {
                streams.iter_mut().for_each(|raw| raw.end(tools.hearing));
                Ok(())
            }
            Self::Formatted(formatted) => {
                Stream::ALL.into_iter().try_for_each(|stream| formatted.end_begun(stream, ends, tools))
            }
        }
    }

    /// The guard ends: nothing of what was taken is lost.
    pub(super) fn leave(&mut self, tools: &mut Tools<'_, '_>) -> io::Result<()> {
        match self {
            Self::Raw(streams) => {
                streams.iter_mut().for_each(|raw| raw.end(tools.hearing));
                Ok(())
            }
            Self::Formatted(formatted) => formatted.leave(tools),
        }
    }

    /// Leaves nothing to the next guard.
    pub(super) fn forget(&mut self) {
        match self {
            Self::Raw(_) => {}
            Self::Formatted(formatted) => formatted.forget(),
        }
    }

    /// When the next file will be old enough, in milliseconds since 1970.
    pub(super) fn due_ms(&self) -> Option<i64> {
        match self {
            Self::Raw(streams) => streams.iter().filter_map(|raw| raw.current.due_ms(&raw.limits)).min(),
            Self::Formatted(formatted) => formatted.current.due_ms(&formatted.limits),
        }
    }

    /// When room that was set aside is given back next.
    pub(super) fn give_back_at(&self) -> Option<Instant> {
        match self {
            Self::Raw(streams) => streams.iter().filter_map(|raw| raw.current.give_back_at()).min(),
            Self::Formatted(formatted) => formatted.current.give_back_at(),
        }
    }

    /// Gives back room that was set aside long enough.
    pub(super) fn give_back(&mut self, now: Now) {
        for (current, _) in self.files() {
            current.give_back(now);
        }
    }

    /// Closes files that are old enough.
    pub(super) fn close_aged(&mut self, now: Now, progress: &mut Progress) -> io::Result<()> {
        for (current, limits) in self.files() {
            Pour { current, limits, now, progress }.close_aged()?;
        }
        Ok(())
    }

    /// Closes all files, for good; empty ones go.
    pub(super) fn close(&mut self, now: Now, progress: &mut Progress) {
        for (current, limits) in self.files() {
            Pour { current, limits, now, progress }.close();
            current.remove_empty();
        }
    }

    fn files(&mut self) -> Vec<(&mut Current, &Limits)> {
        match self {
            Self::Raw(streams) => streams.iter_mut().map(|raw| (&mut raw.current, &raw.limits)).collect(),
            Self::Formatted(formatted) => vec![(&mut formatted.current, &formatted.limits)],
        }
    }

    const fn stems(&self) -> &'static [Stem] {
        match self {
            Self::Raw(_) => &[Stem::Stdout, Stem::Stderr],
            Self::Formatted(_) => &[Stem::Output],
        }
    }

    /// Closes files that another format left in the folder.
    pub(super) fn close_others(&self, folder: &Arc<Path>, now: Now) -> io::Result<()> {
        for stem in Stem::ALL.into_iter().filter(|stem| !self.stems().contains(stem)) {
            if LogFile::look(&stem.log(folder))?.is_some() {
                let mut current = Current::new(Arc::clone(folder), stem);
                current.check()?;
                current.close(now)?;
                current.remove_empty();
            }
        }
        Ok(())
    }
}
