//! Notices that the wall clock was set, or that the machine was suspended: the times of events jump then. Everything that
//! waits goes by a clock that does not.

use std::path::Path;
use std::time::Duration;

use menshen_core::{Record, RecordKind};
use menshen_os::clock::{boot_id, monotonic_ns, suspended_ns, wall_ms};
use menshen_os::file::Durability;
use menshen_plan::duration::format;

use super::Guard;
use super::sleeps::Sleeps;
use super::status::Clock;

/// What is less is the ordinary course of a clock that is kept right.
const JUMP_MIN_MS: i64 = 2000;
/// Clocks that are not read within this time cannot be held against each other: the guard was not given a processor.
const READ_WITHIN_MS: i64 = 100;

/// By less than this the times that are shown do not follow the wall clock: what happened once has one time.
const DRIFT_MIN_MS: i64 = 50;

/// What is known of the clocks.
#[derive(Debug)]
pub(super) struct Clockwork {
    pub sleeps: Sleeps,
    read: Option<Reading>,
    /// How far the wall clock is ahead of the monotonic one, by the times that are shown.
    ahead_ms: i64,
}

/// How the clocks stood to each other when they were last looked at, in milliseconds.
#[derive(Debug)]
struct Reading {
    /// The wall clock when the machine was started, by what it shows now.
    started_wall: i64,
    suspended: i64,
}

impl Clockwork {
    /// Goes on from what the guard before knew.
    pub(super) fn new(memory: &Path) -> Self {
        Self { sleeps: Sleeps::read(memory, &boot_id()), read: None, ahead_ms: wall_ms() - ms(monotonic_ns()) }
    }

    /// For times that are shown.
    pub(super) const fn clock(&self) -> Clock<'_> {
        Clock { ahead_ms: self.ahead_ms, sleeps: &self.sleeps }
    }

    /// Follows the wall clock where it went elsewhere.
    const fn follow(&mut self, ahead_ms: i64) {
        if (ahead_ms - self.ahead_ms).abs() >= DRIFT_MIN_MS {
            self.ahead_ms = ahead_ms;
        }
    }
}

fn ms(ns: u64) -> i64 {
    i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX)
}

impl Reading {
    /// None if that cannot be said now.
    fn read() -> Option<Self> {
        let begun = ms(monotonic_ns());
        let (wall, suspended) = (wall_ms(), ms(suspended_ns()));
        let at_once = ms(monotonic_ns()) - begun < READ_WITHIN_MS;
        at_once.then(|| Self { started_wall: wall - begun - suspended, suspended })
    }

    /// What has happened to them since then, for people.
    fn jumps_since(&self, then: &Self) -> Vec<String> {
        let length = |ms: i64| format(Duration::from_secs((ms.unsigned_abs() + 500) / 1000));
        let mut jumps = Vec::new();
        let slept = self.suspended - then.suspended;
        if slept >= JUMP_MIN_MS {
            jumps.push(format!("the machine was suspended for {}", length(slept)));
        }
        let set = self.started_wall - then.started_wall;
        if set.abs() >= JUMP_MIN_MS {
            let direction = if set > 0 { "forward" } else { "back" };
            jumps.push(format!("the clock was set {direction} by {}", length(set)));
        }
        jumps
    }
}

impl Guard {
    pub(super) fn look_at_clocks(&mut self) {
        let Some(now) = Reading::read() else { return };
        self.clockwork.follow(now.started_wall + now.suspended);
        let Clockwork { sleeps, read, ahead_ms: _ } = &mut self.clockwork;
        if sleeps.notice(super::now(), now.suspended)
            && let Ok(content) = serde_json::to_vec(sleeps)
        {
            let path = super::sleeps::path(&self.paths.memory(&self.instance));
            self.notes.disk.remember(path, content, Durability::Guard);
        }
        // One that is set little by little is followed.
        let then = read.replace(now);
        let jumps = then.zip(read.as_ref()).map(|(then, now)| now.jumps_since(&then));
        for reason in jumps.unwrap_or_default() {
            self.write_record(Record { service: None, kind: RecordKind::Clock, reason, by: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_once_has_one_time_until_the_clock_is_set() {
        let mut clockwork = Clockwork { sleeps: Sleeps::default(), read: None, ahead_ms: 1_000_000 };
        let mut shown = |ahead_ms: i64| {
            clockwork.follow(ahead_ms);
            clockwork.clock().time(menshen_core::Instant(7_000_000_000)).as_ms()
        };
        assert_eq!([1_000_001, 999_999, 1_000_010].map(&mut shown), [1_007_000; 3]);
        assert_eq!(shown(1_000_100), 1_007_100);
    }

    #[test]
    fn a_jump_says_which_way_and_how_far() {
        let then = Reading { started_wall: 1_000_000, suspended: 5_000 };
        let jumps = |started_wall, suspended| Reading { started_wall, suspended }.jumps_since(&then);
        assert_eq!(jumps(1_000_000, 5_000), Vec::<String>::new());
        assert_eq!(jumps(1_001_999, 6_999), Vec::<String>::new());
        assert_eq!(jumps(1_000_000 + 86_400_000, 5_000), ["the clock was set forward by 1d"]);
        assert_eq!(jumps(1_000_000 + 86_400_001, 5_000), ["the clock was set forward by 1d"]);
        assert_eq!(jumps(1_000_000 - 3_600_000, 5_000), ["the clock was set back by 1h"]);
        let both = ["the machine was suspended for 1m30s", "the clock was set back by 2s"];
        assert_eq!(jumps(1_000_000 - 2_000, 95_000), both);
    }
}
