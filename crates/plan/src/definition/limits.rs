//! `[service.NAME.limits]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::size::Size;

/// What the service may use: the program and everything it started, together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory.
    pub memory: Option<Size>,
    /// Processor time, in cores: 0.5 is half of one.
    pub cpu: Option<f64>,
    /// Processes and threads.
    pub tasks: Option<u32>,
    /// Open files of each process.
    pub files: Option<u64>,
    /// What to do when the memory limit kills it.
    pub oom: OnOom,
}

/// What to do when the memory limit kills the program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnOom {
    /// As for any other death: policy, back-off, breaker.
    #[default]
    Restart,
    /// Leave it stopped until somebody starts it.
    Stop,
    /// It has failed; an operator must look.
    Fail,
}
