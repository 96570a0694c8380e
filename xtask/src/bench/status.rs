//! How long `menshen status --json` takes, from the start of the command to its end.

use super::Effort;
use super::figures::{Figure, Spread};
use super::guarded::{Menshen, settle};
use super::program::{ms_between, now_ns};

const COUNT: usize = 100;

pub(super) fn measure(menshen: &Menshen, effort: Effort) -> Result<Vec<Figure>, String> {
    let guard = menshen.guard(&menshen.staying(COUNT))?;
    menshen.program.await_lives(COUNT)?;
    settle();
    let mut times = Vec::new();
    for _ in 0..effort.rounds(30) {
        let begun = now_ns();
        let status =
            guard.menshen(&["status", "--json"]).status().map_err(|error| format!("menshen status: {error}"))?;
        times.push(ms_between(begun, now_ns()));
        if !status.success() {
            return Err(format!("menshen status ended with {status}"));
        }
    }
    guard.down()?;
    let what = format!("`menshen status --json`, {COUNT} programs");
    Ok(vec![Figure { row: "status", what, unit: "ms", measured: Spread::of(times)?, bare: None }])
}
