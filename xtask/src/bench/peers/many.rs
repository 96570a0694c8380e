//! Many programs that stay: how quickly they start, what supervising them takes, how quickly one is told of them, what it
//! costs when nothing happens, and how quickly all are stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::guarded::settle;
use super::super::program::{ms_between, now_ns};
use super::Beside;
use super::peer::{Job, Life, Log, Peer};
use super::results::{BARE, Results, Row};
use super::session::{Place, Session};

/// How often one asks for the state of all.
const LISTS: usize = 10;
/// How often a supervisor starts all in a round that does so within this many milliseconds: of so little, what else the machine
/// does is much.
const STARTS: usize = 3;
const SHORT_MS: f64 = 1000.0;
/// So often the kernel counts processor time in a second (`USER_HZ`, the same on every Linux).
const TICK_MS: f64 = 10.0;

/// Of one that ends when it has nothing to do, there is nothing to measure.
const GONE: &str = "has no process that stays to supervise";

/// How long an idle supervisor is watched, if at all.
pub(super) type Watched = Option<Duration>;

/// So many programs, and what is asked of their supervisor.
pub(super) fn measure(
    place: &Place,
    peer: &dyn Peer,
    count: usize,
    (watched, beside): (Watched, Beside),
    results: &mut Results,
) {
    let who = peer.name();
    if results.has_failed(Row::Memory(count), who) {
        return;
    }
    let measure_beside = |results: &mut Results| {
        if beside == Beside::Bare && Row::ALL.contains(&Row::Start(count)) {
            results.take(Row::Start(count), BARE, bare(place, count));
        }
    };
    let job = |number| Job {
        name: format!("s{number}"),
        command: place.program.words(&["stay"]),
        life: Life::Stays,
        log: Log::Usual,
    };
    let jobs: Vec<Job> = (0..count).map(job).collect();
    measure_beside(results);
    let (session, took) = match started(place, peer, &jobs) {
        Ok(started) => started,
        Err(why) => {
            let rows = [Row::Start(count), Row::Memory(count), Row::List(count), Row::Stop(count)];
            let rows = rows.into_iter().filter(|row| Row::ALL.contains(row));
            return rows.for_each(|row| results.fail(row, who, why.clone()));
        }
    };
    if count > 0 {
        results.add(Row::Start(count), who, took);
    }
    settle();
    results.take(Row::Memory(count), who, memory(&session));
    if Row::ALL.contains(&Row::List(count)) {
        for _ in 0..LISTS {
            if !results.has_failed(Row::List(count), who) {
                results.take(Row::List(count), who, session.list());
            }
        }
    }
    if let Some(watched) = watched {
        // What a list leaves to do is no idleness.
        settle();
        idle(&session, who, watched, results);
        results.take(Row::Executables, who, executables(&session));
    }
    let stopped = session.stop();
    if Row::ALL.contains(&Row::Stop(count)) {
        results.take(Row::Stop(count), who, stopped);
    }
    if count > 0 && took < SHORT_MS {
        for _ in 1..STARTS {
            measure_beside(results);
            results.take(Row::Start(count), who, started_again(place, peer, &jobs));
        }
    }
}

/// How long it takes to start so many, as the standard library does, and to wait for none.
fn bare(place: &Place, count: usize) -> Result<f64, String> {
    place.program.forget()?;
    let begun = now_ns();
    let mut programs = place.program.start_bare(count)?;
    let lives = place.program.await_lives(count)?;
    programs.end()?;
    Ok(ms_between(begun, lives.iter().map(|life| life.began).max().unwrap_or(begun)))
}

/// A supervisor whose programs all run, and how long that took.
fn started<'a>(place: &'a Place, peer: &'a dyn Peer, jobs: &[Job]) -> Result<(Session<'a>, f64), String> {
    let session = place.start(peer, jobs)?;
    let lives = place.program.await_lives(jobs.len())?;
    let last = lives.iter().map(|life| life.began).max().unwrap_or(session.begun);
    let took = ms_between(session.begun, last);
    Ok((session, took))
}

/// How long it takes once more.
fn started_again(place: &Place, peer: &dyn Peer, jobs: &[Job]) -> Result<f64, String> {
    let (session, took) = started(place, peer, jobs)?;
    session.stop()?;
    Ok(took)
}

/// PSS of all supervising processes, in millions of bytes.
fn memory(session: &Session<'_>) -> Result<f64, String> {
    let pss = |pid: u32| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().strip_suffix(" kB")?.parse::<f64>().ok()
    };
    // One that has just ended takes nothing.
    let kib: Vec<f64> = session.supervisors().into_iter().filter_map(pss).collect();
    if kib.is_empty() { Err(GONE.to_owned()) } else { Ok(kib.iter().sum::<f64>() * 1.024e-3) }
}

fn idle(session: &Session<'_>, who: &str, watched: Duration, results: &mut Results) {
    let supervisors = session.supervisors();
    let (before, begun) = (spent(&supervisors), Instant::now());
    std::thread::sleep(watched);
    let (after, took) = (spent(&supervisors), begun.elapsed());
    let per_minute = Duration::from_secs(60).as_secs_f64() / took.as_secs_f64();
    results.add(Row::IdleWakeUps, who, f64::from(after.0.saturating_sub(before.0)) * per_minute);
    results.add(Row::IdleCpu, who, f64::from(after.1.saturating_sub(before.1)) * TICK_MS * per_minute);
}

/// Context switches of all threads, and ticks of processor time.
fn spent(pids: &[u32]) -> (u32, u32) {
    let spent = pids.iter().map(|pid| (switches(*pid), ticks(*pid).unwrap_or(0)));
    spent.fold((0, 0), |(switches, ticks), of_one| (switches + of_one.0, ticks + of_one.1))
}

fn switches(pid: u32) -> u32 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of_task = |status: String| -> u32 {
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        lines.filter_map(|line| line.rsplit('\t').next()?.trim().parse::<u32>().ok()).sum()
    };
    tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok()).map(of_task).sum()
}

/// The 14th and 15th field of `/proc/PID/stat`, behind a name that may hold anything.
fn ticks(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?)
}

/// What is executed as long as programs are supervised, in millions of bytes.
fn executables(session: &Session<'_>) -> Result<f64, String> {
    let mut files = BTreeMap::new();
    for pid in session.supervisors() {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let executed = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|may| may.contains('x')));
        for path in executed.filter_map(|line| line.get(line.find('/')?..)) {
            // As its process sees it, which may be on another machine.
            files.insert(path.to_owned(), PathBuf::from(format!("/proc/{pid}/root{path}")));
        }
    }
    if files.is_empty() { Err(GONE.to_owned()) } else { Ok(megabytes(files.values())) }
}

/// Of all files together, in millions of bytes.
pub(super) fn megabytes<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> f64 {
    let bytes: u64 = paths.into_iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum();
    // Whole thousands are exact enough, and fit.
    f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1e3
}
