//! Raw logs: every byte, once, in order.

use std::fs;
use std::time::Duration;

use menshen_api::types::Stream;
use menshen_os::output::{LogFile, Pipe};
use menshen_plan::definition::{Compression, LogFormat};
use proptest::prelude::*;

use super::super::Report;
use super::super::names::Stem;
use super::super::undo::{Step, Undo};
use super::bed::{Bed, plan};

const STDOUT: Stream = Stream::Stdout;

/// What programs write, and worse.
fn writes() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let line = prop_oneof![
        4 => "[a-z]{0,60}\n".prop_map(String::into_bytes),
        1 => Just(b"\n".to_vec()),
        1 => "[a-z]{0,20}\r\n".prop_map(String::into_bytes),
        1 => "[a-z]{1,20}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ];
    // A million empty lines would be a million files where each is to be cut after a byte.
    let letter = any::<u8>().prop_filter("not the end of a line", |byte| *byte != b'\n');
    let large = prop_oneof![
        (1..=2_usize, letter).prop_map(|(half, byte)| [vec![byte; half * 500_000], b"\n".to_vec()].concat()),
        (60_000..70_000_usize).prop_map(|length| vec![b'x'; length]),
    ];
    prop::collection::vec(prop_oneof![12 => line, 1 => large], 0..60)
}

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..200_u64, 1000..5000_u64, 60_000..140_000_u64]
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::Zstd), Just(Compression::Gzip), Just(Compression::None)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_files_of_a_stream_together_hold_exactly_what_was_written(
        writes in writes(),
        size in sizes(),
        compress in compression(),
        restarts in prop::collection::vec(0..60_usize, 0..3),
        listening in any::<bool>(),
        refused in any::<bool>(),
    ) {
        let mut rules = plan(LogFormat::Raw, size);
        rules.rotate.compress = compress;
        let mut bed = Bed::new(rules);
        if refused {
            bed.service.refuse_moves();
        }
        let (tap, _receiver) = super::super::tap::tap(super::super::TapScope::All);
        if listening {
            bed.taps.add(tap);
        }
        for (number, bytes) in writes.iter().enumerate() {
            bed.write(STDOUT, bytes);
            if restarts.contains(&number) {
                bed.tend();
                bed.restart();
            }
        }
        bed.tend();
        let (whole, closed) = bed.files(Stem::Stdout);
        prop_assert!(whole == writes.concat(), "the bytes differ");
        for file in closed {
            let length = file.len() as u64;
            prop_assert!(length >= size && length <= size + 65_536, "{length} for {size}");
            prop_assert!(file.ends_with(b"\n") || length == size + 65_536, "cut within a line");
        }
    }
}

#[test]
fn a_guard_goes_on_where_another_ended() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    bed.write(STDOUT, b"one\ntw");
    bed.put(STDOUT, b"o\nth");
    bed.restart();
    bed.write(STDOUT, b"ree\n");
    assert_eq!(bed.files(Stem::Stdout), (b"one\ntwo\nthree\n".to_vec(), vec![]));
}

/// So many lines that all of them are many bytes: what waits in a pipe is appended in steps then.
fn many_lines() -> Vec<u8> {
    (0..10_000).flat_map(|number| format!("a line with its number, which is {number}\n").into_bytes()).collect()
}

#[test]
fn many_bytes_are_appended_and_closed_as_few_are() {
    for size in [0, 70_000, 300_000] {
        let mut bed = Bed::new(plan(LogFormat::Raw, size));
        let lines = many_lines();
        for _ in 0..3 {
            bed.put(STDOUT, &lines);
            bed.copy(STDOUT);
            bed.write(STDOUT, b"few\n");
        }
        let (whole, closed) = bed.files(Stem::Stdout);
        assert!(whole == [&lines[..], b"few\n"].concat().repeat(3), "the bytes differ");
        assert!(closed.iter().all(|file| file.len() as u64 <= size + 65_536 && file.ends_with(b"\n")));
        assert_eq!(bed.reports(), []);
    }
}

#[test]
fn many_bytes_that_were_appended_and_had_not_left_the_pipe_are_not_there_twice() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    bed.write(STDOUT, b"before\n");
    let log = Stem::Stdout.log(&bed.logs());
    let state = LogFile::look(&log).unwrap().unwrap();
    let lines = many_lines();
    bed.put(STDOUT, &lines);
    // As a guard leaves it that is killed when it has written.
    let pipe = Pipe::open(&bed.folder.path().join("stdout"), None).unwrap();
    let mut undo = Undo::open(bed.folder.path()).unwrap();
    let bytes = undo.peek().take_up(&pipe, 200_000).unwrap();
    let end = state.length + bytes as u64;
    undo.begin(&Step { pipe: pipe.path().to_owned(), log: Some((log.clone(), state, end)), tail: None }).unwrap();
    undo.peek().put(bytes, &LogFile::open(&log).unwrap(), state.length).unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), end);
    drop(undo);
    bed.restart();
    bed.copy(STDOUT);
    assert!(bed.files(Stem::Stdout).0 == [b"before\n", &lines[..]].concat(), "the bytes differ");
}

#[test]
fn many_bytes_go_into_a_log_also_where_no_step_can_be_noted() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    fs::remove_file(bed.folder.path().join("unfinished")).unwrap();
    fs::create_dir(bed.folder.path().join("unfinished")).unwrap();
    bed.restart();
    let lines = many_lines();
    bed.put(STDOUT, &lines);
    bed.copy(STDOUT);
    assert!(bed.files(Stem::Stdout).0 == lines, "the bytes differ");
    assert_eq!(bed.reports(), []);
}

#[test]
fn a_log_that_is_cut_goes_on_at_its_new_end() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    bed.write(STDOUT, b"one\ntwo\n");
    fs::write(Stem::Stdout.log(&bed.logs()), "").unwrap();
    bed.write(STDOUT, b"three\n");
    assert_eq!(bed.files(Stem::Stdout).0, b"three\n");
    fs::OpenOptions::new().write(true).open(Stem::Stdout.log(&bed.logs())).unwrap().set_len(2).unwrap();
    bed.write(STDOUT, b"four\n");
    assert_eq!(bed.files(Stem::Stdout).0, b"thfour\n");
}

#[test]
fn a_log_that_is_moved_or_removed_is_made_anew() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    bed.write(STDOUT, b"one\n");
    let (log, moved) = (Stem::Stdout.log(&bed.logs()), bed.logs().join("moved.log"));
    fs::rename(&log, &moved).unwrap();
    bed.write(STDOUT, b"two\n");
    fs::remove_file(&log).unwrap();
    bed.write(STDOUT, b"three\n");
    assert_eq!(fs::read(moved).unwrap(), b"one\n");
    assert_eq!(fs::read(&log).unwrap(), b"three\n");
    fs::remove_dir_all(bed.logs()).unwrap();
    bed.write(STDOUT, b"four\n");
    assert_eq!(fs::read(&log).unwrap(), b"four\n");
    assert_eq!(bed.reports(), []);
}

#[test]
fn output_waits_while_it_cannot_be_written() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    bed.write(STDOUT, b"one\n");
    let log = Stem::Stdout.log(&bed.logs());
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    bed.write(STDOUT, b"two\n");
    bed.write(STDOUT, b"three\n");
    assert!(bed.service.is_paused());
    let again = bed.service.wake_at(bed.now).unwrap();
    assert_eq!(again, bed.now.monotonic + Duration::from_secs(1));
    bed.pass(Duration::from_secs(1));
    bed.tick();
    let reports = bed.reports();
    assert!(matches!(&reports[..], [Report::Trouble { text, .. }] if text.contains("stdout.log")), "{reports:?}");
    fs::remove_dir(&log).unwrap();
    bed.pass(Duration::from_secs(1));
    bed.tick();
    assert!(!bed.service.is_paused());
    assert!(matches!(&bed.reports()[..], [Report::TroubleOver { .. }]));
    assert_eq!(fs::read(&log).unwrap(), b"two\nthree\n");
    assert_eq!(bed.service.wake_at(bed.now), None);
}
