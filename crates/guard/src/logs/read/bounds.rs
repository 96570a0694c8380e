//! Where to begin and where to end: what is there now, since when, and only the last lines, without reading more than needed.

use std::io;

use memchr::memrchr;

use super::super::lines::Piece;
use super::lane::{Lane, Picker, Place};
use super::shelf::{OpenLog, Shelf, Standing};

/// Read at once from behind, in bytes.
const BLOCK_BYTES: u64 = 64 * 1024;
/// What is longer without an end of a line is not searched for one, in bytes: it is hardly text.
const SEARCHED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Where the logs end now.
pub(super) fn end_of(shelf: &Shelf) -> io::Result<Place> {
    let last = shelf.closed()?.last().map_or(0, |last| last.saturating_add(1));
    Ok(match shelf.first_from(last)? {
        Some(log) if log.standing == Standing::Current => {
            Place { sequence: log.sequence, offset: log.content.length.unwrap_or(u64::MAX) }
        }
        // It was closed just now.
        Some(log) => Place { sequence: log.sequence, offset: u64::MAX },
        None => Place { sequence: last, offset: 0 },
    })
}

/// Where to begin to find what was written at this time or later.
pub(super) fn start_since(shelf: &Shelf, since_ms: Option<i64>, end: Place) -> io::Result<Place> {
    let mut next = 0;
    while let Some(mut log) = shelf.first_from(next)?.filter(|log| log.sequence <= end.sequence) {
        let start = |offset| Place { sequence: log.sequence, offset };
        let Some(since_ms) = since_ms else { return Ok(start(0)) };
        if !log.is_older_than(since_ms) {
            let sequence = log.sequence;
            return Ok(Place { sequence, offset: log.offset_since(since_ms) });
        }
        next = log.sequence.saturating_add(1);
    }
    Ok(end)
}

/// Where to begin, not before `start`, to find the last so many lines that are picked before `end`.
pub(super) fn start_of_tail(
    shelf: &Shelf,
    picker: &Picker,
    lines: usize,
    (start, end): (Place, Place),
) -> io::Result<Place> {
    let mut wanted = lines;
    let mut sequences = shelf.closed()?;
    sequences.push(end.sequence);
    sequences.retain(|sequence| (start.sequence..=end.sequence).contains(sequence));
    sequences.dedup();
    let mut found = end;
    for sequence in sequences.into_iter().rev() {
        if wanted == 0 {
            break;
        }
        let Some(mut log) = shelf.first_from(sequence)?.filter(|log| log.sequence == sequence) else { continue };
        let first = if sequence == start.sequence { start.offset } else { 0 };
        let last = if sequence == end.sequence { end.offset } else { u64::MAX };
        let counted = match log.content.length {
            Some(length) => backward(&mut log, picker, wanted, (first, last.min(length))),
            None => forward(shelf, picker, Place { sequence, offset: first }),
        };
        // What cannot be read is told when it is read again.
        let Counted { lines, offset } = counted.unwrap_or(Counted { lines: 0, offset: first });
        found = Place { sequence, offset };
        // The first line of a log may be the rest of the last line of the one before.
        wanted = if lines >= wanted { 0 } else { wanted - lines + 1 };
    }
    Ok(found)
}

struct Counted {
    lines: usize,
    /// Where the first of them begins.
    offset: u64,
}

/// Counts lines from behind, until there are enough.
fn backward(log: &mut OpenLog, picker: &Picker, wanted: usize, (first, last): (u64, u64)) -> io::Result<Counted> {
    let mut lines = 0;
    // The bytes between `start` and what was counted already.
    let mut bytes = Vec::new();
    let mut start = last;
    let mut block = BLOCK_BYTES;
    while start > first {
        let before = start.saturating_sub(block).max(first);
        let mut read = log.content.read_between(before, start)?;
        read.append(&mut bytes);
        (bytes, start) = (read, before);
        // The end of the last line is not the end of an empty one behind it.
        let body = |bytes: &[u8]| bytes.len() - usize::from(bytes.last() == Some(&b'\n'));
        let length = bytes.len();
        while let Some(end) = memrchr(b'\n', &bytes[..body(&bytes)]) {
            lines += count(log, picker, &bytes[end + 1..], start + end as u64 + 1);
            bytes.truncate(end + 1);
            if lines >= wanted {
                return Ok(Counted { lines, offset: start + bytes.len() as u64 });
            }
        }
        // A line longer than all that was read: it is not looked at again and again in small steps.
        if bytes.len() > SEARCHED_BYTES_MAX {
            return Ok(Counted { lines: wanted, offset: start });
        }
        block = if bytes.len() == length { block.saturating_mul(2) } else { BLOCK_BYTES };
    }
    lines += count(log, picker, &bytes, start);
    Ok(Counted { lines, offset: first })
}

/// How many pieces of a line, with its end, are picked.
fn count(log: &mut OpenLog, picker: &Picker, line: &[u8], offset: u64) -> usize {
    let time_ms = log.index.as_mut().and_then(|index| index.time_at(offset));
    let mut lines = 0;
    let mut splitter = picker.splitter();
    let mut each = |piece: Piece<'_>| lines += usize::from(picker.pick(piece.bytes, piece.ends, time_ms).is_some());
    splitter.push(line, &mut each);
    splitter.break_off(each);
    lines
}

/// Counts all lines of a log that can only be read from its beginning.
fn forward(shelf: &Shelf, picker: &Picker, start: Place) -> io::Result<Counted> {
    let mut lane = Lane::new(shelf.clone(), picker.clone(), start, Place { offset: u64::MAX, ..start });
    let mut lines = 0;
    while lane.look()?.is_some() {
        lane.take();
        lines += 1;
    }
    Ok(Counted { lines, offset: start.offset })
}
