//! `[alert.NAME]`.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretText, ServiceName};
use crate::command_line::CommandLine;
use crate::duration::{self, DurationText};

/// Who is told when something goes wrong. Either `webhook` or `exec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alert {
    /// A URL that gets a POST with the alert as JSON.
    pub webhook: Option<SecretText>,
    /// Headers of that request.
    pub headers: IndexMap<String, SecretText>,
    /// A command that gets the alert as JSON on its stdin and as `MENSHEN_ALERT_*` variables.
    pub exec: Option<CommandLine>,
    /// What to tell.
    pub on: Vec<AlertKind>,
    /// Which services to tell about. Without it, all.
    pub services: Option<Vec<ServiceName>>,
    /// The same alert about the same service is told again only after this long.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub repeat_after: Duration,
    /// How often to try again when telling fails.
    pub retries: u8,
    /// How long one try may take.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
}

/// What can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertKind {
    /// The breaker opened.
    Tripped,
    /// The service gave up; an operator must look.
    Failed,
    /// The breaker closed again, a failed service is up, or a trouble is over.
    Recovered,
    /// The liveness probe failed and the service is being restarted.
    Unhealthy,
    /// The program ended and will be restarted.
    Restarting,
    /// A limit was exceeded.
    Limit,
    /// The guard itself has a trouble: a log cannot be written, a process cannot be killed.
    Trouble,
}

impl Default for Alert {
    fn default() -> Self {
        Self {
            webhook: None,
            headers: IndexMap::new(),
            exec: None,
            on: vec![AlertKind::Tripped, AlertKind::Failed, AlertKind::Recovered],
            services: None,
            repeat_after: Duration::from_secs(300),
            retries: 5,
            timeout: Duration::from_secs(10),
        }
    }
}
