//! Everything holds, in runs nobody has looked at before and in those that once showed something.

use menshen_sim::shrink::report;
use menshen_sim::{Options, run};

/// One seed to a line, each with what it showed.
pub(crate) const KEPT: &str = include_str!("../../seeds/kept.txt");

/// So many seeds to a test: tests run beside each other.
const SEEDS_PER_TEST: u64 = 500;

/// The seeds of a file with a comment to each.
pub(crate) fn kept() -> impl Iterator<Item = u64> {
    let seeds = KEPT.lines().filter_map(|line| line.split('#').next()).map(str::trim).filter(|seed| !seed.is_empty());
    seeds.map(|seed| seed.parse().unwrap_or_else(|error| panic!("'{seed}' is no seed: {error}")))
}

fn holds(seeds: impl Iterator<Item = u64>) {
    let failed: Vec<String> = seeds.filter_map(|seed| report(&run(&Options::of(seed)))).collect();
    assert!(failed.is_empty(), "{}", failed.concat());
}

macro_rules! parts {
    ($($name:ident = $part:literal),+ $(,)?) => {
        $(#[test]
        fn $name() {
            holds($part * SEEDS_PER_TEST..($part + 1) * SEEDS_PER_TEST);
        })+
    };
}

parts! {
    everything_holds_in_the_first_part = 0,
    everything_holds_in_the_second_part = 1,
    everything_holds_in_the_third_part = 2,
    everything_holds_in_the_fourth_part = 3,
    everything_holds_in_the_fifth_part = 4,
    everything_holds_in_the_sixth_part = 5,
    everything_holds_in_the_seventh_part = 6,
    everything_holds_in_the_eighth_part = 7,
}

#[test]
fn what_was_found_once_is_not_found_again() {
    assert!(kept().count() > 0);
    holds(kept());
}

#[test]
fn every_kept_seed_says_what_it_showed() {
    for line in KEPT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let comment = line.split_once('#').map_or("", |(_, comment)| comment.trim());
        assert!(!comment.is_empty(), "'{line}' has no comment");
    }
}
