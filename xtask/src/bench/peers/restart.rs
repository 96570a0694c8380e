//! From a program's death to its successor's first statement, with the smallest delay each supervisor allows.

use super::super::program::ms_between;
use super::peer::{Job, Life, Log, Peer};
use super::results::{Results, Row};
use super::session::Place;

/// Each row, and how long its program lives, in milliseconds. s6 and runit take one that lives for less than a second for one
/// that fails.
const LIVES_MS: [(Row, &str); 2] = [(Row::Restart, "1100"), (Row::CrashLoop, "10")];

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

fn gaps(place: &Place, peer: &dyn Peer, life_ms: &str, deaths: usize) -> Result<Vec<f64>, String> {
    let job = Job {
        name: "mortal".to_owned(),
        command: place.program.words(&["die", life_ms]),
        life: Life::Dies,
        log: Log::Usual,
    };
    let session = place.start(peer, &[job])?;
    // The first death finds everything cold.
    let lives = place.program.await_lives(deaths + 2)?;
    // What it takes to stop is another row's.
    drop(session);
    Ok(lives[1..].windows(2).take(deaths).map(|pair| ms_between(pair[0].ended, pair[1].began)).collect())
}
