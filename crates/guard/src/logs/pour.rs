//! From wherever bytes are to the end of the file that is being written, closing files on the way.

use std::io;

use memchr::memchr;
use menshen_os::output::{LogFile, Moved, Pipe};

use super::append::append_many;
use super::current::{Current, End};
use super::now::Now;
use super::rotate::{CUT_WITHIN_BYTES, Limits, Room};
use super::undo::Undo;

/// The most that is written at once, in bytes: often enough for the index, and the writer of a pipe waits no longer than
/// that takes.
pub(super) const WRITE_BYTES_MAX: usize = 256 * 1024;

/// Where bytes come from.
pub(super) trait Source {
    /// The next bytes, at most so many, without taking them. Empty if there are none.
    fn peek(&mut self, bytes_max: usize) -> io::Result<&[u8]>;

    /// Moves at most so many to the end of a log.
    fn move_to(&mut self, end: End<'_>, bytes_max: usize) -> io::Result<Moved>;
}

/// A pipe whose bytes go into the file without passing through the guard.
pub(super) struct FromPipe<'a> {
    pub(super) pipe: &'a Pipe,
    pub(super) undo: &'a mut Undo,
    pub(super) buffer: &'a mut [u8],
}

impl Source for FromPipe<'_> {
    fn peek(&mut self, bytes_max: usize) -> io::Result<&[u8]> {
        let length = bytes_max.min(self.buffer.len());
        let seen = self.undo.peek().look(self.pipe, &mut self.buffer[..length])?;
        Ok(&self.buffer[..seen])
    }

    fn move_to(&mut self, end: End<'_>, bytes_max: usize) -> io::Result<Moved> {
        match append_many(self.pipe, end, bytes_max, self.undo)? {
            Some(moved) => Ok(moved),
            None => self.pipe.move_into(end.file, end.state.length, bytes_max),
        }
    }
}

/// Bytes that were taken and are not in a file yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    written: usize,
}

impl Pending {
    /// The buffer to add more to.
    pub(super) fn add(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }
}

impl Source for Pending {
    fn peek(&mut self, bytes_max: usize) -> io::Result<&[u8]> {
        let left = &self.bytes[self.written..];
        Ok(&left[..left.len().min(bytes_max)])
    }

    fn move_to(&mut self, end: End<'_>, bytes_max: usize) -> io::Result<Moved> {
        let bytes = self.peek(bytes_max)?;
        if bytes.is_empty() {
            return Ok(Moved::Nothing);
        }
        let count = end.file.write_at(bytes, end.state.length)?;
        self.written += count;
        if self.is_empty() {
            self.bytes.clear();
            self.written = 0;
        }
        Ok(Moved::Bytes(count))
    }
}

/// What was done so far; told even if an error ends it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Written in all.
    pub(super) bytes: usize,
    /// Taken from each pipe in all.
    pub(super) taken: [usize; 2],
    /// Files that were closed.
    pub(super) closed: u32,
    /// Why a file that should have been closed was not; it is written on.
    pub(super) close_error: Option<io::Error>,
    /// The kernel does not copy from this pipe into this file.
    pub(super) refused: bool,
}

/// The file, and what is known of this moment.
pub(super) struct Pour<'a> {
    pub(super) current: &'a mut Current,
    pub(super) limits: &'a Limits,
    pub(super) now: Now,
    pub(super) progress: &'a mut Progress,
}

impl Pour<'_> {
    /// Writes until the source is empty or so many bytes were written. `written` is told of every piece: in which file, at
    /// which offset, how much.
    pub(super) fn run(
        &mut self,
        source: &mut impl Source,
        bytes_max: usize,
        mut written: impl FnMut(&LogFile, u64, usize),
    ) -> io::Result<()> {
        self.current.check()?;
        let mut left = bytes_max;
        loop {
            let Some(room) = self.room(source, left)? else { continue };
            if room == 0 {
                return Ok(());
            }
            let moved = self.current.append(self.now, |end| {
                let moved = source.move_to(end, room)?;
                let Moved::Bytes(count) = moved else { return Ok((0, moved)) };
                written(end.file, end.state.length, count);
                Ok((count, moved))
            })?;
            match moved {
                Moved::Bytes(count) => {
                    self.progress.bytes += count;
                    left = left.saturating_sub(count);
                }
                Moved::Nothing => return Ok(()),
                Moved::Refused => {
                    self.progress.refused = true;
                    return Ok(());
                }
            }
        }
    }

    /// How much may be written next; zero if there is nothing to write. None if the file was closed.
    fn room(&mut self, source: &mut impl Source, left: usize) -> io::Result<Option<usize>> {
        let at_most = |room: u64| usize::try_from(room).unwrap_or(usize::MAX).min(left).min(WRITE_BYTES_MAX);
        Ok(match self.current.room(self.limits, self.now)? {
            Room::Bytes(room) => Some(at_most(room)),
            Room::ToLineEnd(room) => {
                let next = source.peek(at_most(room.min(CUT_WITHIN_BYTES)))?;
                Some(memchr(b'\n', next).map_or(next.len(), |at| at + 1))
            }
            Room::None => {
                self.close();
                self.current.check()?;
                None
            }
        })
    }

    /// Closes the file if it is old enough and ends with a line.
    pub(super) fn close_aged(&mut self) -> io::Result<()> {
        self.current.check()?;
        if self.current.room(self.limits, self.now)? == Room::None {
            self.close();
        }
        Ok(())
    }

    /// Closes the file; if that fails, it is written on.
    pub(super) fn close(&mut self) {
        match self.current.close(self.now) {
            Ok(()) => self.progress.closed += 1,
            Err(error) => self.progress.close_error = Some(error),
        }
    }
}
