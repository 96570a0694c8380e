//! What the guard remembers of each service, for the next guard: one small file each.
//!
//! A file says which version of the format it has. `migrate` brings older ones to today's when they are read; the next change
//! of the service writes them anew.

mod migrate;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use menshen_core::{Memory, Role};
use menshen_os::paths::Paths;
use menshen_os::system::Earlier;
use menshen_plan::definition::Stop;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::GuardError;
pub(crate) use migrate::VERSION;

/// A service's file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// The version of all of this: [`VERSION`].
    pub format: u32,
    /// Instants and process numbers mean something during this boot only.
    pub boot: String,
    /// The guard ended in order and nothing was left running: only what operators asked for is taken over.
    pub orderly: bool,
    /// The processes, each with its start time, which tells it from a later one of the same number.
    pub processes: Vec<StoredProcess>,
    /// How it is stopped, should it be gone from the definition by then; but for the command, which may hold secrets.
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
    pub first: Option<(u32, u64)>,
    /// The folder of its tree, where it has one.
    pub folder: Option<PathBuf>,
}

impl StoredProcess {
    /// As the system takes it.
    pub(crate) fn earlier(&self) -> Earlier {
        Earlier { pid: self.pid, start_time: self.start_time, first: self.first, folder: self.folder.clone() }
    }
}

/// A file that was half written or damaged.
#[derive(Debug, Error)]
#[error("what was remembered in {} cannot be used: {why}", .path.display())]
pub(crate) struct Unusable {
    pub path: PathBuf,
    pub why: String,
}

/// What is remembered, by the names of the services.
pub(crate) type Remembered = BTreeMap<String, Result<Stored, Unusable>>;

/// The folder of the files.
pub(crate) fn folder(memory: &Path) -> PathBuf {
    memory.join("services")
}

/// The file of a service.
pub(crate) fn path(memory: &Path, service: &str) -> PathBuf {
    folder(memory).join(format!("{service}.json"))
}

/// Reads the files of all services. Nothing is changed.
///
/// # Errors
/// When one was written by a newer version.
pub(crate) fn read_all(memory: &Path) -> Result<Remembered, GuardError> {
    read_each(memory).map(|(name, read)| Ok((name, read?))).collect()
}

/// The same of each, whatever is the matter with others.
fn read_each(memory: &Path) -> impl Iterator<Item = (String, Result<Result<Stored, Unusable>, GuardError>)> {
    // A folder that cannot be read remembers nothing.
    let entries = fs::read_dir(folder(memory)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()));
    names.map(move |name| (name.clone(), read(path(memory, &name))))
}

fn read(path: PathBuf) -> Result<Result<Stored, Unusable>, GuardError> {
    let migrated = match fs::read(&path) {
        Ok(bytes) => migrate::migrate(&bytes),
        Err(error) => Err(migrate::Refused::Damaged(menshen_os::error::describe(&error))),
    };
    match migrated {
        Ok(stored) => Ok(Ok(stored)),
        Err(migrate::Refused::Damaged(why)) => Ok(Err(Unusable { path, why })),
        Err(migrate::Refused::Newer(found)) => Err(GuardError::NewerState { path, found, known: VERSION }),
    }
}

/// Whether a guard ended in order, as far as what it noted of its services in this boot tells.
///
/// # Errors
/// When that may not be read.
pub fn ended_in_order(paths: &Paths, instance: &str) -> std::io::Result<bool> {
    let boot = menshen_os::clock::boot_id();
    let entries = match fs::read_dir(folder(&paths.memory(instance))) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        entries => entries?,
    };
    let unfinished = |path: PathBuf| {
        path.extension().is_some_and(|extension| extension == "json")
            && matches!(read(path), Ok(Ok(stored)) if !stored.orderly && stored.boot == boot)
    };
    Ok(!entries.flatten().any(|entry| unfinished(entry.path())))
}

/// Whether a guard has noted, in this boot, that somebody asked for a service to be stopped.
#[must_use]
pub fn is_asked_to_stop(paths: &Paths, instance: &str, service: &str) -> bool {
    let Ok(Ok(stored)) = read(path(&paths.memory(instance), service)) else { return false };
    stored.boot == menshen_os::clock::boot_id() && stored.memory.asked() == Some(menshen_core::Wanted::Down)
}

/// Why it is not known of some services whether a guard left anything of them running: the files that cannot be used, each with
/// what is the matter with it. Nothing runs on of what was noted before the machine was started.
#[must_use]
pub fn left_unknown(paths: &Paths, instance: &str) -> Vec<String> {
    let why = |read: Result<Result<Stored, Unusable>, GuardError>| match read {
        Ok(Ok(_)) => None,
        Ok(Err(unusable)) => Some(unusable.to_string()),
        Err(error) => Some(error.to_string()),
    };
    let memory = paths.memory(instance);
    let of_this_boot = read_each(&memory).filter(|(service, _)| !is_of_earlier_boot(&path(&memory, service)));
    let mut unknown: Vec<String> = of_this_boot.filter_map(|(_, read)| why(read)).collect();
    unknown.sort();
    unknown
}

/// Whether a file was written before the machine was started, by the wall clock.
fn is_of_earlier_boot(path: &Path) -> bool {
    let up = menshen_os::clock::monotonic_ns().saturating_add(menshen_os::clock::suspended_ns());
    let started = SystemTime::now().checked_sub(Duration::from_nanos(up));
    let written = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    written.zip(started).is_some_and(|(written, started)| written < started)
}

/// A process that a guard left running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftProcess {
    /// Whose it is.
    pub service: String,
    /// Its number.
    pub pid: u32,
}

/// The services of which a guard that was killed, or made room, left something running, by what it noted of them.
#[must_use]
pub fn left_running(paths: &Paths, instance: &str) -> Vec<String> {
    let mut services: Vec<String> = left_processes(paths, instance).into_iter().map(|left| left.service).collect();
    services.dedup();
    services
}

/// What that is, as far as what was noted can be read.
#[must_use]
pub fn left_processes(paths: &Paths, instance: &str) -> Vec<LeftProcess> {
    let boot = menshen_os::clock::boot_id();
    let lives = |process: &&StoredProcess| menshen_os::system::is_alive(process.pid, process.start_time);
    let mut left = Vec::new();
    let memory = paths.memory(instance);
    let stored: BTreeMap<String, Stored> =
        read_each(&memory).filter_map(|(service, stored)| Some((service, stored.ok()?.ok()?))).collect();
    for (service, stored) in stored {
        if stored.orderly || stored.boot != boot {
            continue;
        }
        let living = stored.processes.iter().filter(lives);
        left.extend(living.map(|process| LeftProcess { service: service.clone(), pid: process.pid }));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state an older version left, as it left it.
    fn fixture(version: u32) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/state/{version}"))
    }

    #[test]
    fn what_every_older_version_remembered_is_known_whole() {
        for version in 1..=VERSION {
            let remembered = read_all(&fixture(version)).unwrap();
            let of =
                |name: &str| remembered[name].as_ref().unwrap_or_else(|error| panic!("version {version}: {error}"));
            assert_eq!(remembered.len(), 11, "version {version}");
            for name in remembered.keys() {
                assert_eq!((of(name).memory.service().as_str(), of(name).format), (name.as_str(), VERSION));
            }
            let states =
                ["backoff", "completed", "failed", "paused", "running", "starting", "stopped", "stopping", "tripped"];
            assert_eq!(states.map(|name| of(name).memory.state().as_str()), states, "version {version}");
            assert_eq!(of("stopped").memory.asked(), Some(menshen_core::Wanted::Down));
            assert_eq!(of("running").processes.len(), 1);
            assert_eq!(of("tripped").processes[0].role, Role::Fallback);
            assert_eq!(of("stopping").stop.timeout, Duration::from_secs(3600));
        }
    }

    #[test]
    fn what_is_written_today_has_the_shape_that_was_kept_of_its_version() {
        for (name, stored) in read_all(&fixture(VERSION)).unwrap() {
            let kept = fs::read_to_string(path(&fixture(VERSION), &name)).unwrap();
            let written = serde_json::to_string(&stored.unwrap()).unwrap();
            assert_eq!(written, kept, "another shape is another version: it needs a migration and a fixture");
        }
    }

    #[test]
    fn what_a_newer_version_remembered_is_refused() {
        let memory = tempfile::tempdir().unwrap();
        fs::create_dir(folder(memory.path())).unwrap();
        fs::write(path(memory.path(), "web"), format!("{{\"format\":{},\"shape\":\"another\"}}", VERSION + 1)).unwrap();
        let error = read_all(memory.path()).unwrap_err().to_string();
        assert!(error.contains("web.json") && error.contains(&format!("version {}", VERSION + 1)), "{error}");
    }

    #[test]
    fn what_is_half_written_is_passed_over() {
        let memory = tempfile::tempdir().unwrap();
        fs::create_dir(folder(memory.path())).unwrap();
        for damaged in [
            "",
            "{",
            "null",
            "{}",
            "{\"format\":\"x\"}",
            "{\"format\":0}",
            "{\"format\":1}",
            "{\"format\":2}",
            "{\"format\":3}",
        ] {
            fs::write(path(memory.path(), "web"), damaged).unwrap();
            assert!(read_all(memory.path()).unwrap()["web"].is_err(), "{damaged}");
        }
    }

    #[test]
    fn what_was_damaged_in_an_earlier_boot_leaves_nothing_unknown() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::below(home.path());
        let memory = paths.memory("shop");
        fs::create_dir_all(folder(&memory)).unwrap();
        fs::write(path(&memory, "web"), "half").unwrap();
        assert!(matches!(&left_unknown(&paths, "shop")[..], [why] if why.contains("web.json")));
        let file = fs::File::options().write(true).open(path(&memory, "web")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        assert!(left_unknown(&paths, "shop").is_empty());
    }
}
