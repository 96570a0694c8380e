//! What the next guard has to undo if this one is killed while it makes lines of what a program wrote.
//!
//! Lines are added to a log in steps, each of which is noted before it begins:
//! 1. Where the log ends is written down.
//! 2. The lines are appended, made of bytes that the pipe still holds; what a line begins with is kept in its [`super::tail`].
//! 3. Those bytes leave the pipe for another one, the spool, all at once. That they are there shows that the step is done.
//! 4. The note is cleared, and the spool after it.
//!
//! The next guard finds a note and an empty spool after a kill before the third: it cuts the log to where it ended, and makes
//! the lines again. The spool has a name, and the holder holds it like every pipe of the guard's.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use menshen_os::clock::boot_id;
use menshen_os::fail_point::{FailPoint, reach};
use menshen_os::output::{FileId, FileState, LogFile, Peek, Pipe, Spool};

use super::tail;

/// The spool and the note, in the folder of the guard's pipes.
const SPOOL: &str = "spool";
const NOTE: &str = "unfinished";
const NOTE_MODE: u32 = 0o600;
/// Of the note's form.
const FORMAT: &str = "1";
/// The last field.
const END: &[u8] = b"end";
/// More than two paths take, in bytes.
const NOTE_BYTES_MAX: u64 = 16 * 1024;

/// The note, and the spool.
#[derive(Debug)]
pub(super) struct Undo {
    note: File,
    spool: Spool,
    boot: String,
    /// Another guard left this, and it could not be undone yet.
    left: Option<Step<'static>>,
}

/// What is noted of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step<'a> {
    /// The log, and what it was before.
    pub(super) log: Option<(Cow<'a, Path>, FileState)>,
    /// Where what a line begins with is kept, and as the how manieth.
    pub(super) tail: Option<(Cow<'a, Path>, u64)>,
}

impl Undo {
    /// Undoes what another guard left unfinished in this folder.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NOTE);
        let noted = read(&path)?;
        let note = OpenOptions::new().write(true).create(true).truncate(false).mode(NOTE_MODE).open(&path)?;
        let spool_is_there = folder.join(SPOOL).exists();
        let spool = Spool::open(&folder.join(SPOOL))?;
        let boot = boot_id();
        let noted = Noted::read(&noted);
        if noted.as_ref().is_some_and(|noted| noted.boot != boot) {
            tail::forget_all(folder)?;
        }
        // Of a spool that somebody removed nothing is known: a line twice is better than none.
        let step = noted.filter(|noted| spool_is_there && noted.boot == boot).and_then(|noted| noted.step);
        let mut undo = Self { note, spool, boot, left: None };
        if undo.spool.waiting()? == 0 {
            undo.left = step;
            // If it cannot be done now, it is before the next line is added.
            let _ = undo.finish();
        }
        if undo.left.is_none() {
            undo.end()?;
        }
        Ok(undo)
    }

    /// Something to look into pipes with.
    pub(super) fn peek(&self) -> io::Result<Peek> {
        self.spool.peek()
    }

    /// Undoes what another guard left, if that could not be done yet.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let Some(Step { log, tail }) = &self.left else { return Ok(()) };
        if let Some((path, before)) = log
            && LogFile::look(path)?.is_some_and(|now| now.id == before.id && now.length > before.length)
        {
            LogFile::open(path)?.set_length(before.length)?;
        }
        if let Some((path, number)) = tail {
            tail::undo(path, *number)?;
        }
        reach(FailPoint::LogUndone);
        self.left = None;
        Ok(())
    }

    /// A step begins. It may be done even if it cannot be noted; the next guard then does not undo it.
    pub(super) fn begin(&self, step: &Step<'_>) -> io::Result<()> {
        self.note.write_all_at(&Noted::write(&self.boot, Some(step)), 0)?;
        reach(FailPoint::LogNoted);
        Ok(())
    }

    /// The step is done, and was made of so many bytes that the pipe holds.
    pub(super) fn take(&self, pipe: &Pipe, bytes: usize) -> io::Result<()> {
        self.spool.take(pipe, bytes)?;
        reach(FailPoint::LogTaken);
        Ok(())
    }

    /// There is nothing to undo any more, be it that the step is done or that it is undone.
    pub(super) fn end(&self) -> io::Result<()> {
        let cleared = self.note.write_all_at(&Noted::write(&self.boot, None), 0);
        reach(FailPoint::LogNoteCleared);
        self.spool.clear()?;
        cleared
    }
}

/// What is in a file; nothing if it is not there.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(NOTE_BYTES_MAX).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(bytes)
}

/// The note, as it is read: fields that end with a zero byte each, which no path has in it.
#[derive(Debug)]
struct Noted {
    boot: String,
    step: Option<Step<'static>>,
}

impl Noted {
    fn write(boot: &str, step: Option<&Step<'_>>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        let mut field = |field: &[u8]| {
            bytes.extend_from_slice(field);
            bytes.push(0);
        };
        field(FORMAT.as_bytes());
        field(boot.as_bytes());
        if let Some((path, before)) = step.and_then(|step| step.log.as_ref()) {
            let (device, number) = before.id.parts();
            field(b"log");
            field(path.as_os_str().as_bytes());
            for number in [device, number, before.length] {
                field(number.to_string().as_bytes());
            }
        }
        if let Some((path, number)) = step.and_then(|step| step.tail.as_ref()) {
            field(b"tail");
            field(path.as_os_str().as_bytes());
            field(number.to_string().as_bytes());
        }
        field(END);
        bytes
    }

    /// `None` if this is not a note of this form.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.split(|byte| *byte == 0);
        fields.next().filter(|format| *format == FORMAT.as_bytes())?;
        let boot = String::from_utf8(fields.next()?.to_owned()).ok()?;
        let path = |field: &[u8]| Cow::Owned(PathBuf::from(OsStr::from_bytes(field)));
        let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse::<u64>().ok();
        let mut step = Step { log: None, tail: None };
        loop {
            match fields.next()? {
                b"log" => {
                    let log = path(fields.next()?);
                    let id = FileId::new(number(fields.next()?)?, number(fields.next()?)?);
                    step.log = Some((log, FileState { id, length: number(fields.next()?)? }));
                }
                b"tail" => step.tail = Some((path(fields.next()?), number(fields.next()?)?)),
                END => break,
                _ => return None,
            }
        }
        Some(Self { boot, step: Some(step).filter(|step| step.log.is_some() || step.tail.is_some()) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tail::Tail;
    use super::*;

    /// A folder with a log, a pipe that holds four bytes, and a step that has begun.
    struct Bed {
        folder: tempfile::TempDir,
        pipe: Pipe,
        undo: Undo,
    }

    impl Bed {
        fn begun() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let pipe = Pipe::open(&folder.path().join("out"), None).unwrap();
            let put = OpenOptions::new().write(true).open(folder.path().join("out")).unwrap();
            put.write_at(b"ab\nc", 0).unwrap_err();
            io::Write::write_all(&mut &put, b"ab\nc").unwrap();
            let log = folder.path().join("log");
            fs::write(&log, "before\n").unwrap();
            let undo = Undo::open(folder.path()).unwrap();
            let (tail, _) = Tail::open(pipe.path()).unwrap();
            let state = LogFile::look(&log).unwrap().unwrap();
            let (path, number) = tail.next();
            let step = Step { log: Some((Cow::Borrowed(&log), state)), tail: Some((Cow::Borrowed(path), number)) };
            undo.begin(&step).unwrap();
            fs::write(&log, "before\nab\n").unwrap();
            tail.write(b"c").unwrap();
            Self { folder, pipe, undo }
        }

        /// What the next guard finds in the log, in the pipe, and of a line.
        fn found(&self) -> (String, usize, Vec<u8>) {
            let next = Undo::open(self.folder.path()).unwrap();
            assert!(next.left.is_none());
            assert_eq!(next.spool.waiting().unwrap(), 0);
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
        let bed = Bed::begun();
        bed.undo.take(&bed.pipe, 4).unwrap();
        bed.undo.end().unwrap();
        assert_eq!(bed.found(), ("before\nab\n".to_owned(), 0, b"c".to_vec()));
    }

    #[test]
    fn a_log_that_is_another_one_or_was_cut_is_left_alone() {
        let bed = Bed::begun();
        let log = bed.folder.path().join("log");
        fs::rename(&log, bed.folder.path().join("moved")).unwrap();
        fs::write(&log, "another, and longer\n").unwrap();
        assert_eq!(bed.found().0, "another, and longer\n");
        let bed = Bed::begun();
        fs::write(bed.folder.path().join("log"), "cut\n").unwrap();
        assert_eq!(bed.found().0, "cut\n");
    }

    #[test]
    fn nothing_is_undone_where_nothing_is_known() {
        // Somebody removed the spool, and with it what shows whether the step is done.
        let bed = Bed::begun();
        fs::remove_file(bed.folder.path().join(SPOOL)).unwrap();
        assert_eq!(bed.found().0, "before\nab\n");
        // The machine was started anew: the pipe, and what was begun, are of another time.
        let mut bed = Bed::begun();
        let note = fs::read(bed.folder.path().join(NOTE)).unwrap();
        bed.undo.boot = "another".to_owned();
        bed.undo.begin(&Noted::read(&note).unwrap().step.unwrap()).unwrap();
        assert_eq!(bed.found(), ("before\nab\n".to_owned(), 4, Vec::new()));
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_a_damaged_one_is_none() {
        let bed = Bed::begun();
        let note = fs::read(bed.folder.path().join(NOTE)).unwrap();
        let noted = Noted::read(&note).unwrap();
        assert_eq!(Noted::write(&noted.boot, noted.step.as_ref()), note);
        for length in 0..note.len() - 1 {
            assert!(Noted::read(&note[..length]).is_none_or(|noted| noted.step.is_none()), "{length}");
            fs::write(bed.folder.path().join(NOTE), &note[..length]).unwrap();
            Undo::open(bed.folder.path()).unwrap();
        }
        assert!(Noted::read(b"2\0boot\0log\0").is_none());
    }
}
