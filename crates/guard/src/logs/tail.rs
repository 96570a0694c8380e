//! What a line begins with that has no end yet, where the next guard finds it: the pipe it came from does not have it any more.
//!
//! It is kept in one of two places in turn, so that the one before is there as long as the new one may have to be undone.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use menshen_os::clock::boot_id;
use menshen_os::fail_point::{FailPoint, reach};
use menshen_os::file::{open_private, read_exact_at, write_all_at};

use super::lines::LINE_BYTES_MAX;

/// Before the bytes: the number, how many bytes there are, and of which boot they are.
const HEAD_BYTES: usize = 24;
const PLACE_BYTES: u64 = (HEAD_BYTES + LINE_BYTES_MAX) as u64;
/// After the name of the pipe.
const EXTENSION: &str = ".begun";

/// This boot, as the files have it: what is in a pipe, and what it goes on from, is gone with it.
static BOOT: LazyLock<u64> = LazyLock::new(|| {
    let digits: String = boot_id().chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or_default()
});

/// The begun line of one stream.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    /// That of what was kept last; each has the next.
    number: u64,
    /// Whether there was anything in it.
    is_empty: bool,
}

impl Tail {
    /// Goes on where another guard ended, and says what it left.
    pub(super) fn open(pipe: &Path) -> io::Result<(Self, Vec<u8>)> {
        let path = path(pipe);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Self { path, number: 0, is_empty: true }, Vec::new()));
            }
            Err(error) => return Err(error),
        };
        let places = [read(&file, 0)?, read(&file, 1)?];
        let (number, bytes) = places.into_iter().flatten().max_by_key(|(number, _)| *number).unwrap_or_default();
        Ok((Self { path, number, is_empty: bytes.is_empty() }, bytes))
    }

    /// Whether nothing is kept.
    pub(super) const fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The number of what is kept next.
    pub(super) const fn next(&self) -> u64 {
        self.number + 1
    }

    /// Writes the next, which counts from now on if this guard is killed and it is not undone.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let number = self.number + 1;
        let file = open_private(&self.path)?;
        // A guard that is killed may have written some of the bytes. It then has not written that they are there.
        write_all_at(&file, bytes, place(number) + HEAD_BYTES as u64)?;
        write_all_at(&file, &[number, bytes.len() as u64, *BOOT].map(u64::to_le_bytes).concat(), place(number))?;
        reach(FailPoint::LogTailKept);
        Ok(())
    }

    /// What was written last counts for this guard, too.
    pub(super) const fn advance(&mut self, is_empty: bool) {
        self.number += 1;
        self.is_empty = is_empty;
    }

    /// Nothing is kept, and what was is not there any more. The next has another number all the same.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.is_empty = true;
        match fs::remove_file(&self.path) {
            Ok(()) => {
                reach(FailPoint::LogTailForgotten);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn path(pipe: &Path) -> PathBuf {
    let mut path = pipe.as_os_str().to_owned();
    path.push(EXTENSION);
    path.into()
}

/// Forgets what was kept of a pipe under this number, if it was.
pub(super) fn undo(pipe: &Path, number: u64) -> io::Result<()> {
    match File::options().read(true).write(true).open(path(pipe)) {
        Ok(file) if head(&file, number)?.is_some_and(|[kept, ..]| kept == number) => {
            write_all_at(&file, &[0; HEAD_BYTES], place(number))?;
            reach(FailPoint::LogTailUndone);
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

const fn place(number: u64) -> u64 {
    number % 2 * PLACE_BYTES
}

/// What stands before the bytes at one of the two places.
fn head(file: &File, number: u64) -> io::Result<Option<[u64; 3]>> {
    let mut head = [0; HEAD_BYTES];
    match read_exact_at(file, &mut head, place(number)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    Ok(Some([0, 8, 16].map(|at| u64::from_le_bytes(std::array::from_fn(|byte| head[at + byte])))))
}

/// What is kept at one of the two places; `None` if that is nothing, or of another boot.
fn read(file: &File, number: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    let Some([kept, length, boot]) = head(file, number)? else { return Ok(None) };
    let length = usize::try_from(length).ok().filter(|length| *length <= LINE_BYTES_MAX);
    let Some(length) = length.filter(|_| kept > 0 && boot == *BOOT) else { return Ok(None) };
    let mut bytes = vec![0; length];
    match read_exact_at(file, &mut bytes, place(number) + HEAD_BYTES as u64) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(|()| Some((kept, bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_that_was_kept_is_found_unless_it_was_undone() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("out");
        let found = || Tail::open(&pipe).unwrap().1;
        let (mut tail, left) = Tail::open(&pipe).unwrap();
        assert!(left.is_empty() && tail.is_empty());
        let long = vec![b'x'; LINE_BYTES_MAX];
        for bytes in [&b"one"[..], &long, b"", b"two"] {
            tail.write(bytes).unwrap();
            tail.advance(bytes.is_empty());
            assert_eq!(found(), bytes);
        }
        undo(&pipe, tail.next()).unwrap();
        assert_eq!(found(), b"two", "nothing was written since");
        tail.write(b"three").unwrap();
        assert_eq!(found(), b"three");
        for _ in 0..2 {
            undo(&pipe, tail.next()).unwrap();
            assert_eq!(found(), b"two");
        }
        tail.forget().unwrap();
        tail.forget().unwrap();
        assert!(found().is_empty() && tail.is_empty());
        undo(&pipe, tail.next()).unwrap();
    }

    #[test]
    fn a_file_that_is_cut_or_of_another_boot_keeps_nothing_and_hinders_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("out");
        let (tail, _) = Tail::open(&pipe).unwrap();
        tail.write(&[b'x'; 10_000]).unwrap();
        let whole = fs::read(path(&pipe)).unwrap();
        for length in [0, 1, 10, 24, 5_000, whole.len() - 1].map(|bytes| usize::try_from(PLACE_BYTES).unwrap() + bytes)
        {
            fs::write(path(&pipe), &whole[..length.min(whole.len() - 1)]).unwrap();
            assert!(Tail::open(&pipe).unwrap().1.is_empty());
            undo(&pipe, tail.next()).unwrap();
        }
        let mut earlier = whole;
        earlier[usize::try_from(PLACE_BYTES).unwrap() + 16] ^= 1;
        fs::write(path(&pipe), earlier).unwrap();
        assert!(Tail::open(&pipe).unwrap().1.is_empty());
    }
}
