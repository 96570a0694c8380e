//! How long somebody waits.

use std::time::{Duration, Instant};

/// A moment until which something is waited for, and how long that was at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    begun: Instant,
    within: Duration,
}

impl Deadline {
    /// From now on for so long.
    #[must_use]
    pub fn after(within: Duration) -> Self {
        Self { begun: Instant::now(), within }
    }

    /// How long it was at first.
    #[must_use]
    pub const fn within(&self) -> Duration {
        self.within
    }

    /// How long it is still.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.within.saturating_sub(self.begun.elapsed())
    }

    /// Whether it has come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// The sooner of this and another, so long from now.
    #[must_use]
    pub fn or_after(self, within: Duration) -> Self {
        if self.left() <= within { self } else { Self::after(within) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sooner_of_two_deadlines_counts() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(3600));
        assert_eq!(Deadline::after(long).or_after(short).within(), short);
        assert_eq!(Deadline::after(short).or_after(long).within(), short);
        assert!(!Deadline::after(long).is_over() && Deadline::after(Duration::ZERO).is_over());
        assert!(Deadline::after(Duration::MAX).left() > long, "who waits for ever is no special case");
    }
}
