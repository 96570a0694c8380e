//! How a service is, as its manager knows it.

use std::time::Duration;

use super::registration::StartType;

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its state.
    pub state: State,
    /// Its main process.
    pub pid: Option<u32>,
    /// When it is started; `None` where it is not installed.
    pub start: Option<StartType>,
    /// How it ended the last time, where the manager tells.
    pub exit: Option<Exit>,
    /// What it says it is doing.
    pub text: Option<String>,
    /// How far a change of state has come, where the manager counts it.
    pub progress: Option<Progress>,
}

impl Status {
    /// Of a service that the manager does not know.
    pub const NOT_INSTALLED: Self =
        Self { state: State::NotInstalled, pid: None, start: None, exit: None, text: None, progress: None };
}

/// The state of a service. There is one for each thing a manager can tell apart; none is shown as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The manager does not know it.
    NotInstalled,
    /// It does not run, and did not fail.
    Stopped,
    /// It is being started.
    Starting,
    /// It runs.
    Running,
    /// It runs and reads its configuration again.
    Reloading,
    /// It is being paused.
    Pausing,
    /// It is paused.
    Paused,
    /// It is being continued.
    Continuing,
    /// It is being stopped.
    Stopping,
    /// It ended, and the manager starts it again after a wait.
    Backoff,
    /// It failed, and the manager has given it up.
    Failed,
}

impl State {
    /// The state in one lower-case word, as `--json` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotInstalled => "not-installed",
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Reloading => "reloading",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Continuing => "continuing",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
        }
    }

    /// Whether anything of it may run, or is about to: then it has to be stopped before it does not.
    #[must_use]
    pub const fn is_active(self) -> bool {
        match self {
            Self::NotInstalled | Self::Stopped | Self::Failed => false,
            Self::Starting
            | Self::Running
            | Self::Reloading
            | Self::Pausing
            | Self::Paused
            | Self::Continuing
            | Self::Stopping
            | Self::Backoff => true,
        }
    }

    /// Whether it counts as running to whoever asks for its status: one that is on its way down does not.
    #[must_use]
    pub const fn is_up(self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::Reloading | Self::Pausing | Self::Paused | Self::Continuing => true,
            Self::NotInstalled | Self::Stopped | Self::Stopping | Self::Backoff | Self::Failed => false,
        }
    }
}

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By the signal of this number.
    Signal(i32),
    /// Windows: with a code of the service's own.
    ServiceSpecific(u32),
}

/// How far a change of state has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// It grows with each step.
    pub checkpoint: u32,
    /// The next step comes within this.
    pub wait_hint: Duration,
}
