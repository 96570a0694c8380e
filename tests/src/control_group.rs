//! Control groups around a guard, to let it have less than it needs. They need root.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Process;
use crate::require::{Controller, Version};

/// What there may be less of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Memory, in bytes.
    Memory,
    /// Processes and threads.
    Tasks,
}

/// A group that is removed when this is dropped; what lives in it goes back to where the tests are.
#[derive(Debug)]
pub struct ControlGroup {
    path: PathBuf,
    outside: PathBuf,
    /// Where its limit is written.
    limit: PathBuf,
}

impl ControlGroup {
    /// Makes one. `None` if it is not there; see [`require`](crate::require).
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(resource: Resource, name: &str) -> Option<Self> {
        let Controller { folder: outside, version } = crate::require::controller(resource.controller())?;
        let path = outside.join(format!("menshen-{name}"));
        fs::create_dir(&path).unwrap();
        let limit = path.join(resource.file(version));
        Some(Self { path, outside, limit })
    }

    /// Moves a process into it; what the process starts from now on is born there.
    ///
    /// # Panics
    /// When it cannot be moved.
    pub fn take(&self, process: Process) {
        enter(&self.path, &process.pid.to_string()).unwrap();
    }

    /// Moves a process back to where the tests are. What it has started stays.
    ///
    /// # Panics
    /// When it cannot be moved.
    pub fn let_go(&self, process: Process) {
        enter(&self.outside, &process.pid.to_string()).unwrap();
    }

    /// Whether a process is in it.
    #[must_use]
    pub fn has(&self, process: Process) -> bool {
        let is_one = |pid: &str| pid.parse() == Ok(process.pid);
        let folders = std::iter::once(self.path.clone()).chain(folders_below(&self.path));
        // One below may be gone again by now.
        let all = folders.map(|folder| fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default());
        all.into_iter().any(|pids| pids.lines().any(is_one))
    }

    /// Lets it have so much.
    ///
    /// # Panics
    /// When the kernel refuses it.
    pub fn limit(&self, most: &str) {
        fs::write(&self.limit, most).unwrap();
    }
}

impl Resource {
    const fn controller(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Tasks => "pids",
        }
    }

    const fn file(self, version: Version) -> &'static str {
        match (self, version) {
            (Self::Memory, Version::One) => "memory.limit_in_bytes",
            (Self::Memory, Version::Two) => "memory.max",
            (Self::Tasks, Version::One | Version::Two) => "pids.max",
        }
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        for pid in fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default().lines() {
            // It may have ended.
            let _ = enter(&self.outside, pid);
        }
        let removed = fs::remove_dir(&self.path);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

/// A guard makes groups of its own in the one it is in.
fn folders_below(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.iter().flat_map(|folder| std::iter::once(folder.clone()).chain(folders_below(folder))).collect()
}

fn enter(folder: &Path, pid: &str) -> std::io::Result<()> {
    fs::write(folder.join("cgroup.procs"), pid)
}
