//! What does not work now, for whoever asks how things are.

use std::collections::BTreeMap;

use menshen_api::Time;
use menshen_api::types::Trouble;
use menshen_core::{Event, Record, RecordKind, ServiceId};

use super::complaints::Complaints;
use super::input::ControlTrouble;
use super::status::wall;
use super::{Guard, now};
use crate::logs::Trouble as LogTrouble;

/// What can be in trouble, and out of it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// What the guard remembers cannot be written.
    Memory,
    /// Nothing is held for the next guard.
    Holder,
    /// What the guard before left cannot be looked at yet.
    Unseen,
    /// Callers do not come through.
    Control(ControlTrouble),
    /// The pipes of a service are not there.
    Pipes(ServiceId),
    /// What a service writes is not kept as it should be.
    Log(ServiceId, LogTrouble),
}

/// Everything that is in trouble.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    present: BTreeMap<Part, Present>,
    /// About too many callers.
    crowds: Complaints,
    /// About single ones that ask for half of something.
    callers: Complaints,
    /// About those that follow and do not read.
    followers: Complaints,
}

#[derive(Debug)]
struct Present {
    since: Time,
    text: String,
}

impl Part {
    const fn service(self) -> Option<ServiceId> {
        match self {
            Self::Memory | Self::Holder | Self::Unseen | Self::Control(_) => None,
            Self::Pipes(service) | Self::Log(service, _) => Some(service),
        }
    }
}

impl Troubles {
    pub(super) fn has(&self, part: Part) -> bool {
        self.present.contains_key(&part)
    }

    fn begin(&mut self, part: Part, text: &str) {
        let present = self.present.entry(part).or_insert_with(|| Present { since: wall(), text: String::new() });
        text.clone_into(&mut present.text);
    }

    fn end(&mut self, part: Part) {
        self.present.remove(&part);
    }

    /// The log of a service is taken over anew, and says what does not work about it.
    pub(super) fn forget_log(&mut self, service: ServiceId) {
        self.present.retain(|part, _| !matches!(part, Part::Log(of, _) if *of == service));
    }

    /// Nothing of a service matters any more.
    pub(super) fn forget(&mut self, service: ServiceId) {
        self.present.retain(|part, _| part.service() != Some(service));
    }
}

impl Guard {
    /// Something does not work, until it is said to work again.
    pub(super) fn begin_trouble(&mut self, part: Part, text: String) {
        self.troubles.begin(part, &text);
        self.feed(Event::Trouble { service: part.service(), text });
    }

    /// The same, but that the core hears of it in the next turn of the loop.
    pub(super) fn begin_trouble_later(&mut self, part: Part, text: String) {
        self.troubles.begin(part, &text);
        self.feed_later(Event::Trouble { service: part.service(), text });
    }

    pub(super) fn end_trouble(&mut self, part: Part, text: String) {
        self.troubles.end(part);
        self.feed(Event::TroubleOver { service: part.service(), text });
    }

    /// Callers do not come through. Who can bring that about can do so again and again.
    pub(super) fn begin_control_trouble(&mut self, trouble: ControlTrouble, text: String) {
        let part = Part::Control(trouble);
        if !self.troubles.has(part)
            && let Some(text) = self.troubles.crowds.admit(text, now())
        {
            self.begin_trouble(part, text);
        }
    }

    /// One whose begin was not told of has no end, either.
    pub(super) fn end_control_trouble(&mut self, trouble: ControlTrouble, text: String) {
        let part = Part::Control(trouble);
        if self.troubles.has(part) {
            self.end_trouble(part, text);
        }
    }

    /// Somebody who calls has done what he should not. That is written down and disturbs nobody.
    pub(super) fn note_caller(&mut self, text: String) {
        if let Some(text) = self.troubles.callers.admit(text, now()) {
            self.note_trouble(text, RecordKind::Trouble { over: false });
        }
    }

    /// Somebody who follows does not read. Whether that was written down.
    pub(super) fn note_follower(&mut self, text: String) -> bool {
        let admitted = self.troubles.followers.admit(text, now());
        admitted.map(|text| self.note_trouble(text, RecordKind::Trouble { over: false })).is_some()
    }

    /// It is over what was written down of somebody who follows.
    pub(super) fn note_follower_over(&mut self, text: String) {
        self.note_trouble(text, RecordKind::Trouble { over: true });
    }

    fn note_trouble(&mut self, reason: String, kind: RecordKind) {
        self.write_record(Record { service: None, kind, reason, by: None });
    }

    /// Everything that does not work now.
    pub(super) fn show_troubles(&self) -> Vec<Trouble> {
        let show = |(part, present): (&Part, &Present)| Trouble {
            instance: self.instance.clone(),
            service: part.service().and_then(|id| self.core.name(id)).map(ToString::to_string),
            since: present.since,
            text: present.text.clone(),
        };
        self.troubles.present.iter().map(show).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: Part = Part::Control(ControlTrouble::Accepting);
    const LOG: Part = Part::Log(ServiceId(1), LogTrouble::Writing);

    #[test]
    fn a_log_in_two_kinds_of_trouble_is_in_each_until_it_is_over() {
        let other = Part::Log(ServiceId(1), LogTrouble::Closing);
        let mut troubles = Troubles::default();
        troubles.begin(LOG, "no space left");
        troubles.begin(other, "it cannot be closed");
        troubles.end(LOG);
        assert!(!troubles.has(LOG) && troubles.has(other));
        troubles.begin(Part::Pipes(ServiceId(1)), "they are gone");
        troubles.forget_log(ServiceId(1));
        assert!(!troubles.has(other) && troubles.has(Part::Pipes(ServiceId(1))));
    }

    #[test]
    fn what_is_said_to_be_in_trouble_twice_is_out_of_it_at_once() {
        let mut troubles = Troubles::default();
        troubles.begin(Part::Memory, "the journal is in memory");
        troubles.begin(Part::Memory, "no space left");
        troubles.end(Part::Memory);
        assert!(!troubles.has(Part::Memory));
    }

    #[test]
    fn nothing_is_left_of_the_troubles_of_a_service_that_is_gone() {
        let mut troubles = Troubles::default();
        troubles.begin(LOG, "no space left");
        troubles.begin(CONTROL, "no descriptors left");
        troubles.forget(ServiceId(1));
        assert!(!troubles.has(LOG) && troubles.has(CONTROL));
    }
}
