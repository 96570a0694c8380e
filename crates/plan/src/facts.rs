//! What the plan must know of the machine, asked of the caller.

use std::path::{Path, PathBuf};

use crate::definition::AlsoLog;

/// The machine, as far as a definition speaks of it. The plan asks, the caller looks: so the same definition can be checked
/// against this machine, against another one, or in a test against one that never was.
pub trait Facts {
    /// The text of a file: an env file or a credential.
    ///
    /// # Errors
    /// With what stood in the way, as a lower-case fragment: `no such file`, `permission denied`.
    fn read(&self, path: &Path) -> Result<String, String>;

    /// What is at a path, following links.
    fn look(&self, path: &Path) -> Look;

    /// The program a bare name means, searched in the folders of `path_variable` (the value of `PATH`).
    fn find_program(&self, name: &str, path_variable: &str) -> Option<PathBuf>;

    /// The file that the path of a program means: another one than is written where a system lets a part of its name be left out.
    fn program_file(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// The account of that name or number, if there is one.
    fn user(&self, account: &str) -> Option<User>;

    /// Whether there is a group of that name or number.
    fn has_group(&self, account: &str) -> bool;

    /// What kind of system it is.
    fn system(&self) -> System;

    /// Whether the guard would run as root (or the machine's like of it).
    fn is_root(&self) -> bool;

    /// Whether this machine has that place for logs.
    fn has_log(&self, place: AlsoLog) -> bool;

    /// A number that changes when the content of the file does.
    fn digest(&self, path: &Path) -> Option<u64>;
}

/// Kinds of systems, which differ in what they can do for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Linux, and what is like it.
    Unix,
    /// Windows.
    Windows,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nothing.
    Missing,
    /// Something that could not be looked at, with the reason.
    Unreadable(String),
    /// A folder.
    Directory,
    /// A file.
    File(FileLook),
}

/// What a file is like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileLook {
    /// Whether it may be executed by somebody.
    pub executable: bool,
    /// Whether anybody may write to it or to its folder (a folder with the sticky bit does not count).
    pub world_writable: bool,
    /// Whether others than its owner and group may read it.
    pub world_readable: bool,
    /// The program its `#!` line names, if it has one.
    pub interpreter: Option<PathBuf>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its home folder.
    pub home: PathBuf,
    /// Its shell.
    pub shell: PathBuf,
    /// Whether it is root.
    pub is_root: bool,
    /// What it takes to run something as it.
    pub logon: Logon,
}

/// What it takes to run something as somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logon {
    /// Nothing: it is whom the guard runs as.
    Own,
    /// The guard's own rights. There is no password.
    Rights,
    /// Its password, besides them.
    Password,
}
