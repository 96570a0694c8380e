//! A run written down, for people.

use std::fmt::Write as _;

use menshen_core::{Effect, Event, Instant, RecordKind};

use crate::model::Model;

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
    pub fn event(&mut self, now: Instant, event: &Event, model: &Model) {
        self.count += 1;
        if let Some(text) = &mut self.text {
            // A reload's plan was noted when it was written.
            let what = if let Event::Reload { by, .. } = event {
                format!("Reload {{ by: {by:?} }}")
            } else {
                format!("{event:?}")
            };
            let _ = writeln!(text, "{now} {:>5} > {}", self.count, named(what, model));
        }
    }

    /// An effect comes out of the core, and is carried out unless the guard dies before.
    pub fn effect(&mut self, effect: &Effect, carried_out: bool, model: &Model) {
        if let Some(text) = &mut self.text {
            let lost = if carried_out { "" } else { " (lost)" };
            let _ = writeln!(text, "{:>25} {}{lost}", '<', named(in_short(effect), model));
        }
    }

    /// All of it.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text.unwrap_or_default()
    }
}

/// An effect without what is of no interest, such as whole plans.
fn in_short(effect: &Effect) -> String {
    if let Effect::Spawn { run, plan, main_pid } = effect {
        return format!("Spawn {{ {run:?}, {}, main_pid: {main_pid:?} }}", plan.command);
    }
    if let Effect::Replanned { service, plan } = effect {
        return format!("Replanned {{ {service:?}, {} }}", plan.name);
    }
    let Effect::Record(record) = effect else { return format!("{effect:?}") };
    let whose = record.service.as_ref().map_or("guard", |name| name.as_str());
    let by = record.by.as_ref().map(|by| format!(" (by {by})")).unwrap_or_default();
    if let RecordKind::Transition { from, to, .. } = record.kind {
        return format!("{whose}: {from} -> {to}: {}", record.reason);
    }
    format!("{whose}: {:?}: {}{by}", record.kind, record.reason)
}

/// A text in which services are called by their names instead of their numbers.
fn named(text: String, model: &Model) -> String {
    model.services.iter().fold(text, |text, (id, service)| text.replace(&format!("{id:?}"), service.name.as_str()))
}
