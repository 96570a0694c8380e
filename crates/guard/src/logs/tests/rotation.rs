//! When files are closed, what becomes of them, and what a crash leaves.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use menshen_api::types::Stream;
use menshen_plan::definition::{Compression, Log, LogFormat};
use menshen_plan::size::Size;

use super::super::Report;
use super::super::names::{Closed, Listing, Part, Stem};
use super::super::read::Query;
use super::bed::{Bed, NOON_MS, plan};

const STDOUT: Stream = Stream::Stdout;
const HOUR: Duration = Duration::from_secs(3600);

fn every(duration: Duration) -> Log {
    let mut plan = plan(LogFormat::Raw, 0);
    plan.rotate.every = duration;
    plan
}

#[test]
fn a_file_is_closed_at_its_size_at_the_end_of_a_line() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 10));
    bed.write(STDOUT, b"0123456789abc\nnext\n");
    assert_eq!(bed.files(Stem::Stdout).1, [b"0123456789abc\n"]);
    bed.write(STDOUT, b"6789\n");
    assert_eq!(bed.files(Stem::Stdout).1, [&b"0123456789abc\n"[..], b"next\n6789\n"]);
    assert_eq!(
        bed.names(),
        [
            "stdout.00000001.20260131T120000Z.idx",
            "stdout.00000001.20260131T120000Z.log",
            "stdout.00000002.20260131T120000Z.idx",
            "stdout.00000002.20260131T120000Z.log",
            "stdout.idx",
            "stdout.log",
        ],
        "a stream that says nothing has no file"
    );
}

#[test]
fn a_file_is_closed_within_a_line_only_if_the_line_does_not_end() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 10));
    bed.write(STDOUT, &[b'x'; 100_000]);
    bed.write(STDOUT, b"\n");
    let closed = bed.files(Stem::Stdout).1;
    assert_eq!(closed.iter().map(Vec::len).collect::<Vec<_>>(), [65_546, 34_455]);
}

#[test]
fn an_old_file_is_closed_without_more_output() {
    let mut bed = Bed::new(every(HOUR));
    assert_eq!(bed.service.wake_at(bed.now), None, "an empty file does not age");
    bed.pass(HOUR);
    bed.write(STDOUT, b"one\n");
    let started = bed.now;
    bed.pass(HOUR / 2);
    bed.write(STDOUT, b"two\n");
    assert_eq!(bed.service.wake_at(bed.now), Some(started.monotonic + HOUR));
    bed.pass(HOUR / 2);
    bed.tick();
    assert_eq!(bed.files(Stem::Stdout).1, [b"one\ntwo\n"]);
    assert!(bed.names().contains(&"stdout.00000001.20260131T130000Z.log".to_owned()));
    assert_eq!(bed.service.wake_at(bed.now), None);
}

#[test]
fn an_old_file_waits_for_the_end_of_its_last_line() {
    let mut bed = Bed::new(every(HOUR));
    bed.write(STDOUT, b"one\ntw");
    bed.pass(HOUR);
    bed.tick();
    assert_eq!(bed.files(Stem::Stdout).1.len(), 0);
    assert_eq!(bed.service.wake_at(bed.now), None, "only more output can end the line");
    bed.write(STDOUT, b"o\nthree\n");
    assert_eq!(bed.files(Stem::Stdout), (b"one\ntwo\nthree\n".to_vec(), vec![b"one\ntwo\n".to_vec()]));
}

#[test]
fn the_age_of_a_file_survives_the_guard() {
    let mut bed = Bed::new(every(HOUR));
    bed.write(STDOUT, b"one\n");
    bed.pass(HOUR / 2);
    bed.write(STDOUT, b"two\n");
    bed.restart();
    assert_eq!(bed.service.wake_at(bed.now), Some(bed.now.monotonic + HOUR / 2));
    bed.pass(HOUR / 2);
    bed.write(STDOUT, b"three\n");
    assert_eq!(bed.files(Stem::Stdout).1, [b"one\ntwo\n"]);
}

#[test]
fn a_clock_that_is_set_back_makes_a_file_wait_and_nothing_else() {
    let mut bed = Bed::new(every(HOUR));
    bed.write(STDOUT, b"one\n");
    bed.pass(HOUR);
    bed.now.wall_ms = NOON_MS - 1000;
    bed.tick();
    assert_eq!(bed.files(Stem::Stdout).1.len(), 0);
    assert_eq!(bed.service.wake_at(bed.now), Some(bed.now.monotonic + HOUR + Duration::from_secs(1)));
}

#[test]
fn closed_files_are_compressed_and_their_times_are_not() {
    for (compress, suffix) in [(Compression::Zstd, "log.zst"), (Compression::Gzip, "log.gz")] {
        let mut rules = plan(LogFormat::Raw, 10);
        rules.rotate.compress = compress;
        let mut bed = Bed::new(rules);
        bed.write(STDOUT, b"a line of text\nnext");
        bed.tend();
        let names = bed.names();
        assert!(names.contains(&format!("stdout.00000001.20260131T120000Z.{suffix}")), "{names:?}");
        assert!(names.contains(&"stdout.00000001.20260131T120000Z.idx".to_owned()), "{names:?}");
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!(bed.files(Stem::Stdout), (b"a line of text\nnext".to_vec(), vec![b"a line of text\n".to_vec()]));
    }
}

#[test]
fn only_so_many_closed_files_of_each_stream_are_kept() {
    let mut rules = plan(LogFormat::Raw, 1);
    rules.rotate.keep = 3;
    rules.rotate.compress = Compression::Zstd;
    let mut bed = Bed::new(rules);
    for number in 0..6 {
        bed.write(STDOUT, format!("out {number}\n").as_bytes());
        bed.write(Stream::Stderr, format!("err {number}\n").as_bytes());
    }
    bed.write(STDOUT, b"now");
    bed.tend();
    assert_eq!(bed.files(Stem::Stdout).0, b"out 3\nout 4\nout 5\nnow");
    assert_eq!(bed.files(Stem::Stderr).0, b"err 3\nerr 4\nerr 5\n");
    assert_eq!(bed.names().len(), 2 * (3 * 2 + 2));
}

#[test]
fn all_files_together_take_no_more_than_allowed_and_the_oldest_go_first() {
    let mut rules = plan(LogFormat::Raw, 1000);
    rules.rotate.total = Size(3500);
    let mut bed = Bed::new(rules);
    let line = |byte: u8| [vec![byte; 999], b"\n".to_vec()].concat();
    for (stream, byte) in [(STDOUT, b'a'), (Stream::Stderr, b'b'), (STDOUT, b'c'), (Stream::Stderr, b'd')] {
        bed.write(stream, &line(byte));
        bed.pass(Duration::from_secs(1));
    }
    bed.write(STDOUT, b"now");
    bed.tend();
    assert_eq!(bed.files(Stem::Stdout).0, [line(b'c'), b"now".to_vec()].concat());
    assert_eq!(bed.files(Stem::Stderr).0, [line(b'b'), line(b'd')].concat());
}

#[test]
fn the_oldest_go_first_also_when_the_clock_was_set_back() {
    let mut rules = plan(LogFormat::Raw, 1000);
    rules.rotate.total = Size(3500);
    let mut bed = Bed::new(rules);
    let line = |byte: u8| [vec![byte; 999], b"\n".to_vec()].concat();
    bed.now.wall_ms = NOON_MS + 365 * 24 * 3_600_000;
    for (stream, byte) in [(STDOUT, b'a'), (STDOUT, b'b'), (Stream::Stderr, b'c')] {
        bed.write(stream, &line(byte));
    }
    bed.now.wall_ms = NOON_MS;
    for byte in [b'd', b'e'] {
        bed.write(STDOUT, &line(byte));
    }
    bed.tend();
    assert_eq!(bed.files(Stem::Stdout).0, [line(b'b'), line(b'd'), line(b'e')].concat());
    assert_eq!(bed.files(Stem::Stderr).0, b"", "one that seems to be of tomorrow is not the newest");

    bed.write(STDOUT, &line(b'f'));
    bed.tend();
    assert_eq!(bed.files(Stem::Stdout).0, [line(b'd'), line(b'e'), line(b'f')].concat());
}

#[test]
fn the_file_that_is_being_written_is_never_removed() {
    let mut rules = plan(LogFormat::Raw, 0);
    rules.rotate.total = Size(1);
    let mut bed = Bed::new(rules);
    bed.write(STDOUT, b"more than one byte\n");
    bed.tend();
    assert_eq!(bed.files(Stem::Stdout).0, b"more than one byte\n");
}

#[test]
fn a_number_is_not_used_again_even_if_all_closed_files_are_gone() {
    let mut rules = plan(LogFormat::Raw, 1);
    rules.rotate.total = Size(1);
    let mut bed = Bed::new(rules);
    bed.write(STDOUT, b"one\n");
    bed.write(STDOUT, b"two\n");
    bed.tend();
    assert_eq!(bed.files(Stem::Stdout).1.len(), 0);
    bed.restart();
    bed.write(STDOUT, b"three\n");
    assert!(bed.names().contains(&"stdout.00000003.20260131T120000Z.log".to_owned()), "{:?}", bed.names());
}

/// A log of two closed lines and a current one, with zstd.
fn three_lines() -> Bed {
    let mut rules = plan(LogFormat::Raw, 1);
    rules.rotate.compress = Compression::Zstd;
    let mut bed = Bed::new(rules);
    bed.write(STDOUT, b"one\n");
    bed.write(STDOUT, b"two\n");
    bed.write(STDOUT, b"thr");
    bed
}

fn closed(bed: &Bed, sequence: u64) -> Closed {
    let listing = Listing::of(&bed.logs()).unwrap();
    let closed = listing.contents(Stem::Stdout).find(|closed| closed.sequence == sequence);
    closed.unwrap().clone()
}

#[test]
fn a_half_written_compressed_file_is_neither_read_nor_kept() {
    let bed = three_lines();
    let first = closed(&bed, 1);
    fs::write(first.unfinished(&bed.logs(), Part::Zstd), b"half").unwrap();
    assert_eq!(bed.texts(Query::default()), ["one", "two", "thr"]);
    bed.tend();
    assert_eq!(bed.texts(Query::default()), ["one", "two", "thr"]);
    assert!(!bed.names().iter().any(|name| name.ends_with(".new")));
}

#[test]
fn as_long_as_the_original_is_there_the_compressed_file_is_not_trusted() {
    let bed = three_lines();
    let first = closed(&bed, 1);
    fs::write(first.path(&bed.logs(), Part::Zstd), b"not whole").unwrap();
    assert_eq!(bed.texts(Query::default()), ["one", "two", "thr"]);
    bed.tend();
    assert_eq!(bed.files(Stem::Stdout).0, b"one\ntwo\nthr");
    assert!(!first.path(&bed.logs(), Part::Plain).exists());
}

#[test]
fn a_guard_that_ended_between_renaming_a_log_and_its_times_loses_neither() {
    let mut bed = three_lines();
    bed.write(STDOUT, b"ee");
    // As if the guard had ended just after the log got its name.
    let third = Closed::new(Stem::Stdout, 3, NOON_MS);
    fs::rename(Stem::Stdout.log(&bed.logs()), third.path(&bed.logs(), Part::Plain)).unwrap();
    bed.restart();
    assert!(third.path(&bed.logs(), Part::Index).exists());
    bed.write(STDOUT, b"\nfour\n");
    let lines = bed.read(Query::default());
    assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["one", "two", "three", "four"]);
    assert!(lines.iter().all(|line| line.time.is_some_and(|time| time.as_ms() == NOON_MS)));
}

#[test]
fn a_missing_or_damaged_index_costs_times_and_nothing_else() {
    for damage in [None, Some(vec![]), Some(vec![0; 160]), Some(vec![0xAB; 165])] {
        let mut bed = three_lines();
        for index in [closed(&bed, 1).path(&bed.logs(), Part::Index), Stem::Stdout.index(&bed.logs())] {
            match &damage {
                None => fs::remove_file(index).unwrap(),
                Some(garbage) => fs::write(index, garbage).unwrap(),
            }
        }
        let times = |bed: &Bed| bed.read(Query::default()).iter().map(|line| line.time.is_some()).collect::<Vec<_>>();
        assert_eq!(times(&bed), [false, true, false]);
        assert_eq!(bed.texts(Query { since_ms: Some(NOON_MS), ..Query::default() }), ["one", "two", "thr"]);
        bed.restart();
        bed.write(STDOUT, b"ee\nfour\n");
        bed.tend();
        assert_eq!(bed.texts(Query::default()), ["one", "two", "three", "four"]);
    }
}

#[test]
fn files_of_others_in_the_folder_are_left_alone() {
    let mut bed = three_lines();
    let foreign =
        ["stdout.log.1", "notes.txt", "stdout.00000009.log", "x.new", "stdout.00000001.20260131T120000Z.log.xz"];
    for name in foreign {
        fs::write(bed.logs().join(name), "foreign").unwrap();
    }
    fs::create_dir(bed.logs().join("stdout.00000003.folder")).unwrap();
    bed.write(STDOUT, b"ee\n");
    bed.tend();
    assert_eq!(bed.texts(Query::default()), ["one", "two", "three"]);
    for name in foreign {
        assert_eq!(fs::read_to_string(bed.logs().join(name)).unwrap(), "foreign");
    }
    assert_eq!(bed.reports(), []);
}

/// A folder in which nothing can be renamed, for as long as this lives.
struct Immutable(PathBuf);

impl Immutable {
    /// None where that cannot be had.
    fn make(folder: PathBuf) -> Option<Self> {
        let made = Command::new("chattr").arg("+i").arg(&folder).output().is_ok_and(|output| output.status.success());
        if !made {
            assert!(std::env::var_os("CI").is_none(), "chattr +i needs root and a file system that has it");
            println!("skipped: chattr +i needs root and a file system that has it");
        }
        made.then_some(Self(folder))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let freed = Command::new("chattr").arg("-i").arg(&self.0).status();
        assert!(freed.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
fn a_file_that_cannot_be_closed_is_written_on() {
    let mut bed = three_lines();
    let Some(immutable) = Immutable::make(bed.logs()) else { return };
    bed.write(STDOUT, b"ee\n");
    bed.write(STDOUT, b"four\n");
    assert_eq!(bed.files(Stem::Stdout).0, b"one\ntwo\nthree\nfour\n");
    assert!(!bed.service.is_paused());
    let reports = bed.reports();
    assert!(matches!(&reports[..], [Report::Trouble { text, .. }] if text.contains("renaming")), "{reports:?}");
    drop(immutable);
    bed.pass(Duration::from_secs(1));
    bed.write(STDOUT, b"five\n");
    assert!(matches!(&bed.reports()[..], [Report::TroubleOver { .. }]));
    assert_eq!(bed.files(Stem::Stdout).1[2..], [&b"three\nfour\n"[..], b"five\n"]);
}
