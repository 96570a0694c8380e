//! How far a spool was read, and what was being moved out of it.

use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use super::{FileId, LogFile};
use crate::memory::platform::{Mapped, Record};

/// After the name of the spool.
const EXTENSION: &str = ".at";
/// The longest path that is noted, in UTF-16 units: what is moved to a log of a longer one may be found there twice, should the
/// guard be killed meanwhile.
const PATH_MAX: usize = 1900;

/// See the module.
#[derive(Debug)]
pub(super) struct Mark(Mapped<Noted>);

#[repr(C)]
#[derive(Debug)]
struct Noted {
    /// Which spool it is about.
    device: AtomicU64,
    number: AtomicU64,
    /// How far that was read, in bytes.
    taken: AtomicU64,
    /// How many bytes are being moved at most, if any; and from where on.
    moving: AtomicU64,
    from: AtomicU64,
    /// To which log, and how long that was.
    log_device: AtomicU64,
    log_number: AtomicU64,
    log_end: AtomicU64,
    log_path: NotedPath,
}

// SAFETY: all of it is atomic.
unsafe impl Record for Noted {}

/// A path, in memory that outlives the guard.
#[repr(C)]
#[derive(Debug)]
pub(super) struct NotedPath {
    length: AtomicU64,
    units: [AtomicU16; PATH_MAX],
}

impl NotedPath {
    pub(super) fn set(&self, path: &Path) {
        let mut length = 0;
        for (place, unit) in self.units.iter().zip(path.as_os_str().encode_wide()) {
            place.store(unit, Ordering::Release);
            length += 1;
        }
        self.length.store(length, Ordering::Release);
    }

    pub(super) fn get(&self) -> PathBuf {
        let length = usize::try_from(self.length.load(Ordering::Acquire)).unwrap_or(0).min(PATH_MAX);
        let units: Vec<u16> = self.units[..length].iter().map(|unit| unit.load(Ordering::Acquire)).collect();
        OsString::from_wide(&units).into()
    }
}

/// Where the mark of a spool is.
pub(super) fn path(spool: &Path) -> PathBuf {
    let mut path = spool.as_os_str().to_owned();
    path.push(EXTENSION);
    path.into()
}

impl Mark {
    /// The mark of the spool at this path, which is this file; of another one nothing is known.
    pub(super) fn open(spool: &Path, id: FileId) -> io::Result<Self> {
        let noted = Mapped::<Noted>::open(&path(spool))?;
        let (device, number) = id.parts();
        if (noted.device.load(Ordering::Acquire), noted.number.load(Ordering::Acquire)) != (device, number) {
            noted.moving.store(0, Ordering::Release);
            noted.taken.store(0, Ordering::Release);
            noted.device.store(device, Ordering::Release);
            noted.number.store(number, Ordering::Release);
        }
        Ok(Self(noted))
    }

    /// How far the spool was read, in bytes.
    pub(super) fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Acquire)
    }

    pub(super) fn set_taken(&self, taken: u64) {
        self.0.taken.store(taken, Ordering::Release);
    }

    /// Whether nothing is being moved.
    pub(super) fn is_at_rest(&self) -> bool {
        self.0.moving.load(Ordering::Acquire) == 0
    }

    /// At most so many bytes are about to be moved to the end of this log.
    pub(super) fn begin(&self, bytes: usize, log: &Path, id: FileId, end: u64) {
        let (device, number) = id.parts();
        let noted = &self.0;
        noted.log_path.set(log);
        noted.log_device.store(device, Ordering::Release);
        noted.log_number.store(number, Ordering::Release);
        noted.log_end.store(end, Ordering::Release);
        noted.from.store(self.taken(), Ordering::Release);
        noted.moving.store(bytes as u64, Ordering::Release);
    }

    /// What was begun is done, or nothing came of it.
    pub(super) fn end(&self) {
        self.0.moving.store(0, Ordering::Release);
    }

    /// Finds out how much of what a guard before this one was moving has come to the log: what that is longer by. The log is
    /// as that guard left it.
    pub(super) fn settle(&self) {
        let noted = &self.0;
        let bytes = noted.moving.load(Ordering::Acquire);
        if bytes == 0 {
            return;
        }
        let before = noted.log_end.load(Ordering::Acquire);
        let id = FileId::new(noted.log_device.load(Ordering::Acquire), noted.log_number.load(Ordering::Acquire));
        let now = LogFile::look(&noted.log_path.get()).ok().flatten().filter(|now| now.id == id);
        if let Some(now) = now {
            let moved = now.length.saturating_sub(before).min(bytes);
            self.set_taken(noted.from.load(Ordering::Acquire) + moved);
        }
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_has_come_to_the_log_was_taken_and_the_rest_was_not() {
        for moved in [0_u64, 3, 5] {
            let folder = tempfile::tempdir().unwrap();
            let (spool, log) = (folder.path().join("out"), folder.path().join("log"));
            fs::write(&log, "before").unwrap();
            let before = LogFile::look(&log).unwrap().unwrap();
            let mark = Mark::open(&spool, FileId::new(1, 2)).unwrap();
            mark.set_taken(7);
            mark.begin(5, &log, before.id, before.length);
            fs::write(&log, &b"before12345"[..6 + usize::try_from(moved).unwrap()]).unwrap();
            drop(mark);
            for _ in 0..2 {
                let next = Mark::open(&spool, FileId::new(1, 2)).unwrap();
                next.settle();
                assert_eq!(next.taken(), 7 + moved);
            }
            assert_eq!(Mark::open(&spool, FileId::new(1, 3)).unwrap().taken(), 0, "it is another spool");
        }
    }
}
