//! What the guard remembers of each service, for the next guard: one small file each.

use std::fs;
use std::path::{Path, PathBuf};

use menshen_core::{Memory, Role};
use menshen_os::system::Earlier;
use menshen_plan::definition::Stop;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A service's file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Instants and process numbers mean something during this boot only.
    pub boot: String,
    /// The guard ended in order and nothing was left running: only what operators asked for is taken over.
    pub orderly: bool,
    /// The processes, each with its start time, which tells it from a later one of the same number.
    pub processes: Vec<StoredProcess>,
    /// How it is stopped, should it be gone from the definition by then; but for the command, which may hold secrets.
    #[serde(default)]
    pub stop: Stop,
    /// What the core remembers.
    pub memory: Memory,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredProcess {
    pub role: Role,
    pub number: u64,
    pub pid: u32,
    pub start_time: u64,
    /// What it was started as, with its start time, if it has named another main process (`MAINPID=`).
    #[serde(default)]
    pub first: Option<(u32, u64)>,
    /// The folder of its tree, where it has one.
    #[serde(default)]
    pub folder: Option<PathBuf>,
}

impl StoredProcess {
    /// As the system takes it.
    pub(crate) fn earlier(&self) -> Earlier {
        Earlier { pid: self.pid, start_time: self.start_time, first: self.first, folder: self.folder.clone() }
    }
}

/// A file that cannot be used.
#[derive(Debug, Error)]
#[error("what was remembered in {} cannot be used: {why}", .path.display())]
pub(crate) struct Unusable {
    pub path: PathBuf,
    pub why: String,
}

/// The folder of the files.
pub(crate) fn folder(memory: &Path) -> PathBuf {
    memory.join("services")
}

/// The file of a service.
pub(crate) fn path(memory: &Path, service: &str) -> PathBuf {
    folder(memory).join(format!("{service}.json"))
}

/// The names of all services that have a file. None where the folder cannot be read.
pub(crate) fn names(memory: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder(memory)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

/// Reads a service's file; `None` if there is none.
pub(crate) fn read(memory: &Path, service: &str) -> Result<Option<Stored>, Unusable> {
    let path = path(memory, service);
    let unusable = |why: String| Unusable { path: path.clone(), why };
    match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(menshen_os::error::describe(&error))),
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| unusable(error.to_string())),
    }
}
