//! What a line begins with that has no end yet, where the next guard finds it: the pipe it came from does not have it any more.
//!
//! It is kept in one of two places in turn, so that the one before is there as long as the new one may have to be undone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use menshen_os::fail_point::{FailPoint, reach};

use super::lines::LINE_BYTES_MAX;

/// Before the bytes: the how manieth it is, and how many bytes there are.
const HEAD_BYTES: usize = 16;
const PLACE_BYTES: u64 = (HEAD_BYTES + LINE_BYTES_MAX) as u64;
const MODE: u32 = 0o600;
/// After the name of the pipe.
const EXTENSION: &str = ".begun";

/// The begun line of one stream.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    /// The how manieth was kept last.
    number: u64,
    /// Whether there was anything in it.
    is_empty: bool,
}

impl Tail {
    /// Goes on where another guard ended, and says what it left.
    pub(super) fn open(pipe: &Path) -> io::Result<(Self, Vec<u8>)> {
        let mut path = pipe.as_os_str().to_owned();
        path.push(EXTENSION);
        let path = PathBuf::from(path);
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

    /// What [`undo`] needs to take back what is kept next.
    pub(super) fn next(&self) -> (&Path, u64) {
        (&self.path, self.number + 1)
    }

    /// Writes the next, which counts from now on if this guard is killed and it is not undone.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let number = self.number + 1;
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(&self.path)?;
        let head = [number, bytes.len() as u64].map(u64::to_le_bytes).concat();
        file.write_all_at(&[&head, bytes].concat(), place(number))?;
        reach(FailPoint::LogTailKept);
        Ok(())
    }

    /// What was written last counts for this guard, too.
    pub(super) const fn advance(&mut self, is_empty: bool) {
        self.number += 1;
        self.is_empty = is_empty;
    }

    /// What was written last does not count.
    pub(super) fn undo(&self) -> io::Result<()> {
        undo(&self.path, self.number + 1)
    }

    /// Forgets it all.
    pub(super) fn forget(&mut self) {
        // What cannot be removed is what could not be made.
        let _ = fs::remove_file(&self.path);
        self.number = 0;
        self.is_empty = true;
    }
}

/// Forgets what was kept as the one of this number, if it was.
pub(super) fn undo(path: &Path, number: u64) -> io::Result<()> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) if read(&file, number % 2)?.is_some_and(|(kept, _)| kept == number) => {
            file.write_all_at(&[0; HEAD_BYTES], place(number))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Forgets what was kept of all pipes in a folder.
pub(super) fn forget_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.as_os_str().as_encoded_bytes().ends_with(EXTENSION.as_bytes()) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

const fn place(number: u64) -> u64 {
    number % 2 * PLACE_BYTES
}

/// What is kept at one of the two places; `None` if that is nothing.
fn read(file: &File, number: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut head = [0; HEAD_BYTES];
    match file.read_exact_at(&mut head, place(number)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let field = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| head[at + byte]));
    let length = usize::try_from(field(8)).ok().filter(|length| *length <= LINE_BYTES_MAX);
    let (Some(length), kept @ 1..) = (length, field(0)) else { return Ok(None) };
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, place(number) + HEAD_BYTES as u64)?;
    Ok(Some((kept, bytes)))
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
        tail.undo().unwrap();
        assert_eq!(found(), b"two", "nothing was written since");
        tail.write(b"three").unwrap();
        assert_eq!(found(), b"three");
        let (path, number) = tail.next();
        undo(path, number).unwrap();
        undo(path, number).unwrap();
        assert_eq!(found(), b"two");
        tail.forget();
        assert!(found().is_empty() && tail.is_empty());
        tail.undo().unwrap();
    }

    #[test]
    fn all_of_a_folder_are_forgotten_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let pipes = ["a.out", "a.err"].map(|name| folder.path().join(name));
        for pipe in &pipes {
            fs::write(pipe, "").unwrap();
            Tail::open(pipe).unwrap().0.write(b"begun").unwrap();
        }
        forget_all(folder.path()).unwrap();
        assert!(pipes.iter().all(|pipe| pipe.exists() && Tail::open(pipe).unwrap().1.is_empty()));
    }
}
