//! Who is told of what a service writes.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use menshen_api::types::Stream;
use menshen_plan::definition::{AlsoLog, Log, LogFormat};
use regex::bytes::Regex;

use super::super::follow::Change;
use super::super::journald::tests::fields;
use super::super::tap::{TapScope, tap};
use super::super::{LogId, Pattern, Report};
use super::bed::{Bed, plan};

const STDOUT: Stream = Stream::Stdout;
const STDERR: Stream = Stream::Stderr;

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    (0..).zip(texts).map(|(id, text)| Pattern { id, regex: Regex::new(text).unwrap() }).collect()
}

fn matched(run: u64, pattern: u32) -> Report {
    Report::Matched { log: LogId(1), run, pattern }
}

fn also(format: LogFormat, also: AlsoLog) -> Log {
    Log { also: vec![also], ..plan(format, 0) }
}

#[test]
fn a_line_that_matches_is_reported_whatever_the_format_and_the_stream() {
    for format in [LogFormat::Raw, LogFormat::Text, LogFormat::Json] {
        let mut bed = Bed::with_patterns(plan(format, 0), patterns(&["^ready$", "port (\\d+)", "^never$"]));
        bed.write(STDOUT, b"not ready\nrea");
        assert_eq!(bed.reports(), []);
        bed.write(STDERR, b"port 80\n");
        assert_eq!(bed.reports(), [matched(1, 1)]);
        bed.write(STDOUT, b"dy\r\n");
        assert_eq!(bed.reports(), [matched(1, 0)]);
    }
}

#[test]
fn a_match_is_reported_no_more_than_every_100_ms_but_in_every_run() {
    let mut bed = Bed::with_patterns(plan(LogFormat::Raw, 0), patterns(&["x"]));
    bed.write(STDOUT, b"x\nx\nx\n");
    assert_eq!(bed.reports(), [matched(1, 0)]);
    bed.pass(Duration::from_millis(99));
    bed.write(STDOUT, b"x\n");
    assert_eq!(bed.reports(), []);
    bed.outlet.ends.begin_run(2);
    bed.write(STDOUT, b"x\n");
    assert_eq!(bed.reports(), [matched(2, 0)]);
    bed.pass(Duration::from_millis(100));
    bed.write(STDOUT, b"x\n");
    assert_eq!(bed.reports(), [matched(2, 0)]);
}

#[test]
fn what_a_run_left_in_the_pipe_does_not_count_for_the_next() {
    let mut bed = Bed::with_patterns(plan(LogFormat::Raw, 0), patterns(&["^ready$"]));
    bed.put(STDOUT, b"ready\n");
    bed.end_run();
    bed.outlet.ends.begin_run(2);
    bed.write(STDOUT, b"not yet\n");
    assert_eq!(bed.reports(), [matched(1, 0)]);
}

#[test]
fn what_a_run_wrote_is_its_own_when_it_is_read_after_the_next_began() {
    let mut bed = Bed::with_patterns(plan(LogFormat::Raw, 0), patterns(&["ready"]));
    bed.put(STDOUT, b"ready");
    bed.place_end();
    bed.outlet.ends.begin_run(2);
    bed.put(STDOUT, b"ready\n");
    bed.copy(STDOUT);
    assert_eq!(bed.reports(), [matched(1, 0), matched(2, 0)]);
}

#[test]
fn a_last_line_without_an_end_is_heard_when_the_run_ends() {
    let mut bed = Bed::with_patterns(plan(LogFormat::Raw, 0), patterns(&["^done$"]));
    bed.write(STDOUT, b"done");
    assert_eq!(bed.reports(), []);
    bed.end_run();
    assert_eq!(bed.reports(), [matched(1, 0)]);
}

#[test]
fn a_tap_gives_the_lines_of_both_streams() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 5));
    let (all, mut lines) = tap(TapScope::All);
    let (stdout, mut nothing) = tap(TapScope::AlsoStdout);
    bed.write(STDOUT, b"before\nha");
    bed.taps.add(all);
    bed.taps.add(stdout);
    bed.write(STDOUT, b"lf\n\n");
    bed.write(STDERR, b"\xff\n");
    bed.taps = Default::default();
    let mut got = Vec::new();
    while let Some(line) = lines.wait() {
        assert_eq!((&*line.service, line.dropped), ("web", 0));
        got.push((line.stream, line.bytes));
    }
    assert_eq!(got, [(STDOUT, b"lf".to_vec()), (STDOUT, vec![]), (STDERR, vec![0xff])]);
    assert_eq!(nothing.wait(), None);
}

#[test]
fn lines_for_the_guards_own_stdout_go_to_its_tap() {
    let mut bed = Bed::new(also(LogFormat::Json, AlsoLog::Stdout));
    let (stdout, mut lines) = tap(TapScope::AlsoStdout);
    bed.taps.add(stdout);
    bed.write(STDOUT, b"hello\n");
    bed.replan(plan(LogFormat::Json, 0));
    bed.write(STDOUT, b"unheard\n");
    bed.taps = Default::default();
    assert_eq!(lines.wait().unwrap().bytes, b"hello");
    assert_eq!(lines.wait(), None);
}

#[test]
fn lines_go_to_the_journal_and_its_absence_costs_nothing_else() {
    let mut bed = Bed::new(also(LogFormat::Raw, AlsoLog::Journald));
    bed.write(STDOUT, b"unheard\nunheard\n");
    let reports = bed.reports();
    assert!(matches!(&reports[..], [Report::Trouble { text, .. }] if text.contains("journal")), "{reports:?}");
    let journal = UnixDatagram::bind(bed.folder.path().join("journal")).unwrap();
    bed.write(STDERR, b"heard\n");
    assert!(matches!(&bed.reports()[..], [Report::TroubleOver { .. }]));
    let mut buffer = [0; 1000];
    let length = journal.recv(&mut buffer).unwrap();
    let entry = fields(&buffer[..length]);
    assert_eq!((entry["MESSAGE"].as_slice(), entry["PRIORITY"].as_slice()), (&b"heard"[..], &b"3"[..]));
    assert_eq!(bed.files(super::super::names::Stem::Stdout).0, b"unheard\nunheard\n");
}

#[test]
fn a_journal_that_does_not_keep_up_loses_lines_and_holds_nothing_up() {
    let mut bed = Bed::new(also(LogFormat::Raw, AlsoLog::Journald));
    let _journal = UnixDatagram::bind(bed.folder.path().join("journal")).unwrap();
    let lines = b"a line\n".repeat(5000);
    bed.write(STDOUT, &lines);
    assert_eq!(bed.files(super::super::names::Stem::Stdout).0, lines);
    assert!(matches!(&bed.reports()[..], [Report::Trouble { .. }]));
}

#[test]
fn asking_for_the_event_log_is_answered_with_trouble() {
    let mut bed = Bed::new(also(LogFormat::Raw, AlsoLog::Eventlog));
    bed.write(STDOUT, b"line\n");
    let reports = bed.reports();
    assert!(matches!(&reports[..], [Report::Trouble { text, .. }] if text.contains("Event Log")), "{reports:?}");
    bed.replan(plan(LogFormat::Raw, 0));
    assert!(matches!(&bed.reports()[..], [Report::TroubleOver { .. }]));
}

#[test]
fn a_follower_is_told_when_something_was_written_and_when_the_run_ended() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    let mut follow = bed.outlet.bell.follow();
    bed.copy(STDOUT);
    assert_eq!(follow.wait(Duration::ZERO), None);
    bed.write(STDOUT, b"one\n");
    assert_eq!(follow.wait(Duration::ZERO), Some(Change::Written));
    bed.end_run();
    assert_eq!(follow.wait(Duration::ZERO), Some(Change::RunEnded));
}
