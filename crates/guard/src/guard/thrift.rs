//! When memory is given back that only the past needed: once nothing has happened for a while, and now and then where that is
//! never so.

use std::time::Duration;

use menshen_core::Instant;

/// What happens more often than this needs the same again and again.
const REST: Duration = Duration::from_secs(5);
/// But not all of it: where something always happens, what happens seldom adds up.
const UNREST_MAX: Duration = Duration::from_secs(60);

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

    /// Whether it is due now. If not, something has happened.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.at().is_some_and(|at| at <= now);
        let latest = self.0.map_or(now + UNREST_MAX, |due| due.latest);
        self.0 = (!due).then_some(Due { rested: now + REST, latest });
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
        assert!(!thrift.is_due(at(0)));
        assert!(!thrift.is_due(at(3)));
        assert_eq!(thrift.at(), Some(at(8)));
        assert!(thrift.is_due(at(8)));
        assert_eq!(thrift.at(), None, "an idle guard is not woken again");
    }

    #[test]
    fn a_guard_that_never_rests_gives_back_memory_now_and_then() {
        let mut thrift = Thrift::default();
        let due: Vec<u64> = (0..150).filter(|second| thrift.is_due(at(*second))).collect();
        assert_eq!(due, [60, 121]);
    }
}
