//! Where everything is: one place decides.

#[cfg(unix)]
#[path = "paths/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "paths/windows.rs"]
pub(crate) mod platform;

use std::path::{Path, PathBuf};

pub use platform::from_bytes;

/// The permission bits of the run folder: whoever has a role must be able to find the guards there are, and programs of any
/// user their sockets; what they may do is decided at each guard's socket.
pub const RUN_FOLDER_MODE: u32 = 0o755;

/// Below which folders a guard and its command line work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Definitions.
    pub definitions: PathBuf,
    /// Sockets and pipes: gone after a boot.
    pub run: PathBuf,
    /// What is remembered.
    pub state: PathBuf,
    /// What services write.
    pub logs: PathBuf,
}

impl Paths {
    /// The paths for whoever runs this: everything below `home` if it is given (`MENSHEN_HOME`), else the system's folders
    /// for root and the user's own for anybody else.
    #[must_use]
    pub fn of_caller(home: Option<&Path>, environment: &dyn Fn(&str) -> Option<String>) -> Self {
        home.map_or_else(|| platform::of_caller(environment), Self::below)
    }

    /// The folders of a guard that the system's own manager runs under this account; `None` where there is no such account, or
    /// nothing is known of where it keeps anything.
    #[must_use]
    pub fn of_account(account: &str) -> Option<Self> {
        platform::of_account(account)
    }

    /// The folders a command line looks for guards in: the caller's own and the system's.
    #[must_use]
    pub fn all(home: Option<&Path>, environment: &dyn Fn(&str) -> Option<String>) -> Vec<Self> {
        let own = Self::of_caller(home, environment);
        let system = platform::of_system();
        if home.is_some() || own == system { vec![own] } else { vec![own, system] }
    }

    /// Everything below one folder.
    #[must_use]
    pub fn below(home: &Path) -> Self {
        let below = |name| home.join(name);
        Self { definitions: below("etc"), run: below("run"), state: below("state"), logs: below("logs") }
    }

    /// The control socket of a guard.
    #[must_use]
    pub fn control(&self, instance: &str) -> PathBuf {
        platform::control(&self.run, instance)
    }

    /// The lock that keeps a guard the only one of its name.
    #[must_use]
    pub fn lock(&self, instance: &str) -> PathBuf {
        self.run.join(format!("{instance}.lock"))
    }

    /// The folder of a guard's pipes and notify sockets.
    #[must_use]
    pub fn pipes(&self, instance: &str) -> PathBuf {
        self.run.join(instance)
    }

    /// The socket of what is held for a guard.
    #[must_use]
    pub fn holder(&self, instance: &str) -> PathBuf {
        self.pipes(instance).join("holder")
    }

    /// What a guard leaves for the next version where that is another process.
    #[must_use]
    pub fn handover(&self, instance: &str) -> PathBuf {
        self.pipes(instance).join("handover.json")
    }

    /// What a guard's trees and processes are marked with. It is the guard's name where the system's guards are; elsewhere a
    /// number of the folder of what it remembers comes with it, for guards of the same name that have other such folders are
    /// others. The folder must be there: whichever way leads to it, the mark is the same. So are those in a container, whose
    /// folders have the same names as those outside, from where its processes can be seen.
    ///
    /// # Errors
    /// When it cannot be found.
    pub fn mark(&self, instance: &str) -> std::io::Result<String> {
        let container = platform::container();
        let is_of_system = self.state == platform::of_system().state;
        if is_of_system && container.is_none() {
            return Ok(instance.to_owned());
        }
        let mut place = self.memory(instance).canonicalize()?.into_os_string().into_encoded_bytes();
        place.extend(container.into_iter().flat_map(u64::to_ne_bytes));
        // No guard's name has this character.
        Ok(format!("{instance}@{:016x}", crate::hash::of(&place)))
    }

    /// The folder of what a guard remembers.
    #[must_use]
    pub fn memory(&self, instance: &str) -> PathBuf {
        self.state.join(instance)
    }

    /// The lock that keeps a guard the only one that remembers there: the run folder may be removed while its guard lives, and
    /// two guards may have been given different ones.
    #[must_use]
    pub fn memory_lock(&self, instance: &str) -> PathBuf {
        self.memory(instance).join("lock")
    }

    /// The folder of a service's logs.
    #[must_use]
    pub fn service_logs(&self, instance: &str, service: &str) -> PathBuf {
        self.logs.join(instance).join(service)
    }
}
