//! How many instructions the guard takes for what it does most: a measure that is the same on a busy machine, so that it can be
//! held against what it was.
//!
//! It is counted in the build that is tested, which is there already: a release, optimised all together, takes longer to make
//! than all counting. Its figures are those of code that is not optimised; what makes a road longer shows in them all the
//! same. Valgrind knows no `clone3`, so a child is born by the guard's last resort, `fork`; and only what the guard does
//! itself counts, not the kernel.

mod callgrind;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value as Json, json};

use super::machine;
use super::program::wait_until;
use crate::shell::{cargo, root, run, say};
use crate::testbed;
use callgrind::Counted;

/// What is expected, checked in.
const TABLE: &str = "xtask/src/bench/instructions/expected.json";
/// A road that has become longer by more than so many thousandths has changed; what differs from run to run is less.
const TOLERANCE: i32 = 50;
/// The kernel moves bytes that go to a log as they are; what the guard does besides is so little that a wake-up more or less shows.
const RAW: &str = "a megabyte of log, raw";
const TOLERANCE_RAW: i32 = 200;

/// Deaths that are counted at once.
const DEATHS: u64 = 30;
/// How long each life is, in seconds. What a start and an end have to have written down is written together where they are
/// close to each other, and how often they are differs from run to run.
const LIFE: &str = "0.3";
/// Megabytes of log that are counted at once; what is not looked at takes next to nothing.
const MEGABYTES: u64 = 4;
const MEGABYTES_RAW: u64 = 64;
const LINE_BYTES: u64 = LINE_WIDTH as u64 + 1;
const LINE_WIDTH: usize = 99;
const PROBED: u64 = 20;
const PROBES: u64 = 500;
/// Where the machine is busy, two probes may be done in one go, or some be made before the first is counted; the middle one of
/// so many rounds is neither.
const PROBE_ROUNDS: usize = 5;

/// What to do with what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Hold,
    Update,
}

/// Builds what is tested, counts, and holds the counts against the table or writes it anew.
pub(crate) fn instructions(then: Then) -> Result<(), String> {
    testbed::testbed()?;
    run(cargo().args(["build", "--workspace", "--quiet"]))?;
    hold_or_update(then)
}

/// The same, of what has been built, on a bed that has been made.
pub(crate) fn hold_or_update(then: Then) -> Result<(), String> {
    let roads = [
        ("one death and restart", restart as fn() -> Result<u64, String>),
        (RAW, || log("raw", MEGABYTES_RAW, "stdout.log", "")),
        ("a megabyte of log, text", || log("text", MEGABYTES, "output.log", "2026-01-31T12:00:00.123Z stdout ")),
        ("a megabyte of log, json", || {
            log("json", MEGABYTES, "output.log", r#"{"time":"2026-01-31T12:00:00.123Z","stream":"stdout","text":""}"#)
        }),
        ("a round of 1,000 probes", probes),
    ];
    let circumstances = circumstances();
    let path = root().join(TABLE);
    let known: Json = match then {
        Then::Update => Json::Null,
        Then::Hold => {
            let text = fs::read_to_string(&path).map_err(|error| format!("{TABLE}: {error}"))?;
            serde_json::from_str(&text).map_err(|error| format!("{TABLE}: {error}"))?
        }
    };
    let mut counted = BTreeMap::new();
    for (road, count) in roads {
        let count = || count().map_err(|why| format!("{road}: {why}"));
        let mut taken = count()?;
        if changed(&known, road, taken).is_some_and(|change| change > tolerance(road)) {
            // What is longer is so every time; what the machine did to one count is not.
            say(&format!("{road}: {taken} instructions, more than expected: counted once more"));
            taken = taken.min(count()?);
        }
        counted.insert(road.to_owned(), taken);
    }
    if then == Then::Update {
        let table = json!({ "counted on": circumstances, "instructions": counted });
        say(&format!("written: {TABLE}"));
        return fs::write(&path, format!("{table:#}\n")).map_err(|error| format!("{TABLE}: {error}"));
    }
    hold(&known, &circumstances, &counted)
}

/// What else makes a difference.
fn circumstances() -> Json {
    let facts = machine::facts(&std::env::temp_dir());
    let of = |name: &str| facts.iter().find(|(fact, _)| *fact == name).map_or("", |(_, value)| value);
    json!(format!("{}, {}, cgroups {}", of("rustc"), std::env::consts::ARCH, of("cgroups")))
}

/// Says of each road how it compares; fails for those that have become longer.
fn hold(table: &Json, circumstances: &Json, counted: &BTreeMap<String, u64>) -> Result<(), String> {
    let mut longer = Vec::new();
    for (road, count) in counted {
        let change = changed(table, road, *count);
        let percent = |thousandths: i32| f64::from(thousandths.abs()) / 10.0;
        let told = match change {
            None => "which is not in the table".to_owned(),
            Some(change) if change > tolerance(road) => {
                longer.push(road.as_str());
                format!("{:.1} % more than expected", percent(change))
            }
            Some(change) if change < -tolerance(road) => {
                format!(
                    "{:.1} % less than expected: `cargo xtask bench --instructions --update` keeps that",
                    percent(change)
                )
            }
            Some(_) => "as expected".to_owned(),
        };
        say(&format!("{road}: {count} instructions, {told}"));
    }
    if longer.is_empty() {
        return Ok(());
    }
    if table["counted on"] != *circumstances {
        say(&format!(
            "not held against the table: it was counted on {}, and this is {circumstances}",
            table["counted on"]
        ));
        return Ok(());
    }
    Err(format!(
        "takes more instructions than before: {}. Where that is worth it, `cargo xtask bench --instructions --update` and say \
         why in the commit",
        longer.join("; ")
    ))
}

fn tolerance(road: &str) -> i32 {
    if road == RAW { TOLERANCE_RAW } else { TOLERANCE }
}

/// By how many thousandths a road is longer than the table says, if it is in there.
fn changed(table: &Json, road: &str, count: u64) -> Option<i32> {
    table["instructions"][road].as_u64().map(|expected| change(expected, count))
}

/// By how many thousandths it is more.
fn change(expected: u64, count: u64) -> i32 {
    let thousandths = count.saturating_mul(1000) / expected.max(1);
    i32::try_from(thousandths).unwrap_or(i32::MAX).saturating_sub(1000)
}

/// The program waits to be told, lives a little and dies so often, and then stays.
fn restart() -> Result<u64, String> {
    let lives = |folder: &Path| folder.join("lives");
    let counted = Counted::start(|folder| {
        let (go, lives) = (go(folder), lives(folder).display().to_string());
        let script = format!(
            "until [ -e {go} ]; do sleep 0.1; done; echo >> {lives}; \
             [ $(wc -l < {lives}) -gt {DEATHS} ] && exec sleep 300; sleep {LIFE}; exit 1"
        );
        service(
            "mortal",
            &script,
            "restart = { policy = \"always\", delay = \"0s\", jitter = 0 }\nbreaker.failures = 0\n",
        )
    })?;
    counted.zero()?;
    tell(&counted)?;
    wait_until("the last death", || (length(&lives(counted.folder())) > DEATHS).then_some(()))?;
    counted.rest();
    Ok(counted.taken()? / DEATHS)
}

/// The program waits to be told, writes everything, and stays.
fn log(format: &str, megabytes: u64, file: &str, around: &str) -> Result<u64, String> {
    let counted = Counted::start(|folder| {
        let lines = folder.join("lines").display().to_string();
        let script = format!("until [ -e {} ]; do sleep 0.1; done; cat {lines}; exec sleep 300", go(folder));
        let log = format!(
            "log = {{ format = \"{format}\", rotate = {{ size = \"0B\", every = \"0s\", total = \"0B\" }} }}\n"
        );
        service("writer", &script, &log)
    })?;
    let count = megabytes * 1_000_000 / LINE_BYTES;
    let line = format!("{:x>width$}\n", "", width = LINE_WIDTH);
    write(&counted.folder().join("lines"), &(0..count).map(|_| line.as_str()).collect::<String>())?;
    counted.zero()?;
    tell(&counted)?;
    let (log, all) = (counted.log("writer", file), count * (LINE_BYTES + around.len() as u64));
    wait_until("the whole log", || (length(&log) >= all).then_some(()))?;
    counted.rest();
    Ok(counted.taken()? / megabytes)
}

/// Probes of many programs, one after the other, that are answered at once.
fn probes() -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("a port to be probed: {error}");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let answered = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&answered);
    // It ends with the process.
    std::thread::spawn(move || {
        listener.incoming().for_each(|_| {
            counts.fetch_add(1, Ordering::Relaxed);
        });
    });
    let probe = format!("probe.readiness = {{ tcp = \"127.0.0.1:{port}\", interval = \"400ms\" }}\n");
    let counted = Counted::start(|_| {
        (0..PROBED).map(|number| service(&format!("s{number}"), "exec sleep 300", &probe)).collect()
    })?;
    let answered = || answered.load(Ordering::Relaxed);
    // Each has been probed a few times.
    wait_until("the first probes", || (answered() > 5 * PROBED).then_some(()))?;
    let mut rounds = [0; PROBE_ROUNDS];
    for round in &mut rounds {
        counted.zero()?;
        let before = answered();
        wait_until("a round of probes", || (answered() - before >= PROBES).then_some(()))?;
        *round = counted.taken()? * 1000 / (answered() - before);
    }
    rounds.sort_unstable();
    Ok(rounds[PROBE_ROUNDS / 2])
}

/// A service that runs a script. It is not waited for when it is stopped: valgrind does not let signals through.
fn service(name: &str, script: &str, more: &str) -> String {
    let command = json!(["sh", "-c", script]);
    format!("[service.{name}]\ncommand = {command}\nstop.timeout = \"100ms\"\n{more}")
}

/// The file for which programs wait.
fn go(folder: &Path) -> String {
    folder.join("go").display().to_string()
}

fn tell(counted: &Counted) -> Result<(), String> {
    write(&PathBuf::from(go(counted.folder())), "")
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(count: u64, on: &str) -> Result<(), String> {
        let table = json!({ "counted on": "here", "instructions": { "a road": 1000 } });
        hold(&table, &json!(on), &BTreeMap::from([("a road".to_owned(), count)]))
    }

    #[test]
    fn a_road_that_has_become_longer_fails_by_its_name() {
        assert!(held(1051, "here").is_err_and(|why| why.contains("a road")));
        assert_eq!(held(1049, "here"), Ok(()));
        assert_eq!(held(500, "here"), Ok(()));
    }

    #[test]
    fn a_table_of_elsewhere_holds_nothing() {
        assert_eq!(held(2000, "elsewhere"), Ok(()));
    }
}
