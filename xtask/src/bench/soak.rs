//! `cargo xtask soak`: a guard with 200 programs that crash, write, are probed and commanded at random, for as long as one
//! likes. What it holds must not grow once it is warm.

mod curve;
mod work;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use clap::Args;

use super::guarded::{Menshen, settle};
use super::machine;
use super::program::{self, Program};
use crate::shell::{cargo, root, run, say};
use curve::{Curve, Sample};

/// How often it is looked at in all.
const SAMPLES: u32 = 180;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 30)]
    minutes: u32,
    /// What is done at random follows from this; without it, from the clock.
    #[arg(long)]
    seed: Option<u64>,
}

pub(crate) fn soak(arguments: &Arguments) -> Result<(), String> {
    if arguments.minutes == 0 {
        return Err("a soak takes a minute at least".to_owned());
    }
    let seed = arguments.seed.unwrap_or_else(program::now_ns);
    run(cargo().args(["build", "--release", "--quiet", "--package", "menshen-cli"]))?;
    let program = Program::new(program::build()?)?;
    let menshen = Menshen { command: root().join("target/release/menshen"), program, homes: RefCell::default() };
    say(&format!("soaking for {} minutes, --seed {seed}; load average {}", arguments.minutes, machine::load()));
    let mut random = fastrand::Rng::with_seed(seed);
    let listener = work::Listener::start()?;
    let guard = menshen.guard_with(work::JOURNAL, &work::services(&menshen, &mut random, listener.port()))?;
    settle();
    let whole = Duration::from_secs(60) * arguments.minutes;
    let begun = Instant::now();
    let mut curve = Curve::default();
    for number in 1..=SAMPLES {
        let until = begun + whole * number / SAMPLES;
        while Instant::now() < until {
            work::command(&guard, &mut random)?;
        }
        curve.add(Sample::take(&guard, begun.elapsed())?);
    }
    say(&format!("\n{}", curve.table()));
    let told = work::told(&guard, arguments.minutes)?;
    guard.down()?;
    say(&format!("{told}; load average {}", machine::load()));
    curve.judge()
}
