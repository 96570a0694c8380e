//! The lines of one stem, from log to log.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use memchr::memchr;
use menshen_api::types::Stream;
use menshen_os::error::describe;

use super::super::format::{FORMATTED_BYTES_MAX, Line, matchable};
use super::super::lines::{Ends, Piece, Splitter};
use super::super::names::Stem;
use super::content::Content;
use super::shelf::{OpenLog, Shelf, Standing};
use super::{Query, Unreadable};

/// Read at once, in bytes.
const BLOCK_BYTES: usize = 64 * 1024;
/// How long a log that is not there is not looked for while there are others to read: a folder may have thousands of files.
const ABSENT_FOR: Duration = Duration::from_millis(100);

/// A place in the logs of one stem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

impl Place {
    pub(super) const BEGIN: Self = Self { sequence: 0, offset: 0 };
}

/// Reads the lines of one stem that a query asks for.
pub(super) struct Lane {
    shelf: Shelf,
    picker: Picker,
    /// Where the next log is opened.
    next: Place,
    begins: Begins,
    /// Where to stop; `None` goes on with what is written.
    end: Option<Place>,
    open: Option<OpenLog>,
    /// The log that was read before. It stays open until the next one is, so that the system gives its number to no other.
    last: Option<Content>,
    /// There was no next log when the folder last changed, then.
    absent_at: Option<SystemTime>,
    /// When there was none the last time it was looked for.
    absent_since: Option<Instant>,
    splitter: Splitter,
    /// What comes before the next end of a line is not wanted.
    skipping: bool,
    /// When the line began that has not ended yet.
    line_ms: Option<i64>,
    /// Each with the place after it.
    lines: VecDeque<(Line, Place)>,
    /// After the last line that was taken or is not asked for.
    place: Place,
    /// Lines come no earlier than this in the order of all lanes, so that the order within the lane stays.
    order_ms: i64,
    block: Vec<u8>,
    pub(super) unreadable: Vec<Unreadable>,
}

/// What is at the place where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// The begin of a line, or the rest of one that is not wanted.
    AtALine,
    /// What comes after what somebody has read.
    AfterWhatWasRead,
}

/// What came of reading on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Read,
    /// There is no more, for now or for good.
    End,
}

/// Makes lines of what is read, and picks those that are asked for.
#[derive(Debug, Clone)]
pub(super) struct Picker {
    stem: Stem,
    query: Arc<Query>,
}

impl Picker {
    pub(super) fn new(stem: Stem, query: Arc<Query>) -> Self {
        Self { stem, query }
    }

    /// The line, if it is asked for.
    pub(super) fn pick(&self, bytes: &[u8], ends: Ends, time_ms: Option<i64>) -> Option<Line> {
        let raw = |stream| {
            (self.wants(time_ms, stream, bytes)).then(|| Line { time_ms, stream, bytes: bytes.to_vec(), ends })
        };
        match self.stem {
            Stem::Stdout => raw(Stream::Stdout),
            Stem::Stderr => raw(Stream::Stderr),
            Stem::Output => Some(Line::parse(bytes)).filter(|line| self.wants(line.time_ms, line.stream, &line.bytes)),
        }
    }

    fn wants(&self, time_ms: Option<i64>, stream: Stream, bytes: &[u8]) -> bool {
        let Query { since_ms, grep, stream: only, tail: _, after: _, follow: _, so_far: _ } = &*self.query;
        since_ms.is_none_or(|since_ms| time_ms.is_none_or(|time_ms| time_ms >= since_ms))
            && only.is_none_or(|only| only == stream)
            && grep.as_ref().is_none_or(|grep| grep.is_match(matchable(bytes)))
    }

    /// What takes the bytes of this stem apart.
    pub(super) fn splitter(&self) -> Splitter {
        match self.stem {
            Stem::Stdout | Stem::Stderr => Splitter::default(),
            Stem::Output => Splitter::of_pieces(FORMATTED_BYTES_MAX),
        }
    }
}

impl Lane {
    /// Reads from one place to another.
    pub(super) fn new(shelf: Shelf, picker: Picker, start: Place, end: Place) -> Self {
        Self {
            splitter: picker.splitter(),
            shelf,
            picker,
            next: start,
            begins: Begins::AtALine,
            place: start,
            end: Some(end),
            open: None,
            last: None,
            absent_at: None,
            absent_since: None,
            skipping: false,
            line_ms: None,
            lines: VecDeque::new(),
            order_ms: i64::MIN,
            block: vec![0; BLOCK_BYTES],
            unreadable: Vec::new(),
        }
    }

    /// Reads on from where somebody has read to.
    pub(super) fn after(shelf: Shelf, picker: Picker, start: Place, end: Place) -> Self {
        Self { begins: Begins::AfterWhatWasRead, ..Self::new(shelf, picker, start, end) }
    }

    pub(super) const fn stem(&self) -> Stem {
        self.picker.stem
    }

    /// Where to read on to get what comes after the last line that was taken, and what is not asked for.
    pub(super) const fn place(&self) -> Place {
        self.place
    }

    /// Goes on with whatever is written, from the log that is being written now, whatever becomes of it.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        self.end = None;
        self.look().map(|_| ())
    }

    /// Makes sure that there is a next line, if one is to be had; says where it stands in the order of all lanes.
    pub(super) fn look(&mut self) -> io::Result<Option<i64>> {
        while self.lines.is_empty() {
            if self.step()? == Step::End {
                return Ok(None);
            }
        }
        Ok(self.lines.front().map(|(line, _)| line.time_ms.unwrap_or(self.order_ms).max(self.order_ms)))
    }

    /// Whether there was nothing to read when it was last looked for, which is not long ago.
    pub(super) fn was_absent_just_now(&self) -> bool {
        self.lines.is_empty() && self.absent_since.is_some_and(|since| since.elapsed() < ABSENT_FOR)
    }

    /// Takes the line that was looked at.
    pub(super) fn take(&mut self) -> Option<Line> {
        let (line, place) = self.lines.pop_front()?;
        self.place = place;
        self.order_ms = line.time_ms.unwrap_or(self.order_ms).max(self.order_ms);
        Some(line)
    }

    /// Gives what has not ended yet as a line that goes on. Lines of both streams always end: what seems not to have is being
    /// written.
    pub(super) fn give_unfinished(&mut self) {
        if self.picker.stem != Stem::Output {
            let place = self
                .open
                .as_ref()
                .map_or(self.next, |open| Place { sequence: open.sequence, offset: open.content.position() });
            let (picker, lines, line_ms) = (&self.picker, &mut self.lines, self.line_ms);
            let given = |piece: Piece<'_>| picker.pick(piece.bytes, piece.ends, line_ms).map(|line| (line, place));
            self.splitter.break_off(|piece| lines.extend(given(piece)));
        }
    }

    fn step(&mut self) -> io::Result<Step> {
        let Some(open) = &mut self.open else { return self.open_next() };
        let position = open.content.position();
        let left = match self.end {
            Some(end) if open.sequence == end.sequence => end.offset.saturating_sub(position),
            Some(end) if open.sequence > end.sequence => 0,
            Some(_) | None => u64::MAX,
        };
        if left == 0 {
            return Ok(Step::End);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.block.len());
        match open.content.read(&mut self.block[..most]) {
            Ok(0) => self.at_end_of_log(),
            Ok(count) => {
                self.split(count, position);
                Ok(Step::Read)
            }
            Err(error) => {
                let text = describe(&error);
                self.unreadable.push(Unreadable { log: self.describe_open(), text });
                self.close();
                Ok(Step::Read)
            }
        }
    }

    fn describe_open(&self) -> PathBuf {
        let name = format!("{}.{:08}", self.picker.stem.as_str(), self.open.as_ref().map_or(0, |open| open.sequence));
        self.shelf.folder.join(name)
    }

    /// Nothing more is in the log that is open; there may be later.
    fn at_end_of_log(&mut self) -> io::Result<Step> {
        let Some(open) = &mut self.open else { return Ok(Step::End) };
        if open.standing == Standing::Closed {
            self.close();
            return Ok(Step::Read);
        }
        match self.shelf.current()? {
            Some(state) if open.is(state.id) => {
                if state.length < open.content.position() {
                    // Somebody cut it: a guard what it could not write whole, or an operator.
                    let ended = open.content.position() - self.splitter.begun().len() as u64;
                    let is_begun_line = self.picker.stem == Stem::Output && state.length >= ended;
                    open.content.go_to(if is_begun_line { ended } else { 0 })?;
                    self.give_unfinished();
                    self.splitter.clear();
                    return Ok(Step::Read);
                }
                Ok(Step::End)
            }
            Some(_) | None => {
                // It is closed. Something may have been written to it since it was read to its end.
                open.standing = Standing::Closed;
                open.next = self.shelf.after_current(open.sequence)?;
                Ok(Step::Read)
            }
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.next = Place { sequence: open.next, offset: 0 };
            self.skipping = false;
            self.last = Some(open.content);
        }
    }

    fn open_next(&mut self) -> io::Result<Step> {
        if self.end.is_some_and(|end| self.next >= end) {
            return Ok(Step::End);
        }
        let settled = self.shelf.settled();
        if settled.is_some() && settled == self.absent_at {
            self.absent_since = Some(Instant::now());
            return Ok(Step::End);
        }
        let found = self.shelf.first_from(self.next.sequence)?;
        self.absent_since = found.is_none().then(Instant::now);
        let Some(mut log) = found else {
            self.absent_at = settled;
            return Ok(Step::End);
        };
        let last = self.last.take().and_then(|last| last.id);
        if last.is_some_and(|last| log.is(last)) {
            // It had another number than was thought.
            self.next = Place { sequence: log.next, offset: 0 };
            return Ok(Step::Read);
        }
        if log.sequence != self.next.sequence {
            // What is between is gone, and with it the rest of a line.
            self.give_unfinished();
            self.splitter.clear();
        } else if self.begins == Begins::AfterWhatWasRead && self.picker.stem != Stem::Output {
            log.content.go_to(self.next.offset)?;
        } else if self.next.offset > 0 {
            // What was read may have been cut since, by a guard that made the lines again.
            let current = self.shelf.current()?.filter(|state| log.is(state.id));
            let end = current.map_or(u64::MAX, |state| state.length);
            // The end of a line just before is one, too.
            log.content.go_to(self.next.offset.min(end).saturating_sub(1))?;
            self.skipping = self.next.offset.min(end) > 0;
        }
        self.begins = Begins::AtALine;
        self.open = Some(log);
        Ok(Step::Read)
    }

    /// Makes lines of the first bytes of the block, which stand at an offset of the log.
    fn split(&mut self, count: usize, offset: u64) {
        let mut start = 0;
        if self.skipping {
            let Some(end) = memchr(b'\n', &self.block[..count]) else { return };
            self.skipping = false;
            start = end + 1;
        }
        let Self { picker, splitter, lines, line_ms, open, block, place: passed, .. } = self;
        let sequence = open.as_ref().map_or(0, |open| open.sequence);
        if start > 0 {
            *passed = Place { sequence, offset: offset + start as u64 };
        }
        let mut index = open.as_mut().and_then(|open| open.index.as_mut());
        if let Some(index) = &mut index {
            index.refresh();
        }
        let mut time_at = |at: usize| index.as_mut().and_then(|index| index.time_at(offset + at as u64));
        if splitter.is_empty() {
            *line_ms = time_at(start);
        }
        splitter.push(&block[start..count], |Piece { bytes, ends, next }| {
            let place = Place { sequence, offset: offset + (start + next) as u64 };
            match picker.pick(bytes, ends, *line_ms) {
                Some(line) => lines.push_back((line, place)),
                None if lines.is_empty() => *passed = place,
                None => {}
            }
            *line_ms = time_at(start + next);
        });
    }
}
