//! From a program's death to its successor's first statement, with the smallest delay each supervisor allows.

use std::time::{Duration, Instant};

use super::super::program::{self, ms_between};
use super::peer::{Job, Life, Log, Peer};
use super::results::{BARE, Results, Row};
use super::session::Place;

/// Each row, and how long its program lives, in milliseconds. s6 and runit take one that lives for less than a second for one
/// that fails.
const LIVES_MS: [(Row, &str); 2] = [(Row::Restart, "1100"), (Row::CrashLoop, "10")];
/// So long deaths are counted in a round, however many it takes: which processor each life gets is another from death to death.
const WATCHED: Duration = Duration::from_secs(2);

pub(super) fn measure(place: &Place, peer: &dyn Peer, deaths: usize, results: &mut Results) {
    for (row, life_ms) in LIVES_MS {
        if results.has_failed(row, peer.name()) {
            continue;
        }
        match gaps(place, peer, life_ms, deaths) {
            Ok(gaps) => gaps.into_iter().for_each(|gap| results.add(row, peer.name(), gap)),
            Err(why) => results.fail(row, peer.name(), why),
        }
    }
}

/// The same of a loop that does nothing but start the program and wait for it, as the standard library does (`posix_spawn`,
/// `waitid`).
pub(super) fn measure_bare(place: &Place, deaths: usize, results: &mut Results) {
    for (row, life_ms) in LIVES_MS {
        match bare_gaps(place, life_ms, deaths) {
            Ok(gaps) => gaps.into_iter().for_each(|gap| results.add(row, BARE, gap)),
            Err(why) => results.fail(row, BARE, why),
        }
    }
}

fn bare_gaps(place: &Place, life_ms: &str, deaths: usize) -> Result<Vec<f64>, String> {
    place.program.forget()?;
    let (begun, mut lives) = (Instant::now(), 0);
    while lives < deaths + 2 || begun.elapsed() < WATCHED {
        let died = place.program.bare(&["die", life_ms]).status();
        died.map_err(|error| format!("starting the program: {error}"))?;
        lives += 1;
    }
    between(&place.program.lives()?)
}

fn gaps(place: &Place, peer: &dyn Peer, life_ms: &str, deaths: usize) -> Result<Vec<f64>, String> {
    let job = Job {
        name: "mortal".to_owned(),
        command: place.program.words(&["die", life_ms]),
        life: Life::Dies,
        log: Log::Usual,
    };
    let begun = Instant::now();
    let session = place.start(peer, &[job])?;
    place.program.await_lives(deaths + 2)?;
    std::thread::sleep(WATCHED.saturating_sub(begun.elapsed()));
    let lives = place.program.lives()?;
    // What it takes to stop is another row's.
    drop(session);
    between(&lives)
}

/// From each death to the next life, without the first, which finds everything cold.
fn between(lives: &[program::Life]) -> Result<Vec<f64>, String> {
    let gap = |pair: &[program::Life]| {
        if pair[1].began < pair[0].ended {
            return Err(format!("two of its lives are at once: {pair:?} of {}", lives.len()));
        }
        Ok(ms_between(pair[0].ended, pair[1].began))
    };
    lives[1..].windows(2).map(gap).collect()
}
