//! From the start of `menshen down` to the end of the guard, with all it guards. Beside it a loop that sends as many programs
//! the same signal and waits for each.

use super::Effort;
use super::figures::{Figure, Spread};
use super::guarded::{Menshen, settle};
use super::program::{ms_between, now_ns};

const COUNT: usize = 100;

pub(super) fn measure(menshen: &Menshen, effort: Effort) -> Result<Vec<Figure>, String> {
    let (mut guarded, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds(5) {
        let guard = menshen.guard(&menshen.staying(COUNT))?;
        menshen.program.await_lives(COUNT)?;
        settle();
        guarded.push(guard.down()?);
        menshen.program.forget()?;
        let mut programs = menshen.program.start_bare(COUNT)?;
        menshen.program.await_lives(COUNT)?;
        let begun = now_ns();
        programs.end()?;
        bare.push(ms_between(begun, now_ns()));
    }
    let what = format!("all {COUNT} programs, and the guard");
    let (measured, bare) = (Spread::of(guarded)?, Some(Spread::of(bare)?));
    Ok(vec![Figure { row: "stop", what, unit: "ms", measured, bare }])
}
