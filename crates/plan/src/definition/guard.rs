//! `[guard]`.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ServiceName;
use crate::duration::{self, DurationText};
use crate::size::Size;

/// The guard itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// The name of this guard among others on the machine. Without it, the name of the definition's folder.
    pub name: Option<ServiceName>,
    /// Who may do what over the control socket, besides root and the guard's own user (admin) and the group `menshen` (operator).
    pub access: Access,
    /// How much of the history of events is kept.
    pub journal: Journal,
}

/// Who may do what over the control socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Users, each with a role.
    pub users: IndexMap<String, Role>,
    /// Groups, each with a role.
    pub groups: IndexMap<String, Role>,
}

/// What somebody may do; each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See states, logs and events.
    Viewer,
    /// Start, stop and signal services.
    Operator,
    /// Change the definition and stop the guard.
    Admin,
}

/// How much of the history of events is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    /// Events older than this are dropped. From one event to the next at most a tenth of this counts, so that a clock that was
    /// set drops nothing: where little happens, events stay longer, and the last ten for good.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub keep: Duration,
    /// When the journal grows beyond this, the oldest events are dropped.
    pub size: Size,
}

impl Default for Journal {
    fn default() -> Self {
        Self { keep: Duration::from_secs(30 * 86_400), size: Size(64 << 20) }
    }
}
