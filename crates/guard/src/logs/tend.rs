//! Looking after closed logs: removing what is too much, compressing what is left. Whatever a crash left half done is done
//! again; nothing is remembered but the files themselves.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::write::GzEncoder;
use menshen_os::error::describe;
use menshen_os::fail_point::{FailPoint, reach};
use menshen_plan::definition::{Compression, Rotate};
use thiserror::Error;

use super::names::{Closed, Listing, Part, Stem, has_content, start_text};
use super::now::Now;

/// Compressed at once, in bytes; between two blocks it can be stopped.
const BLOCK_BYTES: usize = 128 * 1024;

/// Closed logs that cannot be looked after.
#[derive(Debug, Error)]
#[error("{doing} {}: {}", .path.display(), describe(.source))]
pub(super) struct TendError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TendError {
    let path = path.to_owned();
    move |source| TendError { doing, path, source }
}

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    /// One log is done; meanwhile it may be the turn of another folder.
    More,
}

/// Removes what is too much in a folder of logs, and compresses the oldest log that is not.
pub(super) fn tend(folder: &Path, rotate: &Rotate, now: Now, stop: &AtomicBool) -> Result<Left, TendError> {
    for unfinished in &list(folder)?.unfinished {
        remove(unfinished)?;
        reach(FailPoint::LogUnfinishedRemoved);
    }
    retain(folder, rotate, now)?;
    let Some(part) = part_of(rotate.compress) else { return Ok(Left::Nothing) };
    let listing = list(folder)?;
    let mut plain = listing.closed.iter().filter(|(_, parts)| parts.contains(&Part::Plain));
    let Some((closed, _)) = plain.next() else { return Ok(Left::Nothing) };
    match compress(folder, closed, part, stop) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => {
            Err(failed("compressing", &closed.path(folder, Part::Plain))(error))
        }
        // What it takes now may be less than is allowed, or more: a log may have been closed meanwhile.
        Ok(()) | Err(_) => Ok(Left::More),
    }
}

const fn part_of(compression: Compression) -> Option<Part> {
    match compression {
        Compression::Zstd => Some(Part::Zstd),
        Compression::Gzip => Some(Part::Gzip),
        Compression::None => None,
    }
}

fn list(folder: &Path) -> Result<Listing, TendError> {
    Listing::of(folder).map_err(failed("reading", folder))
}

fn remove(path: &Path) -> Result<(), TendError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removing", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Compresses a closed log. At every instant the original or the whole of the other is there under its name.
fn compress(folder: &Path, closed: &Closed, part: Part, stop: &AtomicBool) -> io::Result<()> {
    let (plain, unfinished) = (closed.path(folder, Part::Plain), closed.unfinished(folder, part));
    let written = compress_beside(&plain, &unfinished, part, stop);
    if written.is_err() {
        // What is left would be removed the next time.
        let _ = fs::remove_file(&unfinished);
    }
    written?;
    fs::rename(&unfinished, closed.path(folder, part))?;
    reach(FailPoint::LogCompressedNamed);
    fs::remove_file(&plain)?;
    reach(FailPoint::LogOriginalRemoved);
    Ok(())
}

fn compress_beside(plain: &Path, unfinished: &Path, part: Part, stop: &AtomicBool) -> io::Result<()> {
    let source = File::open(plain)?;
    let metadata = source.metadata()?;
    let target = File::create(unfinished)?;
    target.set_permissions(metadata.permissions())?;
    let target = match part {
        Part::Gzip => copy(source, GzEncoder::new(target, flate2::Compression::default()), stop)?.finish()?,
        Part::Zstd | Part::Plain | Part::Index => {
            copy(source, zstd::Encoder::new(target, zstd::DEFAULT_COMPRESSION_LEVEL)?, stop)?.finish()?
        }
    };
    if let Ok(modified) = metadata.modified() {
        target.set_modified(modified)?;
    }
    reach(FailPoint::LogCompressed);
    // The original may be on the disk for long; a loss of power must not take both.
    target.sync_data()?;
    reach(FailPoint::LogCompressedSynced);
    Ok(())
}

fn copy<W: Write>(mut source: File, mut target: W, stop: &AtomicBool) -> io::Result<W> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match source.read(&mut block)? {
            0 => return Ok(target),
            count => target.write_all(&block[..count])?,
        }
    }
}

/// Removes the oldest logs of which there are too many, and then the oldest of all while they take too much.
fn retain(folder: &Path, rotate: &Rotate, now: Now) -> Result<(), TendError> {
    let listing = list(folder)?;
    let keep = usize::try_from(rotate.keep).unwrap_or(usize::MAX);
    let mut going: BTreeSet<&Closed> = BTreeSet::new();
    for stem in Stem::ALL.into_iter().filter(|_| keep > 0) {
        going.extend(listing.contents(stem).rev().skip(keep));
    }
    let mut left: Vec<(&Closed, u64)> = Vec::new();
    for (closed, parts) in listing.closed.iter().filter(|(closed, _)| !going.contains(closed)) {
        left.push((closed, parts.iter().map(|part| size(&closed.path(folder, *part))).sum()));
    }
    let mut total = left.iter().map(|(_, bytes)| bytes).sum::<u64>() + current_size(folder);
    let left = oldest_first(left, &start_text(now.wall_ms));
    let mut oldest = left.iter().filter(|(closed, _)| has_content(&listing.closed[*closed]));
    while rotate.total.0 > 0 && total > rotate.total.0 {
        let Some((closed, bytes)) = oldest.next() else { break };
        going.insert(closed);
        total -= bytes;
    }
    let orphans = listing.closed.iter().filter(|(_, parts)| !has_content(parts)).map(|(closed, _)| closed);
    for closed in going.iter().copied().chain(orphans) {
        drop_closed(folder, closed, &listing)?;
    }
    Ok(())
}

/// Sorts what is sorted by stem and number. Within a stem the number tells which log is older. Between two the time does, as far
/// as it can be true: one that is later than that of a log with a higher number, or than now, is of before the clock was set back.
fn oldest_first<'a>(left: Vec<(&'a Closed, u64)>, now: &str) -> Vec<(&'a Closed, u64)> {
    const UNKNOWN: &str = "";
    let mut dated: Vec<(&str, &Closed, u64)> = Vec::new();
    for (closed, bytes) in left.into_iter().rev() {
        let started = if *closed.started > *now { UNKNOWN } else { &closed.started };
        let next = dated.last().filter(|(_, next, _)| next.stem == closed.stem);
        dated.push((next.map_or(started, |(next, ..)| started.min(next)), closed, bytes));
    }
    dated.sort_by_key(|(started, closed, _)| (*started, closed.sequence));
    dated.into_iter().map(|(_, closed, bytes)| (closed, bytes)).collect()
}

/// The times of the newest log stay: they remember the number of the log, which is not used again.
fn drop_closed(folder: &Path, closed: &Closed, listing: &Listing) -> Result<(), TendError> {
    let is_newest = listing.newest(closed.stem) == Some(closed);
    for part in listing.closed[closed].iter().filter(|part| !(is_newest && **part == Part::Index)) {
        remove(&closed.path(folder, *part))?;
        reach(FailPoint::LogRetired);
    }
    Ok(())
}

fn current_size(folder: &Path) -> u64 {
    Stem::ALL.iter().map(|stem| size(&stem.log(folder)) + size(&stem.index(folder))).sum()
}

/// A file that is gone takes nothing.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
