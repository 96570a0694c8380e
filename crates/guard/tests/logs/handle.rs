//! What the handle promises.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use menshen_guard::logs::read::Query;
use menshen_guard::logs::{Change, LogId, Logs, Pattern, Report, TapScope};
use menshen_plan::definition::{AlsoLog, Log, LogFormat};
use regex::bytes::Regex;

use crate::bed::{Bed, DEADLINE, plan, program_end, spec, until};

fn stdout_log(bed: &Bed, log: u64) -> Vec<u8> {
    fs::read(bed.log_folder(log).join("stdout.log")).unwrap()
}

#[test]
fn a_log_that_cannot_be_created_is_refused_with_its_path() {
    let bed = Bed::new();
    fs::create_dir_all(bed.log_folder(1).join("stdout.log")).unwrap();
    let error = bed.logs.attach(LogId(1), spec(bed.folder.path(), 1, plan(LogFormat::Raw, 0))).unwrap_err();
    assert!(error.to_string().contains("1.logs/stdout.log"), "{error}");
    fs::write(bed.log_folder(2), "a file where the folder should be").unwrap();
    let error = bed.logs.attach(LogId(2), spec(bed.folder.path(), 2, plan(LogFormat::Raw, 0))).unwrap_err();
    assert!(error.to_string().contains("2.logs"), "{error}");
}

#[test]
fn a_number_is_attached_once() {
    let bed = Bed::new();
    bed.attach(1, plan(LogFormat::Raw, 0));
    bed.logs.attach(LogId(1), spec(bed.folder.path(), 1, plan(LogFormat::Raw, 0))).unwrap_err();
    bed.logs.detach(LogId(1));
    bed.attach(1, plan(LogFormat::Raw, 0));
}

#[test]
fn what_is_in_the_pipes_is_in_the_files_after_a_flush_and_after_the_end() {
    let bed = Bed::new();
    for log in 1..=3 {
        bed.attach(log, plan(LogFormat::Raw, 0));
        bed.stdout(log).write_all(b"no end").unwrap();
    }
    bed.flush(1);
    assert_eq!(stdout_log(&bed, 1), b"no end");
    let mut follow = bed.logs.follow(LogId(2)).unwrap();
    bed.logs.detach(LogId(2));
    while follow.wait(DEADLINE).unwrap() != Change::Detached {}
    assert_eq!(stdout_log(&bed, 2), b"no end");
    assert!(bed.logs.follow(LogId(2)).is_none());
    bed.logs.stop();
    assert_eq!(stdout_log(&bed, 3), b"no end");
    // Nobody waits for something that does not come.
    bed.flush(3);
    bed.logs.attach(LogId(4), spec(bed.folder.path(), 4, plan(LogFormat::Raw, 0))).unwrap_err();
    bed.logs.stop();
}

#[test]
fn a_program_that_writes_without_end_does_not_hold_a_flush_up() {
    let bed = Bed::new();
    bed.attach(1, plan(LogFormat::Raw, 0));
    let yes = crate::bed::Program::start(std::process::Command::new("yes").stdout(bed.stdout(1)));
    for _ in 0..20 {
        bed.flush(1);
    }
    yes.kill();
}

#[test]
fn a_collector_nobody_holds_any_more_ends() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::start(folder.path(), |_| ()).unwrap();
    logs.attach(LogId(1), spec(folder.path(), 1, plan(LogFormat::Raw, 0))).unwrap();
    let mut follow = logs.follow(LogId(1)).unwrap();
    let mut tap = logs.tap(TapScope::All);
    let clone = logs.clone();
    drop(logs);
    assert_eq!(follow.wait(Duration::ZERO), None);
    drop(clone);
    while follow.wait(DEADLINE).unwrap() != Change::Detached {}
    assert_eq!(tap.wait(), None);
}

#[test]
fn an_idle_collector_does_not_wake() {
    let bed = Bed::new();
    let mut rules = plan(LogFormat::Raw, 0);
    rules.rotate.every = Duration::from_secs(86_400);
    for log in 0..100 {
        bed.attach(log, rules.clone());
        bed.stdout(log).write_all(b"it has content, and ages\n").unwrap();
        bed.flush(log);
    }
    let mut follow = bed.logs.follow(LogId(1)).unwrap();
    // What came before may take it a while; one that wakes by itself never sleeps through.
    until("it sleeps through", || {
        let before = switches();
        // Nothing is written, so this takes its time.
        follow.wait(Duration::from_millis(300)).is_none() && switches() == before
    });
}

/// How often the collector's thread has gone to sleep so far.
fn switches() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let is_collector = |name: &str| name.trim() == "logs";
    let collector =
        tasks.into_iter().find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| is_collector(&name)));
    let status = fs::read_to_string(collector.unwrap().join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn matches_journal_entries_and_lines_come_from_the_same_output() {
    let bed = Bed::new();
    let journal = UnixDatagram::bind(bed.path("journal")).unwrap();
    let plan = Log { also: vec![AlsoLog::Journald, AlsoLog::Stdout], ..plan(LogFormat::Json, 0) };
    let pattern = Pattern { id: 7, regex: Regex::new("^ready").unwrap() };
    bed.logs.attach(LogId(1), spec(bed.folder.path(), 1, plan.clone())).unwrap();
    bed.logs.replan(LogId(1), plan, vec![pattern]);
    bed.logs.begin_run(LogId(1), 42);
    let mut tap = bed.logs.tap(TapScope::AlsoStdout);
    program_end(bed.folder.path(), 1, "stderr").write_all(b"ready to serve\n").unwrap();
    assert_eq!(bed.report(), Report::Matched { log: LogId(1), run: 42, pattern: 7 });
    let mut entry = [0; 1000];
    let length = journal.recv(&mut entry).unwrap();
    assert!(String::from_utf8_lossy(&entry[..length]).contains("ready to serve"));
    assert_eq!(tap.wait().unwrap().bytes, b"ready to serve");
    bed.flush(1);
    assert_eq!(bed.reader(1, Query::default()).read_line().unwrap().unwrap().text, "ready to serve");
}
