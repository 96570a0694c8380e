//! The logs of one stem in a folder, by their numbers, while the guard may be closing, compressing and removing them.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use menshen_os::output::{FileId, FileState, LogFile};

use super::super::index::IndexReader;
use super::super::names::{Closed, Listing, Part, Stem};
use super::content::{Content, Meter};

/// How often a log that is changing its name is looked for, at most: each time, another must have been closed.
const ATTEMPTS_MAX: u32 = 100;

/// Much longer than the system's steps of time: two changes of a folder within one of them look like one.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// The logs of one stem.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    pub(super) folder: PathBuf,
    pub(super) stem: Stem,
    pub(super) meter: Meter,
}

/// A log that is read.
pub(super) struct OpenLog {
    pub(super) sequence: u64,
    pub(super) standing: Standing,
    /// The number of the one that comes after it.
    pub(super) next: u64,
    pub(super) content: Content,
    pub(super) index: Option<IndexReader>,
}

/// Whether more may be written to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Current,
    Closed,
}

impl Shelf {
    /// The numbers of the closed logs, oldest first.
    pub(super) fn closed(&self) -> io::Result<Vec<u64>> {
        let listing = Listing::of(&self.folder)?;
        let mut sequences: Vec<u64> = listing.contents(self.stem).map(|closed| closed.sequence).collect();
        sequences.dedup();
        Ok(sequences)
    }

    /// Opens the first log with at least this number; `None` if there is none.
    pub(super) fn first_from(&self, sequence: u64) -> io::Result<Option<OpenLog>> {
        for _ in 0..ATTEMPTS_MAX {
            let listing = Listing::of(&self.folder)?;
            let Some(closed) = listing.contents(self.stem).find(|closed| closed.sequence >= sequence) else {
                match self.open_current(sequence)? {
                    Found::Log(log) => return Ok(Some(*log)),
                    Found::Nothing => return Ok(None),
                    Found::Changing => continue,
                }
            };
            // Otherwise it was compressed or removed meanwhile.
            if let Some(log) = self.open_closed(closed, &listing) {
                return Ok(Some(log));
            }
        }
        Ok(None)
    }

    fn open_closed(&self, closed: &Closed, listing: &Listing) -> Option<OpenLog> {
        for part in Part::CONTENT.into_iter().filter(|part| listing.closed[closed].contains(part)) {
            let content = match Content::open(&closed.path(&self.folder, part), part, &self.meter) {
                Ok(content) => content,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => Content::broken(error),
            };
            let index = IndexReader::open(&closed.path(&self.folder, Part::Index));
            return Some(OpenLog::new(closed.sequence, Standing::Closed, content, index));
        }
        None
    }

    /// Opens the log that is being written. The number it will have follows from the closed ones, if it was the same before
    /// and after they were looked at.
    fn open_current(&self, sequence: u64) -> io::Result<Found> {
        let content = match Content::open(&self.stem.log(&self.folder), Part::Plain, &self.meter) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let closed_meanwhile = self.closed()?.last().is_some_and(|last| *last >= sequence);
                return Ok(if closed_meanwhile { Found::Changing } else { Found::Nothing });
            }
            Err(error) => return Err(error),
        };
        let index = IndexReader::open(&self.stem.index(&self.folder));
        let listing = Listing::of(&self.folder)?;
        let closed_meanwhile = listing.contents(self.stem).any(|closed| closed.sequence >= sequence);
        if closed_meanwhile || self.current()?.map(|state| state.id) != content.id {
            return Ok(Found::Changing);
        }
        let sequence = listing.next_sequence(self.stem).max(sequence);
        Ok(Found::Log(Box::new(OpenLog::new(sequence, Standing::Current, content, index))))
    }

    /// When something last got, lost or changed its name in the folder, if that is so long ago that a later change shows.
    pub(super) fn settled(&self) -> Option<SystemTime> {
        let changed = std::fs::metadata(&self.folder).ok()?.modified().ok()?;
        changed.elapsed().is_ok_and(|ago| ago > SETTLED_AFTER).then_some(changed)
    }

    /// What is being written now.
    pub(super) fn current(&self) -> io::Result<Option<FileState>> {
        LogFile::look(&self.stem.log(&self.folder))
    }

    /// The number of the log that comes after one that was being written and no longer is. If it was closed, there is a log
    /// with its number, or a later one; else somebody moved it away, and the next one got the number.
    pub(super) fn after_current(&self, sequence: u64) -> io::Result<u64> {
        let listing = Listing::of(&self.folder)?;
        let was_closed = listing.newest(self.stem).is_some_and(|newest| newest.sequence >= sequence);
        Ok(if was_closed { sequence.saturating_add(1) } else { sequence })
    }
}

enum Found {
    Log(Box<OpenLog>),
    Nothing,
    /// It was closed while it was looked at.
    Changing,
}

impl OpenLog {
    fn new(sequence: u64, standing: Standing, content: Content, index: Option<IndexReader>) -> Self {
        Self { sequence, standing, next: sequence.saturating_add(1), content, index }
    }

    /// Whether nothing in it was written at this time or later.
    pub(super) fn is_older_than(&mut self, since_ms: i64) -> bool {
        self.content.modified_ms.is_some_and(|modified_ms| modified_ms < since_ms)
    }

    /// Where to begin to find what was written at this time or later.
    pub(super) fn offset_since(&mut self, since_ms: i64) -> u64 {
        let length = self.content.length.unwrap_or(u64::MAX);
        self.index.as_mut().map_or(0, |index| index.offset_since(since_ms, length))
    }

    /// Whether it is this file.
    pub(super) fn is(&self, id: FileId) -> bool {
        self.content.id == Some(id)
    }
}
