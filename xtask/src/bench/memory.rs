//! Memory of the guard's two processes when everything runs and nothing happens: resident, their fair share of what they share
//! with others and each other (PSS), and what is in no file (anonymous).

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
        let rollups = processes(guard.pid())?.into_iter().map(rollup).collect::<Result<Vec<_>, _>>()?;
        for (kind, what) in KINDS {
            let all = rollups.iter().map(|rollup| megabytes(rollup, kind)).sum::<Option<f64>>();
            figures.push(Figure {
                row: "memory",
                what: format!("{count} programs, {what}"),
                unit: "MB",
                measured: Spread::of(all)?,
                bare: None,
            });
        }
        guard.down()?;
    }
    Ok(figures)
}

/// The guard and its holder.
pub(super) fn processes(guard: u32) -> Result<Vec<u32>, String> {
    let path = format!("/proc/{guard}/task/{guard}/children");
    let children = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let is_holder =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "menshen-holder\n");
    let holders = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).filter(is_holder);
    Ok([guard].into_iter().chain(holders).collect())
}

pub(super) fn rollup(pid: u32) -> Result<String, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
}

/// A line of it, in millions of bytes.
fn megabytes(rollup: &str, kind: &str) -> Option<f64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kib| kib * 1.024e-3)
}
