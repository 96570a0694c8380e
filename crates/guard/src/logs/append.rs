//! Appending as a step that is done or not, whenever the guard is killed: see [`super::undo`].

use std::io;

use menshen_os::fail_point::{FailPoint, reach};
use menshen_os::output::{Moved, Pipe};

use super::current::{Current, End};
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
        let write = |end: End<'_>| end.file.write_at(part, end.state.length).map(|count| (count, count));
        left = &left[current.append(now, write)?..];
    }
    Ok(())
}

/// Appends the first bytes of a pipe as they are, if many wait there, or did the last time: its writer does not wait for the
/// file then. None if few do, or the step cannot be noted; nothing is done then. The next such step writes over the note;
/// whoever does the last one [ends](Undo::end) it.
pub(super) fn append_many(pipe: &Pipe, end: End<'_>, bytes_max: usize, undo: &mut Undo) -> io::Result<Option<Moved>> {
    let bytes = undo.peek().take_up(pipe, bytes_max)?;
    if bytes == 0 {
        return Ok(None);
    }
    let log = (end.path.to_owned(), end.state, end.state.length + bytes as u64);
    let step = Step { pipe: pipe.path().to_owned(), log: Some(log), tail: None };
    if undo.begin(&step).is_err() {
        return undo.peek().forget().map(|()| None);
    }
    let moved = undo.peek().put(bytes, end.file, end.state.length);
    let taken = match moved {
        Ok(Moved::Bytes(count)) => {
            reach(FailPoint::LogWritten);
            undo.take(pipe, count)
        }
        // A note that stays is of nothing: the log ends where it began.
        Ok(Moved::Nothing | Moved::Refused) | Err(_) => undo.end().or(Ok(())),
    };
    if let Err(error) = taken {
        undo.give_up(step);
        return Err(error);
    }
    moved.map(Some)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;

    use menshen_os::output::{LogFile, Spool};

    use super::*;

    #[test]
    fn many_bytes_are_noted_and_in_the_spool_when_they_are_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let pipe = Pipe::open(&path("out"), None).unwrap();
        pipe.widen();
        let mut undo = Undo::open(folder.path()).unwrap();
        let log = path("log");
        let file = LogFile::open(&log).unwrap();
        file.write_at(b"before\n", 0).unwrap();
        let write = |bytes: &[u8]| OpenOptions::new().write(true).open(path("out")).unwrap().write_all(bytes).unwrap();
        write(b"few\n");
        let end = || End { file: &file, path: &log, state: file.state().unwrap() };
        assert_eq!(append_many(&pipe, end(), 1 << 20, &mut undo).unwrap(), None);
        write(&[b'x'; 400_000]);
        // The second is noted over the first.
        for (bytes, end_bytes) in [(200_000, &b"200007"[..]), (150_000, b"350007")] {
            let moved = append_many(&pipe, end(), bytes, &mut undo).unwrap();
            assert_eq!(moved, Some(Moved::Bytes(bytes)));
            let noted = fs::read(path("unfinished")).unwrap();
            let fields: Vec<&[u8]> = noted.split(|byte| *byte == 0).collect();
            assert!(fields.contains(&log.as_os_str().as_encoded_bytes()), "{fields:?}");
            assert!(fields.contains(&end_bytes), "{fields:?}");
            assert_eq!(Spool::open(&path("spool")).unwrap().waiting().unwrap(), bytes);
        }
        assert_eq!(pipe.waiting().unwrap(), 50_004);
        assert!(fs::read(&log).unwrap().starts_with(b"before\nfew\nxxx"));
        undo.end().unwrap();
        assert_eq!(Spool::open(&path("spool")).unwrap().waiting().unwrap(), 0);
    }
}
