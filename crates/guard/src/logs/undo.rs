//! What the next guard has to undo if this one is killed while it adds lines to a log.
//!
//! Lines, and many bytes at once, are added in steps, each of which is noted before it begins:
//! 1. Where the log ends, and where it will, is written down.
//! 2. They are appended, made of bytes that the pipe still holds; what a line begins with is kept in its [`super::tail`].
//! 3. Those bytes leave the pipe for another one, the spool, all at once. That they are there shows that the step is done.
//! 4. The note is cleared, or that of the next step is written over it, and the spool is cleared after it.
//!
//! The next guard finds a note and an empty spool after a kill before the third: it cuts the log to where it ended, and makes
//! them again. A step that takes nothing from a pipe is done when its note is cleared. The spool has a name, and the
//! holder holds it like every pipe of the guard's.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use menshen_os::clock::boot_id;
use menshen_os::fail_point::{FailPoint, reach};
use menshen_os::file::{open_private, write_all_at};
use menshen_os::output::{FileId, FileState, LogFile, Peek, Pipe, Spool};

use super::tail;

/// The spool and the note, in the folder of the guard's pipes.
const SPOOL: &str = "spool";
const NOTE: &str = "unfinished";
/// Of the note's form.
const FORMAT: &str = "1";
/// The last field.
const END: &[u8] = b"end";
/// More than two paths take, in bytes.
const NOTE_BYTES_MAX: u64 = 16 * 1024;

/// What is noted, and what shows that it is done.
#[derive(Debug)]
pub(super) struct Undo {
    folder: PathBuf,
    boot: String,
    /// Nothing can be noted before they are there.
    files: Option<Files>,
    peek: Peek,
    /// A step is noted.
    is_noted: bool,
    /// What could not be undone yet, one for each pipe.
    left: Vec<Step>,
}

#[derive(Debug)]
struct Files {
    note: File,
    spool: Spool,
}

/// What is noted of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Where the lines come from.
    pub(super) pipe: PathBuf,
    /// If something is appended: to what, and how long that will be.
    pub(super) log: Option<(PathBuf, FileState, u64)>,
    /// If what a line begins with is kept anew: under which number.
    pub(super) tail: Option<u64>,
}

impl Undo {
    /// Undoes what another guard left unfinished in this folder.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let boot = boot_id();
        let noted = read(&folder.join(NOTE)).and_then(|bytes| Noted::read(&bytes));
        let step = noted.filter(|noted| noted.boot == boot).and_then(|noted| noted.step);
        // Of a spool that somebody removed nothing is known: a line twice is better than none.
        let spool_is_there = folder.join(SPOOL).exists();
        let mut undo = Self {
            folder: folder.to_owned(),
            boot,
            files: None,
            peek: Peek::new()?,
            is_noted: false,
            left: Vec::new(),
        };
        // What cannot be made now is tried again when it is needed.
        let files = undo.files().ok();
        let is_done = files.is_none_or(|files| files.spool.waiting().is_ok_and(|bytes| bytes > 0));
        if let Some(step) = step.filter(|_| spool_is_there && !is_done)
            && undo_step(&step).is_err()
        {
            undo.left.push(step);
        }
        undo.is_noted = undo.left.is_empty();
        if undo.end().is_err() {
            // The next step writes over it.
            undo.is_noted = false;
        }
        Ok(undo)
    }

    fn files(&mut self) -> io::Result<&Files> {
        if self.files.is_none() {
            let path = self.folder.join(NOTE);
            let note = open_private(&path)?;
            let spool = Spool::open(&self.folder.join(SPOOL))?;
            self.peek.see_no_more_than(&spool)?;
            self.files = Some(Files { note, spool });
        }
        self.files.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Something to look into pipes with: it sees no more at once than is taken at once.
    pub(super) const fn peek(&self) -> &Peek {
        &self.peek
    }

    /// Undoes what is left of steps with these pipes, if anything is.
    pub(super) fn undo_left(&mut self, pipes: &[Pipe]) -> io::Result<()> {
        let is_one = |step: &Step| pipes.iter().any(|pipe| pipe.path() == step.pipe);
        while let Some(at) = self.left.iter().position(is_one) {
            undo_step(&self.left[at])?;
            self.left.remove(at);
        }
        Ok(())
    }

    /// A step begins. It may be done even if it cannot be noted; the next guard then does not undo it.
    pub(super) fn begin(&mut self, step: &Step) -> io::Result<()> {
        self.is_noted = false;
        let note = Noted::write(&self.boot, Some(step));
        let Files { note: file, spool } = self.files()?;
        write_all_at(file, &note, 0)?;
        // Of a step before, whose note could not be cleared.
        spool.clear()?;
        self.is_noted = true;
        reach(FailPoint::LogNoted);
        Ok(())
    }

    /// The step is done, and was made of so many bytes that the pipe holds.
    pub(super) fn take(&self, pipe: &Pipe, bytes: usize) -> io::Result<()> {
        match &self.files {
            Some(Files { spool, .. }) if self.is_noted => spool.take(pipe, bytes)?,
            Some(_) | None => pipe.discard(bytes)?,
        }
        reach(FailPoint::LogTaken);
        Ok(())
    }

    /// There is nothing to undo any more, be it that the step is done or that it was undone. A note that cannot be cleared has
    /// the full spool to show that it means nothing.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if let Some(Files { note, spool }) = self.files.as_ref().filter(|_| self.is_noted) {
            write_all_at(note, &Noted::write(&self.boot, None), 0)?;
            reach(FailPoint::LogNoteCleared);
            spool.clear()?;
            self.is_noted = false;
        }
        Ok(())
    }

    /// The step is not done, and is to be undone: now, or before the next with its pipe.
    pub(super) fn give_up(&mut self, step: Step) {
        match undo_step(&step) {
            Ok(()) => {
                // A note that stays is of nothing: its log ends where it began.
                let _ = self.end();
            }
            Err(_) => {
                // The note stays for the next guard, until another step is noted.
                self.is_noted = false;
                self.left.push(step);
            }
        }
    }
}

fn undo_step(step: &Step) -> io::Result<()> {
    if let Some((path, before, end)) = &step.log
        && let Some(now) = LogFile::look(path)?
        && now.id == before.id
        && (before.length + 1..=*end).contains(&now.length)
    {
        LogFile::open(path)?.set_length(before.length)?;
    }
    if let Some(number) = step.tail {
        tail::undo(&step.pipe, number)?;
    }
    reach(FailPoint::LogUndone);
    Ok(())
}

/// What is in a file; `None` if that cannot be told.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(NOTE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The note, as it is read: fields that end with a zero byte each, which no path has in it.
#[derive(Debug)]
struct Noted {
    boot: String,
    step: Option<Step>,
}

impl Noted {
    fn write(boot: &str, step: Option<&Step>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        let mut field = |field: &[u8]| {
            bytes.extend_from_slice(field);
            bytes.push(0);
        };
        field(FORMAT.as_bytes());
        field(boot.as_bytes());
        if let Some(step) = step {
            field(b"pipe");
            field(step.pipe.as_os_str().as_encoded_bytes());
            if let Some((path, before, end)) = &step.log {
                let (device, number) = before.id.parts();
                field(b"log");
                field(path.as_os_str().as_encoded_bytes());
                for number in [device, number, before.length, *end] {
                    field(number.to_string().as_bytes());
                }
            }
            if let Some(number) = step.tail {
                field(b"tail");
                field(number.to_string().as_bytes());
            }
        }
        field(END);
        bytes
    }

    /// `None` if this is not a note of this form.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.split(|byte| *byte == 0);
        fields.next().filter(|format| *format == FORMAT.as_bytes())?;
        let boot = String::from_utf8(fields.next()?.to_owned()).ok()?;
        let path = menshen_os::paths::from_bytes;
        let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse::<u64>().ok();
        let mut step: Option<Step> = None;
        loop {
            match fields.next()? {
                b"pipe" => step = Some(Step { pipe: path(fields.next()?)?, log: None, tail: None }),
                b"log" => {
                    let log = path(fields.next()?)?;
                    let id = FileId::new(number(fields.next()?)?, number(fields.next()?)?);
                    let before = FileState { id, length: number(fields.next()?)? };
                    step.as_mut()?.log = Some((log, before, number(fields.next()?)?));
                }
                b"tail" => step.as_mut()?.tail = Some(number(fields.next()?)?),
                END => return Some(Self { boot, step }),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;

    use super::super::tail::Tail;
    use super::*;

    /// A folder with a log, a pipe that holds four bytes, and a step that has begun.
    struct Bed {
        folder: tempfile::TempDir,
        pipe: Pipe,
        undo: Undo,
        step: Step,
    }

    impl Bed {
        fn begun() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let pipe = Pipe::open(&folder.path().join("out"), None).unwrap();
            OpenOptions::new().write(true).open(pipe.path()).unwrap().write_all(b"ab\nc").unwrap();
            let log = folder.path().join("log");
            fs::write(&log, "before\n").unwrap();
            let mut undo = Undo::open(folder.path()).unwrap();
            let (tail, _) = Tail::open(pipe.path()).unwrap();
            let state = LogFile::look(&log).unwrap().unwrap();
            let step =
                Step { pipe: pipe.path().to_owned(), log: Some((log.clone(), state, 10)), tail: Some(tail.next()) };
            undo.begin(&step).unwrap();
            fs::write(&log, "before\nab\n").unwrap();
            tail.write(b"c").unwrap();
            Self { folder, pipe, undo, step }
        }

        /// What the next guard finds in the log, in the pipe, and of a line.
        fn found(&self) -> (String, usize, Vec<u8>) {
            let next = Undo::open(self.folder.path()).unwrap();
            assert!(next.left.is_empty());
            assert_eq!(next.files.unwrap().spool.waiting().unwrap(), 0);
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
            (log, self.pipe.waiting().unwrap(), Tail::open(self.pipe.path()).unwrap().1)
        }
    }

    #[test]
    fn lines_whose_bytes_are_in_the_pipe_are_undone() {
        let bed = Bed::begun();
        for _ in 0..2 {
            assert_eq!(bed.found(), ("before\n".to_owned(), 4, Vec::new()));
        }
    }

    #[test]
    fn lines_whose_bytes_have_left_the_pipe_stay() {
        let bed = Bed::begun();
        bed.undo.take(&bed.pipe, 4).unwrap();
        for _ in 0..2 {
            assert_eq!(bed.found(), ("before\nab\n".to_owned(), 0, b"c".to_vec()));
        }
        let mut bed = Bed::begun();
        bed.undo.take(&bed.pipe, 4).unwrap();
        bed.undo.end().unwrap();
        assert_eq!(bed.found(), ("before\nab\n".to_owned(), 0, b"c".to_vec()));
    }

    #[test]
    fn a_log_that_is_another_one_or_of_another_length_is_left_alone() {
        for now in ["cut\n", "before\nab\nand what another version wrote\n"] {
            let bed = Bed::begun();
            fs::write(bed.folder.path().join("log"), now).unwrap();
            assert_eq!(bed.found().0, now);
        }
        let bed = Bed::begun();
        let log = bed.folder.path().join("log");
        fs::rename(&log, bed.folder.path().join("moved")).unwrap();
        fs::write(&log, "another\n\n\n").unwrap();
        assert_eq!(bed.found().0, "another\n\n\n");
    }

    #[test]
    fn nothing_is_undone_where_nothing_is_known() {
        // Somebody removed the spool, and with it what shows whether the step is done.
        let bed = Bed::begun();
        fs::remove_file(bed.folder.path().join(SPOOL)).unwrap();
        assert_eq!(bed.found().0, "before\nab\n");
        // The machine was started anew.
        let mut bed = Bed::begun();
        bed.undo.boot = "another".to_owned();
        bed.undo.begin(&bed.step).unwrap();
        assert_eq!(bed.found().0, "before\nab\n");
    }

    #[test]
    fn what_cannot_be_noted_or_undone_hinders_no_other_log() {
        let folder = tempfile::tempdir().unwrap();
        let pipes = ["out", "err"].map(|name| Pipe::open(&folder.path().join(name), None).unwrap());
        // Nothing can be made where these stand.
        fs::create_dir(folder.path().join(NOTE)).unwrap();
        let mut undo = Undo::open(folder.path()).unwrap();
        OpenOptions::new().write(true).open(pipes[0].path()).unwrap().write_all(b"ab\n").unwrap();
        let step = Step { pipe: pipes[0].path().to_owned(), log: None, tail: None };
        assert!(undo.begin(&step).is_err());
        undo.take(&pipes[0], 3).unwrap();
        undo.end().unwrap();
        assert_eq!(pipes[0].waiting().unwrap(), 0);
        fs::remove_dir(folder.path().join(NOTE)).unwrap();
        undo.begin(&step).unwrap();
        // A folder in the log's place cannot be cut.
        let log = folder.path().join("log");
        fs::create_dir(&log).unwrap();
        let state = LogFile::look(&log).unwrap().unwrap();
        let before = FileState { length: 0, ..state };
        undo.give_up(Step { log: Some((log.clone(), before, state.length)), ..step });
        assert!(undo.undo_left(&pipes).is_err());
        let others = ["a", "b"].map(|name| Pipe::open(&folder.path().join(name), None).unwrap());
        undo.undo_left(&others).unwrap();
        fs::remove_dir(&log).unwrap();
        undo.undo_left(&pipes).unwrap();
        assert!(undo.left.is_empty());
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_a_damaged_one_is_none() {
        let bed = Bed::begun();
        let note = fs::read(bed.folder.path().join(NOTE)).unwrap();
        let noted = Noted::read(&note).unwrap();
        assert_eq!(noted.step.as_ref(), Some(&bed.step));
        for length in 0..note.len() - 1 {
            assert!(Noted::read(&note[..length]).is_none(), "{length}");
            fs::write(bed.folder.path().join(NOTE), &note[..length]).unwrap();
            Undo::open(bed.folder.path()).unwrap();
        }
        assert!(Noted::read(b"2\0boot\0log\0").is_none());
    }
}
