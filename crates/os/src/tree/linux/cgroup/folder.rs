//! What the kernel tells of the folder of a cgroup, whoever's it is.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use crate::error::context;

pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
    folder.map_err(context(format!("opening {}", path.display())))
}

/// Processor time of everything that ever was in a folder, also in those below that are gone.
pub(super) fn cpu_of(folder: &Path) -> Option<Duration> {
    let text = fs::read_to_string(folder.join("cpu.stat")).ok()?;
    keyed(&text, "usage_usec").map(Duration::from_micros)
}

/// The value of a key in a file of `key value` lines.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Every process in a folder, but not in those below.
pub(super) fn read_members(folder: &Path, members: &mut Vec<u32>) {
    let mut text = String::new();
    if let Ok(mut file) = File::open(folder.join("cgroup.procs"))
        && file.read_to_string(&mut text).is_ok()
    {
        members.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
    }
}

/// Every process in a folder and in those below.
pub(super) fn collect_members(folder: &Path, members: &mut Vec<u32>) {
    read_members(folder, members);
    for below in folders_in(folder) {
        collect_members(&below, members);
    }
}

/// Removes a folder with those below it; files in them are the kernel's. What is in use stays. Whether it is gone.
pub(crate) fn remove_tree(folder: &Path) -> bool {
    // Most are leaves.
    if remove(folder) {
        return true;
    }
    for below in folders_in(folder) {
        remove_tree(&below);
    }
    remove(folder)
}

/// Removes a folder that has none below it and is not in use. Whether it is gone.
pub(super) fn remove(folder: &Path) -> bool {
    match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// The folders in a folder.
pub(super) fn folders_in(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path())
}

/// What they are called.
pub(super) fn names_in(folder: &Path) -> impl Iterator<Item = String> + use<> {
    folders_in(folder).filter_map(|folder| Some(folder.file_name()?.to_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_files_are_read_by_whole_keys() {
        let text = "oom 1\noom_kill 7\noom_kill_disable 0\n";
        assert_eq!(keyed(text, "oom_kill"), Some(7));
        assert_eq!(keyed(text, "oom_kil"), None);
    }
}
