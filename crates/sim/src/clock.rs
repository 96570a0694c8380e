//! Virtual time: an agenda of what happens when.

use std::collections::BTreeMap;
use std::time::Duration;

use menshen_core::Instant;

use crate::random::Random;

/// A clock that moves only when something on its agenda is taken off, or when it is told to.
///
/// What is due at the same instant comes in an order chance decides: a real machine promises none.
#[derive(Debug)]
pub struct Clock<T> {
    now: Instant,
    agenda: BTreeMap<(Instant, u64, u64), T>,
    count: u64,
    random: Random,
}

impl<T> Clock<T> {
    /// A clock with an empty agenda.
    #[must_use]
    pub const fn new(now: Instant, random: Random) -> Self {
        Self { now, agenda: BTreeMap::new(), count: 0, random }
    }

    /// The present.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Puts something on the agenda; what lies in the past is due now.
    pub fn at(&mut self, at: Instant, item: T) {
        self.count += 1;
        self.agenda.insert((at.max(self.now), self.random.number(), self.count), item);
    }

    /// Puts something on the agenda so much later than now.
    pub fn after(&mut self, wait: Duration, item: T) {
        self.at(self.now + wait, item);
    }

    /// When the next thing is due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.agenda.first_key_value().map(|((at, ..), _)| *at)
    }

    /// Takes the next thing off the agenda, and moves to its time.
    pub fn pop(&mut self) -> Option<T> {
        let ((at, ..), item) = self.agenda.pop_first()?;
        self.now = self.now.max(at);
        Some(item)
    }

    /// Moves on without taking anything off the agenda.
    pub fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
    }

    /// Strikes from the agenda what is not wanted any more.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.agenda.retain(|_, item| keep(item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_in_the_order_of_their_time_and_the_clock_follows() {
        let mut clock = Clock::new(Instant(100), Random::new(1));
        clock.at(Instant(300), 'c');
        clock.after(Duration::from_nanos(50), 'b');
        clock.at(Instant(0), 'a');
        assert_eq!((clock.pop(), clock.now()), (Some('a'), Instant(100)));
        assert_eq!((clock.pop(), clock.now()), (Some('b'), Instant(150)));
        clock.advance(Instant(200));
        assert_eq!((clock.next(), clock.now()), (Some(Instant(300)), Instant(200)));
    }

    #[test]
    fn what_is_due_at_once_comes_in_either_order() {
        let first = |seed| {
            let mut clock = Clock::new(Instant(0), Random::new(seed));
            clock.at(Instant(1), 'a');
            clock.at(Instant(1), 'b');
            clock.pop()
        };
        let firsts: Vec<_> = (0..20).map(first).collect();
        assert!(firsts.contains(&Some('a')) && firsts.contains(&Some('b')));
    }
}
