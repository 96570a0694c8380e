//! What a folder holds: each path with its kind, its permissions and its content.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::platform::mode_of;

/// Paths and what is there.
pub type Belongings = BTreeMap<PathBuf, String>;

/// What folders and files hold; those that are not there hold nothing.
///
/// # Errors
/// When something cannot be read.
pub fn of(places: &[PathBuf]) -> io::Result<Belongings> {
    let mut belongings = Belongings::new();
    for place in places {
        add(place, &mut belongings)?;
    }
    Ok(belongings)
}

/// In what two differ, a line for each path.
#[must_use]
pub fn differences(before: &Belongings, after: &Belongings) -> Vec<String> {
    let gone = before.iter().filter(|(path, _)| !after.contains_key(*path));
    let gone = gone.map(|(path, was)| format!("{} is gone ({was})", path.display()));
    let other = after.iter().filter_map(|(path, is)| match before.get(path) {
        Some(was) if was == is => None,
        Some(was) => Some(format!("{} was {was} and is {is}", path.display())),
        None => Some(format!("{} is left ({is})", path.display())),
    });
    gone.chain(other).collect()
}

fn add(path: &Path, belongings: &mut Belongings) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let mode = mode_of(&metadata);
    let kind = metadata.file_type();
    let what = if kind.is_symlink() {
        format!("link to {}", fs::read_link(path)?.display())
    } else if kind.is_dir() {
        format!("folder {mode}")
    } else if kind.is_file() {
        let mut hasher = DefaultHasher::new();
        fs::read(path)?.hash(&mut hasher);
        format!("file {mode} of {} bytes, {:016x}", metadata.len(), hasher.finish())
    } else {
        format!("neither file nor folder {mode}")
    };
    belongings.insert(path.to_owned(), what);
    if kind.is_dir() {
        for entry in fs::read_dir(path)? {
            add(&entry?.path(), belongings)?;
        }
    }
    Ok(())
}
