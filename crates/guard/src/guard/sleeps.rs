//! When the machine slept. The clock by which everything waits stands still then, so what lies before a sleep is longer ago
//! than that clock says.

use std::path::{Path, PathBuf};

use menshen_core::Instant;
use serde::{Deserialize, Serialize};

/// Sleeps of which each is known; of more than this the oldest count as one.
const SLEEPS_MAX: usize = 256;
/// Less than this is how the clocks are read, one after the other. Whatever it is, it is part of the next sleep.
const SLEEP_MIN_MS: i64 = 200;

/// The sleeps of this boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sleeps {
    boot: String,
    /// In their order. All together are as long as the kernel says that the machine slept.
    sleeps: Vec<Sleep>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Sleep {
    /// When it was noticed, soon after the machine woke, in nanoseconds of the clock that stood still.
    noticed: u64,
    ms: i64,
}

/// The file for the next guard.
pub(crate) fn path(memory: &Path) -> PathBuf {
    memory.join("sleeps.json")
}

impl Sleeps {
    /// What the guard before noticed during this boot. Without that, all there was is noticed as one.
    pub(crate) fn read(memory: &Path, boot: &str) -> Self {
        let text = std::fs::read(path(memory)).unwrap_or_default();
        let read: Option<Self> = serde_json::from_slice(&text).ok();
        read.filter(|sleeps| sleeps.boot == boot).unwrap_or_else(|| Self { boot: boot.to_owned(), sleeps: Vec::new() })
    }

    /// Takes note of how long the machine has slept altogether by now. Whether there was another sleep.
    pub(crate) fn notice(&mut self, now: Instant, altogether_ms: i64) -> bool {
        let ms = altogether_ms - self.sleeps.iter().map(|sleep| sleep.ms).sum::<i64>();
        if ms < SLEEP_MIN_MS {
            return false;
        }
        self.sleeps.push(Sleep { noticed: now.0, ms });
        if self.sleeps.len() > SLEEPS_MAX {
            let oldest = self.sleeps.remove(0);
            self.sleeps[0].ms += oldest.ms;
        }
        true
    }

    /// How long the machine has slept since then, in milliseconds.
    pub(crate) fn since(&self, instant: Instant) -> i64 {
        self.sleeps.iter().rev().take_while(|sleep| sleep.noticed > instant.0).map(|sleep| sleep.ms).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn of(boot: &str) -> Sleeps {
        Sleeps { boot: boot.to_owned(), sleeps: Vec::new() }
    }

    #[test]
    fn what_lies_before_a_sleep_is_longer_ago() {
        let mut sleeps = of("a");
        assert!(!sleeps.notice(Instant(5 * S), SLEEP_MIN_MS - 1));
        assert!(sleeps.notice(Instant(10 * S), 60_000));
        assert!(!sleeps.notice(Instant(11 * S), 60_000));
        assert!(sleeps.notice(Instant(20 * S), 90_000));
        let since = [1, 9, 10, 15, 20, 30].map(|second| sleeps.since(Instant(second * S)));
        assert_eq!(since, [90_000, 90_000, 30_000, 30_000, 0, 0]);
    }

    #[test]
    fn many_sleeps_are_as_long_as_each_of_them() {
        let mut sleeps = of("a");
        let number = SLEEPS_MAX as u64 + 10;
        assert!((1..=number).all(|n| sleeps.notice(Instant(n * S), i64::try_from(n).unwrap() * 1000)));
        assert_eq!(sleeps.sleeps.len(), SLEEPS_MAX);
        assert_eq!(sleeps.since(Instant(0)), i64::try_from(number).unwrap() * 1000);
        assert_eq!(sleeps.since(Instant((number - 1) * S)), 1000);
    }

    #[test]
    fn the_next_guard_of_the_same_boot_knows_them() {
        let memory = tempfile::tempdir().unwrap();
        let mut sleeps = of("a");
        sleeps.notice(Instant(10 * S), 60_000);
        std::fs::write(path(memory.path()), serde_json::to_vec(&sleeps).unwrap()).unwrap();
        assert_eq!(Sleeps::read(memory.path(), "a"), sleeps);
        assert_eq!(Sleeps::read(memory.path(), "b"), of("b"), "those of another boot count no more");
        std::fs::write(path(memory.path()), "{\"boot\":\"a\",").unwrap();
        assert_eq!(Sleeps::read(memory.path(), "a"), of("a"));
    }
}
