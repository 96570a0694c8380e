//! Memory of the guard's process when everything runs and nothing happens: resident, its fair share of what it shares with
//! others (PSS), and what is its alone (anonymous).

use std::fs;

use super::figures::{Figure, Spread};
use super::guarded::{Menshen, settle};

const COUNTS: [usize; 3] = [0, 100, 1000];
const KINDS: [(&str, &str); 3] = [("Rss", "resident"), ("Pss", "PSS"), ("Anonymous", "anonymous")];

pub(super) fn measure(menshen: &Menshen) -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    for count in COUNTS {
        let guard = menshen.guard(&menshen.staying(count))?;
        menshen.program.await_lives(count)?;
        settle();
        let path = format!("/proc/{}/smaps_rollup", guard.pid());
        let rollup = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        for (kind, what) in KINDS {
            figures.push(Figure {
                row: "memory",
                what: format!("{count} programs, {what}"),
                unit: "MB",
                measured: Spread::of(megabytes(&rollup, kind))?,
                bare: None,
            });
        }
        guard.down()?;
    }
    Ok(figures)
}

/// A line of it, in millions of bytes.
fn megabytes(rollup: &str, kind: &str) -> Option<f64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kib| kib * 1.024e-3)
}
