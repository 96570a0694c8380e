//! From a program's death to its successor's first statement, with a delay of 0.
//!
//! The program lives a moment, so that whoever started it waits for its death and nothing else. The time runs from the last
//! look at the clock before it writes its record and ends to the first look at the clock of the next one. Beside it a loop
//! that does nothing but start the same program and wait for it, as the standard library does (`posix_spawn`, `waitid`).

use super::Effort;
use super::figures::{Figure, Spread};
use super::guarded::{Menshen, Service};
use super::program::{Life, ms_between};

/// How long the program lives, in milliseconds.
const LIFE_MS: &str = "10";
/// The first deaths of a round find everything cold, for both.
const WARM_UP: usize = 3;

pub(super) fn measure(menshen: &Menshen, effort: Effort) -> Result<Vec<Figure>, String> {
    let rounds = effort.rounds(5);
    let deaths = effort.deaths().div_ceil(rounds);
    let (mut guarded, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        guarded.extend(guarded_deaths(menshen, deaths)?);
        bare.extend(bare_deaths(menshen, deaths)?);
    }
    Ok(vec![Figure {
        row: "restart",
        what: "death to successor".to_owned(),
        unit: "ms",
        measured: Spread::of(guarded)?,
        bare: Some(Spread::of(bare)?),
    }])
}

fn guarded_deaths(menshen: &Menshen, deaths: usize) -> Result<Vec<f64>, String> {
    let service = Service {
        name: "mortal".to_owned(),
        command: menshen.program.words(&["live", LIFE_MS]),
        more: "restart = { policy = \"always\", delay = \"0s\", jitter = 0 }\nbreaker = { failures = 0 }".into(),
    };
    let guard = menshen.guard(&[service])?;
    let lives = menshen.program.await_lives(WARM_UP + deaths + 1)?;
    guard.down()?;
    Ok(gaps(&lives, deaths))
}

fn bare_deaths(menshen: &Menshen, deaths: usize) -> Result<Vec<f64>, String> {
    menshen.program.forget()?;
    for _ in 0..=WARM_UP + deaths {
        menshen.program.bare(&["live", LIFE_MS]).status().map_err(|error| format!("starting the program: {error}"))?;
    }
    Ok(gaps(&menshen.program.lives()?, deaths))
}

fn gaps(lives: &[Life], deaths: usize) -> Vec<f64> {
    lives[WARM_UP..].windows(2).take(deaths).map(|pair| ms_between(pair[0].ended, pair[1].began)).collect()
}
