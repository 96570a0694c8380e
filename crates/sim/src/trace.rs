//! A run written down, for people.

use std::fmt::Write as _;

use menshen_core::{Effect, Event, Instant};

/// What happened so far, if somebody wants to know.
#[derive(Debug)]
pub struct Trace {
    text: Option<String>,
    count: u64,
}

impl Trace {
    /// A trace that is kept, or not.
    #[must_use]
    pub fn new(kept: bool) -> Self {
        Self { text: kept.then(String::new), count: 0 }
    }

    /// Something outside the core.
    pub fn note(&mut self, now: Instant, what: impl FnOnce() -> String) {
        if let Some(text) = &mut self.text {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{now}       * {}", what());
        }
    }

    /// An event is given to the core.
    pub fn event(&mut self, now: Instant, event: &Event) {
        self.count += 1;
        if let Some(text) = &mut self.text {
            // Its plan was noted when it was written.
            let _ = if let Event::Reload { by, .. } = event {
                writeln!(text, "{now} {:>5} > Reload {{ by: {by:?} }}", self.count)
            } else {
                writeln!(text, "{now} {:>5} > {event:?}", self.count)
            };
        }
    }

    /// An effect comes out of the core, and is carried out unless the guard dies before.
    pub fn effect(&mut self, effect: &Effect, carried_out: bool) {
        if let Some(text) = &mut self.text {
            let lost = if carried_out { "" } else { " (lost)" };
            let _ = if let Effect::Spawn { run, plan, main_pid } = effect {
                writeln!(text, "          < Spawn {{ {run:?}, {}, main_pid: {main_pid:?} }}{lost}", plan.command)
            } else if let Effect::Replanned { service, plan } = effect {
                writeln!(text, "          < Replanned {{ {service:?}, {} }}{lost}", plan.name)
            } else {
                writeln!(text, "          < {effect:?}{lost}")
            };
        }
    }

    /// All of it.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text.unwrap_or_default()
    }
}
