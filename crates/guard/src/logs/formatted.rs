//! The lines of both streams in one file, each with its time and stream.
//!
//! Lines are made of what a pipe still holds, and it is taken out when they are in the file, so that a guard that is killed
//! has done both or neither: see [`super::undo`].

use std::io;
use std::path::Path;
use std::sync::Arc;

use menshen_api::types::Stream;
use menshen_os::output::Pipe;
use menshen_plan::definition::Rotate;

use super::append::{Batch, Kept, append};
use super::current::Current;
use super::ears::Hearing;
use super::format::{LineFormat, Stamp};
use super::lines::{Ends, LINE_BYTES_MAX, Piece, Splitter};
use super::names::Stem;
use super::now::Now;
use super::pour::{Pour, Progress};
use super::raw::Scratch;
use super::rotate::{Limits, Room};
use super::tail::Tail;
use super::trouble::Trouble;
use super::undo::Undo;
use super::writing::Input;

/// For so much memory is kept.
const KEPT: Amount = Amount { bytes: LINE_BYTES_MAX, lines: 1024 };
/// The same while much is written: to have the memory anew each time takes as long as to make the lines.
const KEPT_WHILE_MUCH_IS_WRITTEN: Amount = Amount { bytes: 1024 * 1024, lines: 16 * 1024 };

/// Both streams.
#[derive(Debug)]
pub(super) struct Formatted {
    pub(super) current: Current,
    pub(super) limits: Limits,
    pub(super) format: LineFormat,
    splitters: [Splitter; 2],
    tails: [Tail; 2],
    made: Made,
    /// Whether the file was looked at: whose it is, and how it ends.
    joined: bool,
}

/// Lines of one stream that are not in the file yet. What they need memory for is shared by all services, unless they wait for
/// a file that does not take them.
#[derive(Debug)]
pub(super) struct Made {
    stream: Stream,
    lines: Vec<u8>,
    /// Where each line ends.
    ends: Vec<Place>,
    /// The end of all.
    end: Place,
    /// Up to here they are in the file, and what they were made of has left the pipe.
    done: Place,
}

/// So many lines, of so many bytes in all.
#[derive(Debug, Clone, Copy)]
struct Amount {
    bytes: usize,
    lines: usize,
}

/// A place among lines, and in what they are made of, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    lines: usize,
    pipe: usize,
}

/// What a step works with.
pub(super) struct Tools<'a, 'h> {
    pub(super) pipes: &'a [Pipe; 2],
    pub(super) undo: &'a mut Undo,
    pub(super) hearing: &'a mut Hearing<'h>,
    pub(super) progress: &'a mut Progress,
}

impl Formatted {
    /// Goes on with what another guard kept of a line.
    pub(super) fn new(folder: &Arc<Path>, format: LineFormat, rotate: &Rotate, pipes: &[Pipe; 2]) -> io::Result<Self> {
        let [(out, begun_out), (err, begun_err)] = [Tail::open(pipes[0].path())?, Tail::open(pipes[1].path())?];
        Ok(Self {
            current: Current::new(Arc::clone(folder), Stem::Output),
            limits: Limits::of_lines(rotate),
            format,
            splitters: [begun_out, begun_err].map(Splitter::resume),
            tails: [out, err],
            made: Made::default(),
            joined: false,
        })
    }

    /// Takes at most so many bytes of what the pipe holds, and appends the lines that are complete with them.
    pub(super) fn copy(
        &mut self,
        input: Input<'_>,
        bytes_max: usize,
        scratch: &mut Scratch,
        hearing: &mut Hearing<'_>,
        progress: &mut Progress,
    ) -> io::Result<()> {
        if self.made.is_done() {
            self.made = std::mem::take(&mut scratch.made);
        }
        let (stream, before) = (input.stream as usize, progress.taken[input.stream as usize]);
        let copied = self.copy_some(input, bytes_max, scratch, hearing, progress);
        if self.made.is_done() {
            let is_much = progress.taken[stream] - before > LINE_BYTES_MAX;
            self.made.shrink_to(if is_much { KEPT_WHILE_MUCH_IS_WRITTEN } else { KEPT });
            scratch.made = std::mem::take(&mut self.made);
        }
        copied
    }

    fn copy_some(
        &mut self,
        input: Input<'_>,
        bytes_max: usize,
        scratch: &mut Scratch,
        hearing: &mut Hearing<'_>,
        progress: &mut Progress,
    ) -> io::Result<()> {
        let stamp = Stamp::new(hearing.now.wall_ms);
        let Scratch { buffer, undo, .. } = scratch;
        // What lines were made of already is still there.
        let mut left = bytes_max.saturating_sub(self.made.waiting(input.stream));
        loop {
            self.add(&mut Tools { pipes: input.pipes, undo, hearing, progress })?;
            let most = left.min(buffer.len());
            let count = undo.peek().look(input.pipe(), &mut buffer[..most])?;
            if count == 0 {
                return Ok(());
            }
            self.make(&buffer[..count], input.stream, &stamp, hearing);
            left -= count;
        }
    }

    /// Makes lines of what a pipe holds next.
    fn make(&mut self, bytes: &[u8], stream: Stream, stamp: &Stamp, hearing: &mut Hearing<'_>) {
        let (format, made) = (self.format, self.made.begin(stream));
        let listens = hearing.any();
        self.splitters[stream as usize].push(bytes, |piece| {
            format.write(stamp, stream, piece, &mut made.lines);
            if piece.ends == Ends::Here {
                made.ends.push(Place { lines: made.lines.len(), pipe: piece.next });
            }
            if listens {
                hearing.hear(stream, piece);
            }
        });
        made.end = Place { lines: made.lines.len(), pipe: bytes.len() };
    }

    /// Goes on where another guard ended: what it left of a line is a line, and a file of the other format is closed.
    pub(super) fn join(&mut self, now: Now, progress: &mut Progress) -> io::Result<()> {
        if self.joined {
            return Ok(());
        }
        self.current.resume()?;
        if self.current.first_byte().is_some_and(|first| !self.format.begins(first)) {
            Pour { current: &mut self.current, limits: &self.limits, now, progress }.close();
        }
        if !self.current.ends_with_line()? {
            self.current.append(now, |end| Ok((end.file.write_at(b"\n", end.state.length)?, ())))?;
        }
        self.joined = true;
        Ok(())
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.made.is_done()
    }

    /// Appends the lines that were made.
    fn add(&mut self, tools: &mut Tools<'_, '_>) -> io::Result<()> {
        if self.made.is_done() {
            return Ok(());
        }
        tools.undo.undo_left(tools.pipes)?;
        self.join(tools.hearing.now, tools.progress)?;
        self.current.check()?;
        while let Some(to) = self.next(tools.hearing.now, tools.progress)? {
            self.step(to, tools)?;
        }
        Ok(())
    }

    /// Up to where the next step goes: it is within one file.
    fn next(&mut self, now: Now, progress: &mut Progress) -> io::Result<Option<Place>> {
        if self.made.is_done() {
            return Ok(None);
        }
        if self.made.done.lines == self.made.end.lines {
            return Ok(Some(self.made.end));
        }
        loop {
            match self.current.room(&self.limits, now)? {
                Room::Bytes(room) => return Ok(Some(self.made.line_end(room))),
                Room::ToLineEnd(_) => return Ok(Some(self.made.line_end(1))),
                Room::None => {
                    Pour { current: &mut self.current, limits: &self.limits, now, progress }.close();
                    self.current.check()?;
                }
            }
        }
    }

    fn step(&mut self, to: Place, tools: &mut Tools<'_, '_>) -> io::Result<()> {
        let Self { current, splitters, tails, made, .. } = self;
        let stream = made.stream as usize;
        let batch = Batch {
            pipe: &tools.pipes[stream],
            lines: &made.lines[made.done.lines..to.lines],
            begun: if to == made.end { splitters[stream].begun() } else { &[] },
            takes: to.pipe - made.done.pipe,
        };
        let Kept { note, tail } = append(&batch, current, &mut tails[stream], tools.undo, tools.hearing.now)?;
        tools.progress.bytes += batch.lines.len();
        tools.progress.taken[stream] += batch.takes;
        made.done = to;
        tools.hearing.tell(Trouble::Noting, note, "output on its way to the log is not noted");
        if let Some(tail) = tail {
            tools.hearing.tell(Trouble::Keeping, tail, "what a line begins with is not kept");
        }
        Ok(())
    }

    /// Appends what has no end yet: as a line if the run is over, as a piece if it goes on elsewhere.
    pub(super) fn end_begun(&mut self, stream: Stream, ends: Ends, tools: &mut Tools<'_, '_>) -> io::Result<()> {
        self.add(tools)?;
        if self.splitters[stream as usize].is_empty() {
            self.made = Made::default();
            return Ok(());
        }
        let stamp = Stamp::new(tools.hearing.now.wall_ms);
        let (format, made) = (self.format, self.made.begin(stream));
        let each = |piece: Piece<'_>| {
            format.write(&stamp, stream, piece, &mut made.lines);
            tools.hearing.hear(stream, piece);
        };
        match ends {
            Ends::Here => self.splitters[stream as usize].end(each),
            Ends::Later => self.splitters[stream as usize].break_off(each),
        }
        self.made.end = Place { lines: self.made.lines.len(), pipe: 0 };
        self.add(tools)?;
        self.made = Made::default();
        Ok(())
    }

    /// The guard ends: what has no end yet is appended as a piece, unless the next guard finds it beside its pipe.
    pub(super) fn leave(&mut self, tools: &mut Tools<'_, '_>) -> io::Result<()> {
        for stream in Stream::ALL {
            if self.tails[stream as usize].is_empty() {
                self.end_begun(stream, Ends::Later, tools)?;
            }
        }
        Ok(())
    }

    /// Nothing more comes: what is kept of lines is in the file, or is lost with the log.
    pub(super) fn forget(&mut self) {
        for tail in &mut self.tails {
            // One that stays is found by nobody, unless there is a service of this name again before the next boot.
            let _ = tail.forget();
        }
    }
}

impl Default for Made {
    fn default() -> Self {
        let none = Place::default();
        Self { stream: Stream::Stdout, lines: Vec::new(), ends: Vec::new(), end: none, done: none }
    }
}

impl Made {
    /// Lines of a stream are made anew.
    fn begin(&mut self, stream: Stream) -> &mut Self {
        self.stream = stream;
        self.lines.clear();
        self.ends.clear();
        self.done = Place::default();
        self
    }

    fn is_done(&self) -> bool {
        self.done == self.end
    }

    /// How many bytes it is made of are in the pipe of a stream.
    fn waiting(&self, stream: Stream) -> usize {
        if self.stream == stream { self.end.pipe - self.done.pipe } else { 0 }
    }

    /// The first end of a line that is at least so many bytes ahead, or else the end of all.
    fn line_end(&self, ahead: u64) -> Place {
        let least = self.done.lines.saturating_add(usize::try_from(ahead).unwrap_or(usize::MAX));
        let at = self.ends.partition_point(|end| end.lines < least);
        // What comes after the last line belongs to it: it has no end.
        self.ends.get(at).copied().filter(|end| end.lines < self.end.lines).unwrap_or(self.end)
    }

    /// Gives back memory beyond that for so much; what was made is in the file.
    fn shrink_to(&mut self, kept: Amount) {
        self.lines.clear();
        self.ends.clear();
        self.lines.shrink_to(kept.bytes);
        self.ends.shrink_to(kept.lines);
    }
}

#[cfg(test)]
impl Formatted {
    /// The memory it keeps for output, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        let begun: usize = self.splitters.iter().map(Splitter::kept_bytes).sum();
        begun + self.made.lines.capacity() + self.made.ends.capacity() * size_of::<Place>()
    }
}
