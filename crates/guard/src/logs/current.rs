//! The file that is being written: opened, followed when somebody moves or cuts it, and closed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use menshen_os::error::describe;
use menshen_os::fail_point::{FailPoint, reach};
use menshen_os::file::{Folder, create_folder};
use menshen_os::output::{Aside, FileId, FileState, LogFile};

use super::index::IndexWriter;
use super::names::{Closed, Listing, Part, Stem};
use super::now::Now;
use super::pour::WRITE_BYTES_MAX;
use super::rotate::{Limits, Room};

/// Who may look into a folder of logs: the guard's account, and its group.
const FOLDER_MODE: u32 = 0o750;
/// How long a file that could not be closed is written on before that is tried again.
const CLOSE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Whoever writes so much at once is about to write more: room is set aside for it, so many bytes.
const MUCH_BYTES: usize = 64 * 1024;
const ASIDE_BYTES: u64 = 4 * 1024 * 1024;
/// How long room stays set aside while little is written.
const ASIDE_FOR: Duration = Duration::from_secs(1);

/// Makes a folder of logs where there is none.
fn make_folder(folder: &Path) -> io::Result<Folder> {
    create_folder(folder, FOLDER_MODE)
}

/// Sees to it that a folder of logs can be had as soon as there is something to write.
pub(super) fn prepare_folder(folder: &Path) -> io::Result<Folder> {
    menshen_os::file::prepare_folder(folder, FOLDER_MODE)
}

/// The file of one stem that is being written. It is opened when it is needed.
#[derive(Debug)]
pub(super) struct Current {
    folder: Arc<Path>,
    stem: Stem,
    path: PathBuf,
    /// The number it will have when it is closed; known once it was opened.
    sequence: u64,
    open: Option<Open>,
    /// It could not be closed, and is not again before then.
    close_after: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    file: LogFile,
    id: FileId,
    length: u64,
    /// When its first byte was written. None while it is empty.
    started_ms: Option<i64>,
    /// Its length when it was old enough.
    aged_at: Option<u64>,
    index: IndexWriter,
    ahead: Ahead,
}

/// The end of a log, to which something is added.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) file: &'a LogFile,
    pub(super) path: &'a Path,
    /// Which it is, and how long so far.
    pub(super) state: FileState,
}

/// Room for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ahead {
    /// None is set aside.
    None,
    /// Some is, to an offset of the file; it is given back at a time.
    Aside { end: u64, until: Instant },
    /// Nothing is gained by it where the file is.
    Needless,
}

impl Current {
    pub(super) fn new(folder: Arc<Path>, stem: Stem) -> Self {
        let path = stem.log(&folder);
        Self { folder, stem, path, sequence: 1, open: None, close_after: None }
    }

    /// Goes on with what another guard left. Where it left nothing, the file is made when there is something to write; that
    /// its folder is there is seen to now.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        make_folder(&self.folder)?;
        let left = LogFile::look(&self.path)?.is_some() || LogFile::look(&self.stem.index(&self.folder))?.is_some();
        if left { self.check() } else { Ok(()) }
    }

    /// Makes sure that it is open, is what is found under its name, and that its end is known.
    pub(super) fn check(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return self.open() };
        match LogFile::look(&self.path)? {
            Some(state) if state.id == open.id => {
                if state.length < open.length {
                    // An operator cut it; it goes on at its new end.
                    open.index.reset();
                    open.aged_at = None;
                    open.started_ms = if state.length == 0 { None } else { open.started_ms };
                }
                open.length = state.length;
                Ok(())
            }
            // Somebody moved or removed it.
            Some(_) | None => self.open(),
        }
    }

    fn open(&mut self) -> io::Result<()> {
        self.open = None;
        make_folder(&self.folder)?;
        let listing = Listing::of(&self.folder).map_err(|error| about("reading", &self.folder, &error))?;
        self.sequence = self.sequence.max(listing.next_sequence(self.stem));
        if LogFile::look(&self.path)?.is_none() {
            self.finish_close(&listing);
        }
        let file = LogFile::open(&self.path)?;
        reach(FailPoint::LogOpened);
        let state = file.state()?;
        let index = IndexWriter::open(&self.stem.index(&self.folder), state.length);
        let started_ms = match state.length {
            0 => None,
            _ => Some(index.started_ms().or_else(|| file.created_ms().ok()).unwrap_or(0)),
        };
        if file.room()? >= state.length + ASIDE_BYTES / 2 {
            // A guard that was killed had set it aside. What cannot be given back goes with the file.
            let _ = file.give_back();
        }
        let (id, length) = (state.id, state.length);
        self.open = Some(Open { file, id, length, started_ms, aged_at: None, index, ahead: Ahead::None });
        Ok(())
    }

    /// The log is gone but its index is not. If a guard ended between moving the one and the other, the index is moved now.
    /// An index of a log that was moved or removed by somebody is begun anew when the log is.
    fn finish_close(&self, listing: &Listing) {
        let newest = listing.newest(self.stem).filter(|newest| !listing.closed[*newest].contains(&Part::Index));
        if let Some(newest) = newest {
            // Without it, times are unknown; nothing else depends on it.
            let _ = fs::rename(self.stem.index(&self.folder), newest.path(&self.folder, Part::Index));
            reach(FailPoint::LogTimesFollowed);
        }
    }

    /// How much may still be written to it. Becomes old here.
    pub(super) fn room(&mut self, limits: &Limits, now: Now) -> io::Result<Room> {
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotConnected.into()) };
        if self.close_after.is_some_and(|after| now.monotonic < after) {
            return Ok(Room::Bytes(u64::MAX));
        }
        let due = open.started_ms.and_then(|started_ms| limits.due_ms(started_ms));
        if open.aged_at.is_none() && due.is_some_and(|due_ms| due_ms <= now.wall_ms) {
            open.aged_at = Some(open.length);
        }
        let room = limits.room(open.length, open.aged_at);
        Ok(if matches!(room, Room::ToLineEnd(_)) && open.ends_with_line()? { Room::None } else { room })
    }

    /// When it will be old enough, in milliseconds since 1970, if it waits for that.
    pub(super) fn due_ms(&self, limits: &Limits) -> Option<i64> {
        let open = self.open.as_ref().filter(|open| open.aged_at.is_none())?;
        limits.due_ms(open.started_ms?)
    }

    /// Writes at its end with `put`, which is given that and says how many bytes it added, and passes on what `put` says.
    pub(super) fn append<T>(&mut self, now: Now, put: impl FnOnce(End<'_>) -> io::Result<(usize, T)>) -> io::Result<T> {
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotConnected.into()) };
        open.index.note(open.length, now.wall_ms);
        reach(FailPoint::LogTimeNoted);
        let state = FileState { id: open.id, length: open.length };
        let written = put(End { file: &open.file, path: &self.path, state });
        let (count, result) = written.map_err(|error| about("writing", &self.path, &error))?;
        if count > 0 {
            reach(FailPoint::LogWritten);
            open.length += count as u64;
            open.started_ms.get_or_insert(now.wall_ms);
        }
        if count >= MUCH_BYTES {
            open.set_aside(now);
        }
        Ok(result)
    }

    /// When room that was set aside is given back.
    pub(super) fn give_back_at(&self) -> Option<Instant> {
        match self.open.as_ref()?.ahead {
            Ahead::Aside { until, end: _ } => Some(until),
            Ahead::None | Ahead::Needless => None,
        }
    }

    /// Gives back room that was set aside, if it was long enough.
    pub(super) fn give_back(&mut self, now: Now) {
        if self.give_back_at().is_some_and(|until| until <= now.monotonic)
            && let Some(open) = &mut self.open
        {
            open.give_back();
        }
    }

    /// Where it is, and what it is now, as far as the guard knows. `None` before it was opened.
    pub(super) fn state(&self) -> Option<(&Path, FileState)> {
        self.open.as_ref().map(|open| (self.path.as_path(), FileState { id: open.id, length: open.length }))
    }

    /// Gives it its final name. What comes next goes into a new file. An empty file stays.
    pub(super) fn close(&mut self, now: Now) -> io::Result<()> {
        let Some(Open { started_ms: Some(started_ms), .. }) = self.open else { return Ok(()) };
        match self.rename(started_ms) {
            Ok(()) => {
                self.open = None;
                self.close_after = None;
                Ok(())
            }
            Err(error) => {
                self.close_after = now.monotonic.checked_add(CLOSE_AGAIN_AFTER);
                Err(about("renaming", &self.path, &error))
            }
        }
    }

    fn rename(&mut self, started_ms: i64) -> io::Result<()> {
        let mut closed = Closed::new(self.stem, self.sequence, started_ms);
        while LogFile::look(&closed.path(&self.folder, Part::Plain))?.is_some() {
            closed.sequence = closed.sequence.saturating_add(1);
        }
        fs::rename(&self.path, closed.path(&self.folder, Part::Plain))?;
        reach(FailPoint::LogClosed);
        // Without it, times are unknown; nothing else depends on it.
        let _ = fs::rename(self.stem.index(&self.folder), closed.path(&self.folder, Part::Index));
        reach(FailPoint::LogTimesClosed);
        self.sequence = closed.sequence.saturating_add(1);
        Ok(())
    }

    /// Its first byte, if it has one.
    pub(super) fn first_byte(&self) -> Option<u8> {
        let mut byte = [0];
        let read = self.open.as_ref()?.file.read_at(&mut byte, 0).ok()?;
        (read == 1).then_some(byte[0])
    }

    /// Whether it ends with the end of a line; an empty one does.
    pub(super) fn ends_with_line(&self) -> io::Result<bool> {
        self.open.as_ref().map_or(Ok(true), Open::ends_with_line)
    }

    /// Removes it if it is empty, with its index. That goes first: alone it would be taken for that of the log closed last.
    pub(super) fn remove_empty(&mut self) {
        if self.open.take().is_some_and(|open| open.length == 0) {
            for path in [self.stem.index(&self.folder), self.path.clone()] {
                // An empty file that stays harms nobody.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Open {
    /// Sets room aside for what comes next, or lets it stay for longer. Where there is none, it is written without.
    fn set_aside(&mut self, now: Now) {
        let end = match self.ahead {
            Ahead::None => self.length,
            Ahead::Aside { end, until: _ } => end,
            Ahead::Needless => return,
        };
        let until = now.monotonic + ASIDE_FOR;
        if end >= self.length + WRITE_BYTES_MAX as u64 {
            self.ahead = Ahead::Aside { end, until };
            return;
        }
        let from = end.max(self.length);
        match self.file.set_aside(from, ASIDE_BYTES) {
            Ok(Aside::Set) => self.ahead = Ahead::Aside { end: from + ASIDE_BYTES, until },
            Ok(Aside::Needless) => self.ahead = Ahead::Needless,
            Err(_) => {}
        }
    }

    fn give_back(&mut self) {
        if let Ahead::Aside { .. } = self.ahead {
            self.ahead = Ahead::None;
            // What cannot be given back goes with the file.
            let _ = self.file.give_back();
        }
    }

    fn ends_with_line(&self) -> io::Result<bool> {
        let Some(last) = self.length.checked_sub(1) else { return Ok(true) };
        let mut byte = [0];
        self.file.read_at(&mut byte, last)?;
        Ok(byte[0] == b'\n')
    }
}

/// Nothing is set aside for a file that nobody writes to.
impl Drop for Open {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn about(doing: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{doing} {}: {}", path.display(), describe(error)))
}
