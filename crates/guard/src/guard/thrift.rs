//! When memory is given back that only the past needed: once nothing has happened for a while, and now and then where that is
//! never so. What is in use then would be missed: only freed memory is given back.

use std::time::Duration;

use menshen_core::Instant;

/// What happens more often than this needs the same again and again.
const REST: Duration = Duration::from_secs(5);
/// But not all of it: where something always happens, what happens seldom adds up.
const UNREST_MAX: Duration = Duration::from_secs(60);

/// What is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GiveBack {
    /// All that can be had again.
    All,
    /// What was freed.
    Freed,
}

/// Since when there is something to give back.
#[derive(Debug, Default)]
pub(super) struct Thrift(Option<Due>);

#[derive(Debug, Clone, Copy)]
struct Due {
    rested: Instant,
    latest: Instant,
}

impl Thrift {
    /// When it is due, if nothing happens until then.
    pub(super) fn at(&self) -> Option<Instant> {
        self.0.map(|due| due.rested.min(due.latest))
    }

    /// What is due now, which is not due again. If nothing is, something has happened.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<GiveBack> {
        let due = match self.0 {
            Some(due) if due.rested <= now => Some(GiveBack::All),
            Some(due) if due.latest <= now => Some(GiveBack::Freed),
            Some(_) | None => None,
        };
        let latest = self.0.map_or(now + UNREST_MAX, |due| due.latest);
        self.0 = due.is_none().then_some(Due { rested: now + REST, latest });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    #[test]
    fn memory_is_given_back_once_when_nothing_more_happens() {
        let mut thrift = Thrift::default();
        assert_eq!(thrift.take_due(at(0)), None);
        assert_eq!(thrift.take_due(at(3)), None);
        assert_eq!(thrift.at(), Some(at(8)));
        assert_eq!(thrift.take_due(at(8)), Some(GiveBack::All));
        assert_eq!(thrift.at(), None, "an idle guard is not woken again");
    }

    #[test]
    fn a_guard_that_never_rests_gives_back_what_was_freed_now_and_then() {
        let mut thrift = Thrift::default();
        let due: Vec<_> = (0..150).filter_map(|second| Some((second, thrift.take_due(at(second))?))).collect();
        assert_eq!(due, [(60, GiveBack::Freed), (121, GiveBack::Freed)]);
    }
}
