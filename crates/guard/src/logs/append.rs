//! Appending lines as a step that is done or not, whenever the guard is killed: see [`super::undo`].

use std::io;

use menshen_os::output::{LogFile, Pipe};

use super::current::Current;
use super::now::Now;
use super::pour::WRITE_BYTES_MAX;
use super::tail::Tail;
use super::undo::{Step, Undo};

/// What is done in one step.
pub(super) struct Batch<'a> {
    pub(super) pipe: &'a Pipe,
    /// They are appended.
    pub(super) lines: &'a [u8],
    /// What a line begins with from then on.
    pub(super) begun: &'a [u8],
    /// How many bytes leave the pipe.
    pub(super) takes: usize,
}

/// What the next guard finds out about a step that was done, if this one is killed.
pub(super) struct Kept {
    /// Whether it was done.
    pub(super) note: io::Result<()>,
    /// What a line begins with; `None` if nothing had to be kept.
    pub(super) tail: Option<io::Result<()>>,
}

/// Does a step with a log that is open.
pub(super) fn append(
    batch: &Batch<'_>,
    current: &mut Current,
    tail: &mut Tail,
    undo: &mut Undo,
    now: Now,
) -> io::Result<Kept> {
    let keeps = !batch.begun.is_empty() || !tail.is_empty();
    let log = current.state().filter(|_| !batch.lines.is_empty());
    let log = log.map(|(path, before)| (path.to_owned(), before, before.length + batch.lines.len() as u64));
    let step = Step { pipe: batch.pipe.path().to_owned(), log, tail: keeps.then(|| tail.next()) };
    let begun = undo.begin(&step);
    let kept = write(batch.lines, current, now).and_then(|()| {
        let kept = keeps.then(|| tail.write(batch.begun));
        if batch.takes > 0 { undo.take(batch.pipe, batch.takes) } else { Ok(()) }.map(|()| kept)
    });
    let kept = kept.inspect_err(|_| undo.give_up(step))?;
    let note = begun.and_then(|()| undo.end());
    match &kept {
        Some(Ok(())) => tail.advance(batch.begun.is_empty()),
        // What was kept before is in the log, or begins what could not be kept.
        Some(Err(_)) => drop(tail.forget()),
        None => {}
    }
    Ok(Kept { note, tail: kept })
}

fn write(lines: &[u8], current: &mut Current, now: Now) -> io::Result<()> {
    let mut left = lines;
    while !left.is_empty() {
        let part = &left[..left.len().min(WRITE_BYTES_MAX)];
        let write = |file: &LogFile, end| file.write_at(part, end).map(|count| (count, count));
        left = &left[current.append(now, write)?..];
    }
    Ok(())
}
