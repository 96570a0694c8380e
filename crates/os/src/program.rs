//! What is to be started, down to the last detail.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::account::Identity;

/// A program to start.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// The program and its arguments. A name without a slash is searched in the `PATH` of `environment`; a relative path
    /// starts at `directory`.
    pub command: Vec<OsString>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Further variables of it, which hold the number of the program's own process.
    pub own_pid: Vec<OsString>,
    /// The working directory.
    pub directory: PathBuf,
    /// The account to run as; the guard's own without it.
    pub identity: Option<Identity>,
    /// The file mode creation mask.
    pub umask: Option<u32>,
    /// The scheduling priority.
    pub nice: Option<i32>,
    /// Open files of the process; without it what the guard itself was given.
    pub files: Option<u64>,
    /// Its stdin.
    pub input: Input,
    /// Its stdout and stderr.
    pub output: Output,
    /// File descriptors it gets from number 3 on, each with a name (`LISTEN_FDS`, `LISTEN_FDNAMES`).
    pub passed: Vec<(String, Arc<crate::output::Descriptor>)>,
}

/// What a program reads.
#[derive(Debug, Clone, Default)]
pub enum Input {
    /// Nothing: the end at once.
    #[default]
    Null,
    /// These bytes, then the end.
    Bytes(Vec<u8>),
}

/// Where a program writes.
#[derive(Debug, Clone, Default)]
pub enum Output {
    /// Nowhere.
    #[default]
    Null,
    /// Into these.
    To {
        /// Its stdout.
        stdout: Arc<crate::output::Descriptor>,
        /// Its stderr.
        stderr: Arc<crate::output::Descriptor>,
    },
    /// Into a small buffer of which the last part comes with its exit.
    Tail,
}

/// Where a program belongs: which service, and what it is to it. All processes of one place are one tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The service's name; it may be the name of a folder.
    pub service: String,
    /// `main`, `fallback`, `stop`, `probe-liveness`, …
    pub role: String,
}
