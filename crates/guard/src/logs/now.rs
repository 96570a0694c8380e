//! The present, which is passed in, so that days pass in tests without waiting.

use std::time::{Duration, Instant};

/// A point in time by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// For waiting: it never jumps.
    pub(super) monotonic: Instant,
    /// For people, and for what outlives the guard: milliseconds since 1970.
    pub(super) wall_ms: i64,
}

impl Now {
    pub(super) fn read() -> Self {
        Self { monotonic: Instant::now(), wall_ms: menshen_os::clock::wall_ms() }
    }

    /// When the wall clock will show a time, if nobody sets it.
    pub(super) fn instant_of(self, wall_ms: i64) -> Option<Instant> {
        let left = u64::try_from(wall_ms.saturating_sub(self.wall_ms)).unwrap_or(0);
        self.monotonic.checked_add(Duration::from_millis(left))
    }
}

#[cfg(test)]
impl Now {
    /// Later by so much.
    pub(super) fn after(self, duration: Duration) -> Self {
        let wall_ms = self.wall_ms + i64::try_from(duration.as_millis()).unwrap();
        Self { monotonic: self.monotonic + duration, wall_ms }
    }
}
