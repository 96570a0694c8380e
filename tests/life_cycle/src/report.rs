//! What came of each step.

use std::time::Duration;

use serde_json::{Value, json};

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All was as it must be. Where there is more to tell it is told: what the manager cannot do, and said so by name.
    Done(Option<String>),
    /// Something was otherwise than it must be.
    Failed(String),
}

/// One step and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// Which step.
    pub step: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// What came of all steps up to the first that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order in which they were done.
    pub steps: Vec<StepReport>,
}

impl Report {
    /// Whether no step failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step.outcome, Outcome::Failed(_)))
    }
}

impl StepReport {
    /// It as one line of JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let (outcome, told) = match &self.outcome {
            Outcome::Done(told) => ("done", told.as_ref()),
            Outcome::Failed(told) => ("failed", Some(told)),
        };
        json!({"step": self.step, "outcome": outcome, "told": told, "took_ms": self.took.as_millis()})
    }
}
