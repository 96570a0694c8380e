//! What a process supervisor has to offer to be measured: how to come by it, how to tell it what to run, and how to speak to
//! it. A file of this folder for each.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use sha2::{Digest as _, Sha256};

use super::super::program::Program;
use super::container::Container;
use super::install::Source;
use super::session::Quiet;

/// A program to be supervised.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub name: String,
    pub command: Vec<String>,
    pub life: Life,
    pub log: Log,
}

/// What becomes of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It runs until it is stopped.
    Stays,
    /// It ends after a while, as one that has failed.
    Dies,
}

/// How a program's stdout is kept. Every peer keeps it in files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// As it usually does.
    Usual,
    /// In one file, which is not rotated before it has [`LOG_BYTES_MAX`].
    Whole(Format),
}

/// How a line is written. Only Menshen knows more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Raw,
    Text,
    Json,
}

/// The largest file s6-log can be told to keep.
pub(super) const LOG_BYTES_MAX: u64 = 268_435_455;

/// How a supervisor is started.
#[derive(Debug)]
pub(super) enum Start {
    /// The command is the supervisor.
    Stays(Command),
    /// The command ends, and leaves the supervisor running.
    Returns(Command),
}

/// How a supervisor is asked to stop everything it runs, and to end.
#[derive(Debug)]
pub(super) enum Stop {
    Command(Command),
    /// Only the programs: the supervisor is its machine's, and goes on.
    Programs(Command),
    /// To the supervisor, which was started with a command that stays.
    Signal(Signal),
}

/// A process supervisor.
pub(super) trait Peer {
    /// As it is called.
    fn name(&self) -> &'static str;

    /// Where it comes from.
    fn source(&self) -> Source;

    /// Writes into an empty folder what it has to know of the programs: that each is started at once and, when it dies, again
    /// with the smallest delay that can be had.
    fn configure(&self, folder: &Path, jobs: &[Job]) -> Result<(), String>;

    /// Starts what has to run before: a machine, if it is part of one.
    fn boot(&self, _folder: &Path, _program: &Program, _quiet: &Quiet<'_>) -> Result<Option<Container>, String> {
        Ok(None)
    }

    /// How it is started on that.
    fn start(&self, folder: &Path) -> Start;

    /// How it is asked for the state of all programs.
    fn list(&self, folder: &Path) -> Result<Command, &'static str>;

    /// How it is stopped.
    fn stop(&self, folder: &Path) -> Stop;

    /// Where a program's stdout is.
    fn log(&self, folder: &Path, job: &str) -> PathBuf;

    /// How much of what a program wrote to stdout is in its log.
    fn logged_bytes(&self, folder: &Path, job: &str) -> Result<u64, String> {
        // A log that is not there yet is empty.
        Ok(fs::metadata(self.log(folder, job)).map_or(0, |metadata| metadata.len()))
    }

    /// What of it is in its log, as one number.
    fn logged_sha256(&self, folder: &Path, job: &str) -> Result<[u8; 32], String> {
        let path = self.log(folder, job);
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut hash = Sha256::new();
        let mut log = BufReader::with_capacity(1 << 20, File::open(&path).map_err(failed)?);
        loop {
            let block = log.fill_buf().map_err(failed)?;
            let length = block.len();
            if length == 0 {
                return Ok(hash.finalize().into());
            }
            hash.update(block);
            log.consume(length);
        }
    }

    /// How it keeps logs, and whatever else one has to know to judge its figures.
    fn remarks(&self) -> &'static [&'static str];
}
