//! `[service.NAME.restart]`.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExitAction, ExitMatch};
use crate::duration::{self, DurationText};

/// What happens when the program ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Restart {
    /// When to start it again. `always` for daemons, `on-failure` for one-shots.
    pub policy: Option<RestartPolicy>,
    /// The wait before the first restart.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub delay: Duration,
    /// Each further wait is this many times the one before.
    pub factor: f64,
    /// No wait is longer than this.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub max: Duration,
    /// Each wait varies by up to this part of itself, so that many services do not restart in step.
    pub jitter: f64,
    /// Running and ready for this long forgets the restarts so far.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub reset_after: Duration,
    /// What certain exit codes and signals mean, before the policy is asked.
    pub on_exit: IndexMap<ExitMatch, ExitAction>,
}

/// When to start a program again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Whenever it ends.
    Always,
    /// When it ends with anything but exit code 0.
    OnFailure,
    /// Never.
    Never,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: None,
            delay: Duration::from_millis(100),
            factor: 2.0,
            max: Duration::from_secs(30),
            jitter: 0.1,
            reset_after: Duration::from_secs(60),
            on_exit: IndexMap::new(),
        }
    }
}
