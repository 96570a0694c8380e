//! How often the guard wakes up when everything runs and nothing happens: context switches of all its threads, whether they
//! gave up the processor or had it taken away.

use std::fs;
use std::time::{Duration, Instant};

use super::Effort;
use super::figures::{Figure, Spread};
use super::guarded::{Menshen, settle};

const COUNT: usize = 1000;

pub(super) fn measure(menshen: &Menshen, effort: Effort) -> Result<Vec<Figure>, String> {
    let watched = match effort {
        Effort::Full { .. } => Duration::from_secs(30),
        Effort::Quick => Duration::from_secs(5),
    };
    let guard = menshen.guard(&menshen.staying(COUNT))?;
    menshen.program.await_lives(COUNT)?;
    settle();
    let (before, begun) = (switches(guard.pid())?, Instant::now());
    std::thread::sleep(watched);
    let (after, took) = (switches(guard.pid())?, begun.elapsed());
    guard.down()?;
    let wake_ups = f64::from(after.saturating_sub(before)) / took.as_secs_f64();
    let what = format!("wake-ups of the guard, {COUNT} programs, over {} s", watched.as_secs());
    Ok(vec![Figure { row: "idle", what, unit: "1/s", measured: Spread::of([wake_ups])?, bare: None }])
}

/// Of all threads so far.
fn switches(pid: u32) -> Result<u32, String> {
    let folder = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    let of_task = |status: String| -> u32 {
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        lines.filter_map(|line| line.rsplit('\t').next()?.trim().parse::<u32>().ok()).sum()
    };
    // A thread that has just ended does not wake up any more.
    Ok(tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok()).map(of_task).sum())
}
