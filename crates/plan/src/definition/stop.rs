//! `[service.NAME.stop]`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command_line::CommandLine;
use crate::duration::{self, DurationText};
use crate::signal::Signal;

/// How the program is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// The signal that asks it to end.
    pub signal: Signal,
    /// How long it may take before it is killed.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
    /// A command to run instead of the signal; it sees the main process in `MAINPID`.
    pub command: Option<CommandLine>,
    /// Whether everything the program started ends with it.
    pub tree: bool,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: Signal::Term, timeout: Duration::from_secs(10), command: None, tree: true }
    }
}
