//! From the command to the first statement of the last of many programs that depend on nothing.
//!
//! The guard's time begins with the start of `menshen up`: reading the definition, making folders, pipes, logs and cgroups
//! are in it. Beside it a loop that starts as many of the same program, as the standard library does, and waits for none.

use super::Effort;
use super::figures::{Figure, Spread};
use super::guarded::{Menshen, settle};
use super::program::{Life, ms_between, now_ns};

pub(super) fn measure(menshen: &Menshen, effort: Effort, count: usize) -> Result<Vec<Figure>, String> {
    let (mut whole, mut spawning, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.rounds(5) {
        let begun = now_ns();
        let guard = menshen.guard(&menshen.staying(count))?;
        let lives = menshen.program.await_lives(count)?;
        settle();
        guard.down()?;
        let (first, last) = ends(&lives);
        whole.push(ms_between(begun, last));
        spawning.push(ms_between(first, last));
        bare.push(start_bare(menshen, count)?);
    }
    let figure = |what: String, measured: Spread, bare: Option<Spread>| Figure {
        row: "start",
        what,
        unit: "ms",
        measured,
        bare,
    };
    let bare = Spread::of(bare)?;
    Ok(vec![
        figure(format!("{count} programs, until all run"), Spread::of(whole)?, Some(bare)),
        figure(format!("{count} programs, from the first to the last"), Spread::of(spawning)?, None),
    ])
}

fn start_bare(menshen: &Menshen, count: usize) -> Result<f64, String> {
    menshen.program.forget()?;
    let begun = now_ns();
    let mut programs = menshen.program.start_bare(count)?;
    let lives = menshen.program.await_lives(count)?;
    programs.end()?;
    Ok(ms_between(begun, ends(&lives).1))
}

/// When the first and the last began.
fn ends(lives: &[Life]) -> (u64, u64) {
    let began = || lives.iter().map(|life| life.began);
    (began().min().unwrap_or(0), began().max().unwrap_or(0))
}
