//! The two ways the guard holds process trees together; what is promised is the same for both.

use std::fs;
use std::path::{Path, PathBuf};

use crate::require;

/// How a guard tells the processes of services apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trees {
    /// A cgroup (version 2) for each.
    Cgroup,
    /// Sessions, marks and lines of descent.
    Walk,
}

impl Trees {
    /// As `MENSHEN_TREES` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Walk => "walk",
        }
    }

    /// Whether this machine can; see [`require`].
    #[must_use]
    pub fn are_there(self) -> bool {
        self == Self::Walk || require::cgroup()
    }
}

/// The cgroups of the guards of this name that are there, wherever what they remember is.
pub(crate) fn cgroups(instance: &str) -> Vec<PathBuf> {
    let (name, begin) = (format!("menshen.{instance}"), format!("menshen.{instance}@"));
    own_cgroups(|folder| folder == name || folder.starts_with(&begin))
}

/// The folders of this name that are there, in every hierarchy, below those of the tests.
pub(crate) fn cgroups_named(name: &str) -> Vec<PathBuf> {
    own_cgroups(|folder| folder == name)
}

fn own_cgroups(is_it: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own: Vec<&str> = own.lines().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
    let mounts = mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    let below = |mount: &str| -> Vec<PathBuf> {
        own.iter().map(|path| Path::new(mount).join(path.trim_start_matches('/'))).collect()
    };
    let inside = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = mounts.flat_map(below).flat_map(inside).collect();
    folders.retain(|folder| folder.file_name().and_then(|name| name.to_str()).is_some_and(&is_it) && folder.is_dir());
    folders.sort();
    folders.dedup();
    folders
}

/// Removes the cgroups of a guard that was killed.
pub(crate) fn remove_cgroups(instance: &str) {
    cgroups(instance).iter().for_each(|folder| remove_folders(folder));
}

/// Files in these folders are the kernel's.
pub(crate) fn remove_folders(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_folders(&entry.path());
        }
    }
    // Mostly there is none: the guard has removed its own.
    let _ = fs::remove_dir(folder);
}

/// Makes of each function that takes [`Trees`] two tests, `NAME::cgroup` and `NAME::walk`.
#[macro_export]
macro_rules! with_both_trees {
    ($($(#[$attribute:meta])* fn $name:ident($trees:ident: Trees) $body:block)+) => {$(
        $(#[$attribute])*
        #[cfg(test)]
        mod $name {
            #[expect(unused_imports, reason = "what the file of the test imports is there for every test of it")]
            use super::*;

            fn with($trees: $crate::Trees) {
                if $trees.are_there() {
                    $body
                }
            }

            #[test]
            fn cgroup() {
                with($crate::Trees::Cgroup);
            }

            #[test]
            fn walk() {
                with($crate::Trees::Walk);
            }
        }
    )+};
}
