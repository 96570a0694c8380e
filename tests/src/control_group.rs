//! Control groups of version 1 around a guard, to let it have less than it needs. They need root.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Process;

/// A group that is removed when this is dropped; what lives in it goes back to where the tests are.
#[derive(Debug)]
pub struct ControlGroup {
    path: PathBuf,
    outside: PathBuf,
}

impl ControlGroup {
    /// Makes one. `None` if it is not there; see [`require`](crate::require).
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(controller: &str, name: &str) -> Option<Self> {
        let outside = crate::require::controller(controller)?;
        let path = outside.join(format!("menshen-{name}"));
        fs::create_dir(&path).unwrap();
        Some(Self { path, outside })
    }

    /// Moves a process into it; what the process starts from now on is born there.
    ///
    /// # Panics
    /// When it cannot be moved.
    pub fn take(&self, process: Process) {
        enter(&self.path, &process.pid.to_string()).unwrap();
    }

    /// Writes one of its files.
    ///
    /// # Panics
    /// When the kernel refuses it.
    pub fn set(&self, file: &str, value: &str) {
        fs::write(self.path.join(file), value).unwrap();
    }

    /// Reads a number from one of its files.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn get(&self, file: &str) -> u64 {
        fs::read_to_string(self.path.join(file)).unwrap().trim().parse().unwrap()
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

fn enter(folder: &Path, pid: &str) -> std::io::Result<()> {
    fs::write(folder.join("cgroup.procs"), pid)
}
