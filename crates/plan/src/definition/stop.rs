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
    /// The signal that asks it to end; after `command`, if there is one and the program still runs.
    pub signal: Signal,
    /// How long it may take before it is killed.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
    /// A command to run before the signal; it sees the main process in `MAINPID`. When it has ended and the program has not,
    /// `signal` is sent, so that it waits for the end itself if it asks for one. All of it together may take `timeout`.
    pub command: Option<CommandLine>,
    /// Whether everything the program started ends with it.
    pub tree: bool,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: Signal::Term, timeout: Duration::from_secs(10), command: None, tree: true }
    }
}
