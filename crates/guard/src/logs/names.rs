//! The names of log files, and which of them are in a folder.
//!
//! `stdout.log` is being written; `stdout.00000007.20260131T120000Z.log` is closed, the seventh of its stream, begun at that
//! time; `….log.zst` or `….log.gz` is the same compressed; `….idx` beside either says when its bytes were written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use menshen_api::types::Stream;

/// The first part of a log's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stem {
    /// What came from stdout, byte for byte.
    Stdout,
    /// What came from stderr, byte for byte.
    Stderr,
    /// The lines of both.
    Output,
}

impl Stem {
    pub(super) const ALL: [Self; 3] = [Self::Stdout, Self::Stderr, Self::Output];

    pub(super) const fn of(stream: Stream) -> Self {
        match stream {
            Stream::Stdout => Self::Stdout,
            Stream::Stderr => Self::Stderr,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Output => "output",
        }
    }

    /// The file that is being written.
    pub(super) fn log(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.log", self.as_str()))
    }

    /// The times of the file that is being written.
    pub(super) fn index(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.idx", self.as_str()))
    }
}

/// One of the files that stand for a closed log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Plain,
    Zstd,
    Gzip,
    Index,
}

impl Part {
    /// What holds the bytes, the original first: as long as it is there, a compressed one may be older than a crash.
    pub(super) const CONTENT: [Self; 3] = [Self::Plain, Self::Zstd, Self::Gzip];
    const ALL: [Self; 4] = [Self::Plain, Self::Zstd, Self::Gzip, Self::Index];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "log",
            Self::Zstd => "log.zst",
            Self::Gzip => "log.gz",
            Self::Index => "idx",
        }
    }
}

/// A closed log. Sorted by stem, then oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Closed {
    pub(super) stem: Stem,
    /// Counts up and is never used twice.
    pub(super) sequence: u64,
    /// When its first byte was written: `20260131T120000Z`.
    pub(super) started: String,
}

/// Ends the name of a file that is not whole yet.
const UNFINISHED: &str = ".new";

impl Closed {
    pub(super) fn new(stem: Stem, sequence: u64, started_ms: i64) -> Self {
        Self { stem, sequence, started: start_text(started_ms) }
    }

    pub(super) fn path(&self, folder: &Path, part: Part) -> PathBuf {
        folder.join(self.name(part))
    }

    /// Where a part is written before it gets its name.
    pub(super) fn unfinished(&self, folder: &Path, part: Part) -> PathBuf {
        folder.join(self.name(part) + UNFINISHED)
    }

    fn name(&self, part: Part) -> String {
        format!("{}.{:08}.{}.{}", self.stem.as_str(), self.sequence, self.started, part.suffix())
    }

    fn parse(name: &str) -> Option<(Self, Part)> {
        let mut pieces = name.splitn(4, '.');
        let stem = pieces.next()?;
        let stem = Stem::ALL.into_iter().find(|known| known.as_str() == stem)?;
        let digits = pieces.next().filter(|digits| digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit()))?;
        let started = pieces.next().filter(|text| is_start(text))?.to_owned();
        let suffix = pieces.next()?;
        let part = Part::ALL.into_iter().find(|part| part.suffix() == suffix)?;
        Some((Self { stem, sequence: digits.parse().ok()?, started }, part))
    }
}

/// A time as it is in names; of two, the later one sorts last.
pub(super) fn start_text(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn is_start(text: &str) -> bool {
    let pattern = "00000000T000000Z";
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            letter => byte == letter,
        })
}

/// What is in a folder of logs; what is not a log is left out.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The closed logs, with what there is of each.
    pub(super) closed: BTreeMap<Closed, BTreeSet<Part>>,
    /// What was left when a guard ended in the middle of writing it.
    pub(super) unfinished: Vec<PathBuf>,
}

impl Listing {
    /// Looks into a folder. One that is not there is empty.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut listing = Self::default();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some((closed, part)) = Closed::parse(name) {
                listing.closed.entry(closed).or_default().insert(part);
            } else if name.strip_suffix(UNFINISHED).and_then(Closed::parse).is_some() {
                listing.unfinished.push(entry.path());
            }
        }
        Ok(listing)
    }

    /// The closed logs of a stem of which there is content, oldest first.
    pub(super) fn contents(&self, stem: Stem) -> impl DoubleEndedIterator<Item = &Closed> {
        let of_stem = self.closed.iter().filter(move |(closed, _)| closed.stem == stem);
        of_stem.filter(|(_, parts)| has_content(parts)).map(|(closed, _)| closed)
    }

    /// The number the file that is being written will get.
    pub(super) fn next_sequence(&self, stem: Stem) -> u64 {
        self.newest(stem).map_or(1, |closed| closed.sequence.saturating_add(1))
    }

    /// The last log of a stem that was closed, even if only its times are left of it.
    pub(super) fn newest(&self, stem: Stem) -> Option<&Closed> {
        self.closed.keys().rfind(|closed| closed.stem == stem)
    }
}

pub(super) fn has_content(parts: &BTreeSet<Part>) -> bool {
    Part::CONTENT.iter().any(|part| parts.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_logs_name_says_which_it_is() {
        let closed = Closed::new(Stem::Stdout, 7, 1_769_860_800_123);
        let name = closed.name(Part::Zstd);
        assert_eq!(name, "stdout.00000007.20260131T120000Z.log.zst");
        assert_eq!(Closed::parse(&name), Some((closed, Part::Zstd)));
        let many = Closed::new(Stem::Output, 123_456_789_012, 0);
        assert_eq!(Closed::parse(&many.name(Part::Index)), Some((many, Part::Index)));
    }

    #[test]
    fn files_of_others_are_not_taken_for_logs() {
        for name in [
            "stdout.log",
            "stdout.log.1",
            "stdout.00000001.log",
            "stdout.0000001.20260131T120000Z.log",
            "stdout.00000001.20260131T120000Z.log.xz",
            "stdout.00000001.20260131x120000Z.log",
            "stdin.00000001.20260131T120000Z.log",
            "stdout.0000000a.20260131T120000Z.log",
            "stdout.99999999999999999999999.20260131T120000Z.log",
        ] {
            assert_eq!(Closed::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_next_number_is_known_while_any_part_of_the_last_log_is_left() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Listing::of(&folder.path().join("missing")).unwrap().next_sequence(Stem::Stdout), 1);
        fs::write(Closed::new(Stem::Stdout, 3, 0).path(folder.path(), Part::Gzip), "").unwrap();
        fs::write(Closed::new(Stem::Stdout, 9, 0).path(folder.path(), Part::Index), "").unwrap();
        fs::write(Closed::new(Stem::Stdout, 9, 0).unfinished(folder.path(), Part::Zstd), "").unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        let listing = Listing::of(folder.path()).unwrap();
        assert_eq!(listing.next_sequence(Stem::Stdout), 10);
        assert_eq!(listing.next_sequence(Stem::Stderr), 1);
        assert_eq!(listing.contents(Stem::Stdout).map(|closed| closed.sequence).collect::<Vec<_>>(), [3]);
        assert_eq!(listing.unfinished.len(), 1);
    }
}
