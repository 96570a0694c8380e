//! Why a user's services do not outlive their session, or cannot be reached at all.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where it is remembered whose services run without a session: a file for each user.
const LINGERING: &str = "/var/lib/systemd/linger";

/// Something about a user's services that surprises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The user's systemd cannot be found from here.
    NoRuntimeFolder {
        /// Whose.
        user: String,
    },
    /// It is said to be somewhere, and is not.
    NotRunning {
        /// Whose.
        user: String,
        /// Where it should be.
        folder: PathBuf,
    },
    /// The user's services start with the first session and end with the last.
    NoLinger {
        /// Whose.
        user: String,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntimeFolder { user } => write!(
                formatter,
                "XDG_RUNTIME_DIR is not set, so the systemd of {user} cannot be found; log in as {user} (su and sudo do not), or \
                 run `loginctl enable-linger {user}` once and set XDG_RUNTIME_DIR=/run/user/$(id -u {user})"
            ),
            Self::NotRunning { user, folder } => write!(
                formatter,
                "no systemd of {user} answers in {}; `loginctl enable-linger {user}` has it run also without a session",
                folder.display()
            ),
            Self::NoLinger { user } => write!(
                formatter,
                "the services of {user} start when {user} logs in and end with the last session; `loginctl enable-linger {user}` \
                 has them run from boot on"
            ),
        }
    }
}

/// What there is to know of a machine.
pub trait Facts {
    /// Who asks.
    fn user(&self) -> String;

    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;

    /// Whether something is there.
    fn exists(&self, path: &Path) -> bool;
}

/// What would surprise somebody who installs services of their own; the worst first.
#[must_use]
pub fn trouble(facts: &dyn Facts) -> Option<Trouble> {
    let user = facts.user();
    let Some(folder) = facts.variable("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) else {
        return Some(Trouble::NoRuntimeFolder { user });
    };
    let folder = PathBuf::from(folder);
    if !facts.exists(&folder.join("systemd/private")) {
        return Some(Trouble::NotRunning { user, folder });
    }
    let lingers = facts.exists(&Path::new(LINGERING).join(&user));
    (!lingers).then_some(Trouble::NoLinger { user })
}

/// The machine that this runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThisMachine;

impl Facts for ThisMachine {
    fn user(&self) -> String {
        let variable = |name: &str| self.variable(name).filter(|user| !user.is_empty());
        variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "this user".to_owned())
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}
