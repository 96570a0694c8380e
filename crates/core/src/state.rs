//! The states of a service, and what an operator wants of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a service is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not wanted, not running.
    Stopped,
    /// Wanted; a dependency is not there yet.
    Waiting,
    /// Spawned; the start-up probe or READY=1 is outstanding.
    Starting,
    /// Up; ready and healthy are separate facts.
    Running,
    /// Being frozen.
    Pausing,
    /// Frozen.
    Paused,
    /// Being thawed.
    Continuing,
    /// The stop sequence is under way, or what a dead program left behind is being ended.
    Stopping,
    /// Died; will be started at a known instant.
    Backoff,
    /// The breaker is open; a fallback may run; a trial comes at a known instant.
    Tripped,
    /// A one-shot that ended well.
    Completed,
    /// Gave up; an operator must start or reset it.
    Failed,
}

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 12] = [
        Self::Stopped,
        Self::Waiting,
        Self::Starting,
        Self::Running,
        Self::Pausing,
        Self::Paused,
        Self::Continuing,
        Self::Stopping,
        Self::Backoff,
        Self::Tripped,
        Self::Completed,
        Self::Failed,
    ];

    /// The name in lower case, as the API and the command line show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Continuing => "continuing",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Tripped => "tripped",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing will happen unless somebody asks.
    #[must_use]
    pub const fn is_at_rest(self) -> bool {
        matches!(self, Self::Stopped | Self::Completed | Self::Failed)
    }

    /// Whether the program is up: running, or frozen or being so.
    #[must_use]
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Pausing | Self::Paused | Self::Continuing)
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What is wanted of a service: by its start type until somebody asks for something else, then by whoever asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// To run.
    Up,
    /// To be stopped.
    Down,
    /// To be frozen.
    Paused,
}

impl Wanted {
    /// The name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Paused => "paused",
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
