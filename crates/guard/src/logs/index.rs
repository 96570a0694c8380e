//! When the bytes of a log were written: a file beside it with pairs of an offset and the time from which on bytes were
//! written there, both 64-bit little-endian, the time in milliseconds since 1970.
//!
//! It is a help: a log without one, or with a damaged one, is read all the same, without times.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use menshen_os::fail_point::{FailPoint, reach};
use menshen_os::output::LogFile;

/// The shortest time between two pairs.
pub(super) const PAIR_EVERY_MS: i64 = 100;
/// The most bytes between two pairs.
const PAIR_EVERY_BYTES: u64 = 1024 * 1024;
const PAIR_BYTES: u64 = 16;
/// Bytes further behind a pair than this are not covered by it: the next pair is missing. One write may come in between.
const COVERED_BYTES: u64 = 2 * PAIR_EVERY_BYTES;

/// From `offset` on, bytes were written at `time_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) offset: u64,
    pub(super) time_ms: i64,
}

impl Pair {
    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes
    }

    /// Whether bytes at an offset, now, are near enough to do without a pair of their own.
    fn covers(self, offset: u64, now_ms: i64) -> bool {
        (self.time_ms..self.time_ms.saturating_add(PAIR_EVERY_MS)).contains(&now_ms)
            && offset.saturating_sub(self.offset) < PAIR_EVERY_BYTES
    }

    fn from_bytes(bytes: [u8; 16]) -> Self {
        let [offset, time] = [0, 8].map(|at| std::array::from_fn(|byte| bytes[at + byte]));
        Self { offset: u64::from_le_bytes(offset), time_ms: i64::from_le_bytes(time) }
    }
}

/// Writes the index of the log that is being written.
#[derive(Debug)]
pub(super) struct IndexWriter {
    /// None if it cannot be opened.
    file: Option<LogFile>,
    first: Option<Pair>,
    /// The last pair and its number.
    last: Option<(u64, Pair)>,
}

impl IndexWriter {
    /// Goes on with the index at a path, which belongs to a log of this length, or begins it anew if it cannot be that.
    pub(super) fn open(path: &Path, log_length: u64) -> Self {
        let file = LogFile::open(path).ok();
        let mut writer = Self { file, first: None, last: None };
        let length = writer.file.as_ref().and_then(|file| file.state().ok()).map_or(0, |state| state.length);
        let last = (length / PAIR_BYTES).checked_sub(1);
        writer.last = last.and_then(|number| Some((number, writer.pair(number)?)));
        writer.first = writer.pair(0);
        if log_length == 0 || writer.last.is_none_or(|(_, last)| last.offset > log_length) {
            writer.reset();
        }
        writer
    }

    /// Forgets all: the log was cut.
    pub(super) fn reset(&mut self) {
        (self.first, self.last) = (None, None);
        if let Some(file) = &self.file {
            // What stays behind is written over, and costs readers no more than times.
            let _ = file.set_length(0);
            reach(FailPoint::LogTimesReset);
        }
    }

    /// When the first byte was written, if that is known.
    pub(super) fn started_ms(&self) -> Option<i64> {
        self.first.filter(|first| first.offset == 0).map(|first| first.time_ms)
    }

    /// Bytes will be written at the end of the log, which is at `offset`, now. Comes before they are written, so that no
    /// reader finds bytes without their time.
    pub(super) fn note(&mut self, offset: u64, now_ms: i64) {
        let number = match self.last {
            Some((_, last)) if last.covers(offset, now_ms) => return,
            // Nothing came after the last time it was noted.
            Some((number, last)) if last.offset == offset => number,
            Some((number, _)) => number + 1,
            None => 0,
        };
        let pair = Pair { offset, time_ms: now_ms };
        if offset == 0 {
            self.first = Some(pair);
        }
        // A full disk costs times, not output; half a pair is written over by the next.
        let written = self.file.as_ref().map(|file| file.write_at(&pair.to_bytes(), number * PAIR_BYTES));
        if let Some(Ok(16)) = written {
            self.last = Some((number, pair));
        }
    }

    fn pair(&self, number: u64) -> Option<Pair> {
        let mut bytes = [0; 16];
        let read = self.file.as_ref()?.read_at(&mut bytes, number * PAIR_BYTES).ok()?;
        (read == bytes.len()).then(|| Pair::from_bytes(bytes))
    }
}

/// Reads the index of a log, of one that is being written, too.
#[derive(Debug)]
pub(super) struct IndexReader {
    file: File,
    here: Option<Here>,
}

/// The pair that holds at the place that was asked for last, and what comes after it.
#[derive(Debug, Clone, Copy)]
struct Here {
    number: u64,
    pair: Pair,
    next: Next,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    Unread,
    Pair(Pair),
    /// There was none when it was looked for.
    None,
}

impl IndexReader {
    /// Opens the index at a path; `None` if there is none, or it is of no use.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut reader = Self { file, here: None };
        // One whose log is still empty may be so, too.
        reader.pair(0).is_none_or(|first| first.offset == 0 && first.time_ms > 0).then_some(reader)
    }

    /// More may have been written, also in place of the last pair.
    pub(super) fn refresh(&mut self) {
        if let Some(here) = &mut self.here {
            here.next = Next::Unread;
        }
    }

    /// When the byte at an offset was written. Quick if the offsets that are asked for grow.
    pub(super) fn time_at(&mut self, offset: u64) -> Option<i64> {
        if self.here.is_none_or(|here| here.pair.offset > offset) {
            self.here = self.search(offset);
        }
        let mut here = self.here?;
        loop {
            if let Next::Unread = here.next {
                here.next = self.pair(here.number + 1).map_or(Next::None, Next::Pair);
            }
            match here.next {
                Next::Pair(next) if here.pair.offset < next.offset && next.offset <= offset => {
                    here = Here { number: here.number + 1, pair: next, next: Next::Unread };
                }
                Next::Pair(_) | Next::None | Next::Unread => break,
            }
        }
        self.here = Some(here);
        (offset - here.pair.offset < COVERED_BYTES).then_some(here.pair.time_ms)
    }

    /// Where to begin in a log of this length to find all that was written at this time or later, or at an unknown time.
    pub(super) fn offset_since(&mut self, since_ms: i64, log_length: u64) -> u64 {
        // The clock may have been set back, so that times are in no order; offsets always are.
        let mut reader = io::BufReader::new(&self.file);
        if reader.seek(SeekFrom::Start(0)).is_err() {
            return 0;
        }
        let mut covered = 0;
        let mut bytes = [0; 16];
        while reader.read_exact(&mut bytes).is_ok() {
            let pair = Pair::from_bytes(bytes);
            let gap = pair.offset > covered;
            if gap || pair.time_ms >= since_ms {
                return covered.min(pair.offset);
            }
            covered = pair.offset.saturating_add(COVERED_BYTES);
        }
        covered.min(log_length)
    }

    /// The last pair that holds at an offset, by halving.
    fn search(&mut self, offset: u64) -> Option<Here> {
        let mut low = 0;
        let mut high = self.file.metadata().ok()?.len() / PAIR_BYTES;
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let pair = self.pair(middle)?;
            if pair.offset <= offset {
                found = Some(Here { number: middle, pair, next: Next::Unread });
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        found
    }

    fn pair(&mut self, number: u64) -> Option<Pair> {
        self.file.seek(SeekFrom::Start(number * PAIR_BYTES)).ok()?;
        let mut bytes = [0; 16];
        self.file.read_exact(&mut bytes).ok()?;
        Some(Pair::from_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn pairs(path: &Path) -> Vec<(u64, i64)> {
        let bytes = fs::read(path).unwrap();
        let pairs = bytes.chunks_exact(16).map(|pair| Pair::from_bytes(pair.try_into().unwrap()));
        pairs.map(|pair| (pair.offset, pair.time_ms)).collect()
    }

    #[test]
    fn a_time_is_noted_every_100_ms_or_mebibyte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.idx");
        let mut index = IndexWriter::open(&path, 0);
        for (offset, now_ms) in
            [(0, 1000), (10, 1099), (20, 1100), (1_048_595, 1101), (1_048_596, 1101), (1_100_000, 900)]
        {
            index.note(offset, now_ms);
        }
        assert_eq!(pairs(&path), [(0, 1000), (20, 1100), (1_048_596, 1101), (1_100_000, 900)]);
        assert_eq!(index.started_ms(), Some(1000));
    }

    #[test]
    fn a_time_at_which_nothing_came_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.idx");
        let mut index = IndexWriter::open(&path, 0);
        for now_ms in [1000, 5000] {
            index.note(0, now_ms);
        }
        index.note(7, 6000);
        index.note(7, 9000);
        assert_eq!(pairs(&path), [(0, 5000), (7, 9000)]);
        assert_eq!(index.started_ms(), Some(5000));
    }

    #[test]
    fn an_index_is_gone_on_with_unless_it_is_of_another_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.idx");
        IndexWriter::open(&path, 0).note(0, 1000);
        fs::write(&path, [fs::read(&path).unwrap(), b"half".to_vec()].concat()).unwrap();
        let mut index = IndexWriter::open(&path, 50);
        index.note(50, 2000);
        assert_eq!(pairs(&path), [(0, 1000), (50, 2000)]);
        assert_eq!(IndexWriter::open(&path, 49).started_ms(), None);
        assert_eq!(pairs(&path), []);
    }

    #[test]
    fn times_are_found_by_offset_and_offsets_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.idx");
        let mut writer = IndexWriter::open(&path, 0);
        for number in 0..1000 {
            writer.note(number * 10, i64::try_from(number).unwrap() * 1000 + 1);
        }
        for start in [0, 5, 4999, 9990, 20_000] {
            let mut reader = IndexReader::open(&path).unwrap();
            for offset in [start, start + 1, start + 25, start] {
                let expected = i64::try_from((offset / 10).min(999)).unwrap() * 1000 + 1;
                assert_eq!(reader.time_at(offset), Some(expected), "{offset}");
            }
        }
        let mut reader = IndexReader::open(&path).unwrap();
        assert_eq!(reader.offset_since(0, 10_000), 0);
        assert_eq!(reader.offset_since(500_002, 10_000), 5010);
        assert_eq!(reader.offset_since(999_002, 10_000), 10_000);
        assert_eq!(reader.time_at(10_000), Some(999_001));
        writer.note(10_000, 2_000_000);
        reader.refresh();
        assert_eq!(reader.time_at(9_999), Some(999_001));
        assert_eq!(reader.time_at(10_000), Some(2_000_000));
    }

    #[test]
    fn a_garbage_index_harms_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.idx");
        for garbage in [vec![], vec![0xFF; 7], vec![0xFF; 160], vec![0; 160], (0..160).collect()] {
            fs::write(&path, &garbage).unwrap();
            if let Some(mut reader) = IndexReader::open(&path) {
                let _ = (reader.time_at(0), reader.time_at(u64::MAX), reader.offset_since(1, 100));
            }
            let mut index = IndexWriter::open(&path, 5);
            index.note(5, 1000);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(IndexReader::open(&path).is_none());
        IndexWriter::open(&path, 0).note(0, 1);
    }
}
