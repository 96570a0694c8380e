//! A stream's bytes as they are.
//!
//! They go from the pipe to the file within the kernel: few are moved, which makes whoever writes more of them wait; many are
//! copied from the pages of the pipe, which takes more meanwhile, and leave it then. Whoever listens to lines reads them back
//! from the file, which is still in memory. Where the kernel refuses, they are read and written.

use std::io;
use std::path::Path;
use std::sync::Arc;

use menshen_api::types::Stream;
use menshen_os::output::{LogFile, Pipe};
use menshen_plan::definition::Rotate;

use super::append::{Batch, append};
use super::current::Current;
use super::ears::Hearing;
use super::formatted::Made;
use super::lines::Splitter;
use super::names::Stem;
use super::now::Now;
use super::pour::{FromPipe, Pending, Pour, Progress, WRITE_BYTES_MAX};
use super::rotate::{CUT_WITHIN_BYTES, Limits};
use super::tail::Tail;
use super::undo::Undo;

/// What is used by one service after the other.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) buffer: Vec<u8>,
    peeked: Vec<u8>,
    pub(super) made: Made,
    pub(super) undo: Undo,
}

impl Scratch {
    /// With what has to be undone in the folder of the guard's pipes.
    pub(super) fn new(pipes: &Path) -> io::Result<Self> {
        let peeked = vec![0; usize::try_from(CUT_WITHIN_BYTES).unwrap_or(usize::MAX)];
        Ok(Self { buffer: vec![0; WRITE_BYTES_MAX], peeked, made: Made::default(), undo: Undo::open(pipes)? })
    }
}

/// One stream.
#[derive(Debug)]
pub(super) struct Raw {
    stream: Stream,
    pub(super) current: Current,
    pub(super) limits: Limits,
    way: Way,
    /// For those who listen to lines.
    splitter: Splitter,
}

#[derive(Debug)]
enum Way {
    Move,
    ReadAndWrite(Pending),
}

impl Raw {
    pub(super) fn new(folder: &Arc<Path>, stream: Stream, rotate: &Rotate) -> Self {
        let current = Current::new(Arc::clone(folder), Stem::of(stream));
        Self { stream, current, limits: Limits::of_bytes(rotate), way: Way::Move, splitter: Splitter::default() }
    }

    /// Copies at most so many bytes of what the pipe holds.
    pub(super) fn copy(
        &mut self,
        pipe: &Pipe,
        bytes_max: usize,
        scratch: &mut Scratch,
        hearing: &mut Hearing<'_>,
        progress: &mut Progress,
    ) -> io::Result<()> {
        let before = progress.taken[self.stream as usize];
        self.copy_once(pipe, bytes_max, scratch, hearing, progress)?;
        if std::mem::take(&mut progress.refused) {
            self.way = Way::ReadAndWrite(Pending::default());
            let bytes_max = bytes_max.saturating_sub(progress.taken[self.stream as usize] - before);
            self.copy_once(pipe, bytes_max, scratch, hearing, progress)?;
        }
        Ok(())
    }

    fn copy_once(
        &mut self,
        pipe: &Pipe,
        bytes_max: usize,
        scratch: &mut Scratch,
        hearing: &mut Hearing<'_>,
        progress: &mut Progress,
    ) -> io::Result<()> {
        let now = hearing.now;
        let Scratch { buffer, peeked, undo, made: _ } = scratch;
        let listening = hearing.any();
        if !listening {
            self.splitter.clear();
        }
        let hear = |file: &LogFile, offset: u64, count: usize| {
            if listening {
                // What cannot be read back is not heard; it is in the file.
                let read = file.read_at(&mut buffer[..count], offset).unwrap_or(0);
                self.splitter.push(&buffer[..read], |piece| hearing.hear(self.stream, piece));
            }
        };
        let mut pour = Pour { current: &mut self.current, limits: &self.limits, now, progress };
        match &mut self.way {
            Way::Move => {
                undo.undo_left(std::slice::from_ref(pipe))?;
                let before = pour.progress.bytes;
                let poured = pour.run(&mut FromPipe { pipe, undo: &mut *undo, buffer: peeked }, bytes_max, hear);
                progress.taken[self.stream as usize] += progress.bytes - before;
                // A note that stays has the full spool to show that it means nothing.
                let _ = undo.end();
                poured
            }
            Way::ReadAndWrite(pending) => read_and_write((pipe, self.stream), bytes_max, peeked, pending, pour, hear),
        }
    }

    /// Writes what another guard kept of a line, when it made lines of this stream.
    pub(super) fn begin_with(
        &mut self,
        tail: &mut Tail,
        begun: &[u8],
        pipe: &Pipe,
        undo: &mut Undo,
        now: Now,
    ) -> io::Result<()> {
        self.current.check()?;
        let batch = Batch { pipe, lines: begun, begun: &[], takes: 0 };
        append(&batch, &mut self.current, tail, undo, now)?;
        // An empty one that stays is as good as none.
        let _ = tail.forget();
        Ok(())
    }

    pub(super) fn has_pending(&self) -> bool {
        match &self.way {
            Way::Move => false,
            Way::ReadAndWrite(pending) => !pending.is_empty(),
        }
    }

    /// The run is over: those who listen get a last line that has no end.
    pub(super) fn end(&mut self, hearing: &mut Hearing<'_>) {
        self.splitter.end(|piece| hearing.hear(self.stream, piece));
    }
}

fn read_and_write(
    (pipe, stream): (&Pipe, Stream),
    bytes_max: usize,
    buffer: &mut [u8],
    pending: &mut Pending,
    mut pour: Pour<'_>,
    mut hear: impl FnMut(&LogFile, u64, usize),
) -> io::Result<()> {
    let mut left = bytes_max;
    loop {
        pour.run(pending, usize::MAX, &mut hear)?;
        let most = left.min(buffer.len());
        let Some(count) = pipe.read(&mut buffer[..most])? else { return Ok(()) };
        pending.add().extend_from_slice(&buffer[..count]);
        pour.progress.taken[stream as usize] += count;
        left -= count;
    }
}

#[cfg(test)]
impl Raw {
    /// As if the kernel moved nothing.
    pub(super) fn refuse_moves(&mut self) {
        self.way = Way::ReadAndWrite(Pending::default());
    }
    /// The memory it keeps for output, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        self.splitter.kept_bytes()
    }
}
