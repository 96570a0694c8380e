//! The lines of both streams in one file, each with its time and stream.
//!
//! Taking bytes from the pipe, making lines of them and appending the lines are three steps. A guard that is killed between
//! the first and the last loses what is between.

use std::io;
use std::path::Path;
use std::sync::Arc;

use menshen_api::types::Stream;
use menshen_plan::definition::Rotate;

use super::current::Current;
use super::ears::Hearing;
use super::format::{LineFormat, Stamp};
use super::lines::{Ends, Piece, Splitter};
use super::names::Stem;
use super::now::Now;
use super::pour::{Pending, Pour, Progress};
use super::rotate::Limits;
use super::writing::Input;

/// Both streams.
#[derive(Debug)]
pub(super) struct Formatted {
    pub(super) current: Current,
    pub(super) limits: Limits,
    pub(super) format: LineFormat,
    splitters: [Splitter; 2],
    /// Lines that are not in the file yet.
    pending: Pending,
    /// Whether the file was looked at: whose it is, and how it ends.
    joined: bool,
}

impl Formatted {
    pub(super) fn new(folder: &Arc<Path>, format: LineFormat, rotate: &Rotate) -> Self {
        Self {
            current: Current::new(Arc::clone(folder), Stem::Output),
            limits: Limits::of_lines(rotate),
            format,
            splitters: [Splitter::default(), Splitter::default()],
            pending: Pending::default(),
            joined: false,
        }
    }

    /// Takes at most so many bytes of what the pipe holds, and appends the lines that are complete with them.
    pub(super) fn copy(
        &mut self,
        input: Input<'_>,
        bytes_max: usize,
        buffer: &mut [u8],
        hearing: &mut Hearing<'_>,
        progress: &mut Progress,
    ) -> io::Result<()> {
        let stamp = Stamp::new(hearing.now.wall_ms);
        let mut left = bytes_max;
        loop {
            self.append(hearing.now, progress)?;
            let most = left.min(buffer.len());
            let Some(count) = input.pipe.read(&mut buffer[..most])? else { break };
            self.format(&buffer[..count], input.stream, &stamp, hearing);
            left -= count;
        }
        self.pending.shrink();
        Ok(())
    }

    fn format(&mut self, bytes: &[u8], stream: Stream, stamp: &Stamp, hearing: &mut Hearing<'_>) {
        let (format, into) = (self.format, self.pending.add());
        let listens = hearing.any();
        self.splitters[stream as usize].push(bytes, |piece| {
            format.write(stamp, stream, piece, into);
            if listens {
                hearing.hear(stream, piece);
            }
        });
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
            self.pending.add().insert(0, b'\n');
        }
        self.joined = true;
        Ok(())
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn append(&mut self, now: Now, progress: &mut Progress) -> io::Result<()> {
        if !self.joined {
            self.join(now, progress)?;
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut pour = Pour { current: &mut self.current, limits: &self.limits, now, progress };
        pour.run(&mut self.pending, usize::MAX, |_, _, _| ())
    }

    /// Appends what has no end yet: as a line if the run is over, as a piece if the guard is.
    pub(super) fn finish(
        &mut self,
        stream: Stream,
        ends: Ends,
        hearing: &mut Hearing<'_>,
        progress: &mut Progress,
    ) -> io::Result<()> {
        let stamp = Stamp::new(hearing.now.wall_ms);
        let (format, into) = (self.format, self.pending.add());
        let each = |piece: Piece<'_>| {
            format.write(&stamp, stream, piece, into);
            hearing.hear(stream, piece);
        };
        match ends {
            Ends::Here => self.splitters[stream as usize].end(each),
            Ends::Later => self.splitters[stream as usize].break_off(each),
        }
        self.append(hearing.now, progress)
    }
}
