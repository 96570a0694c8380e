//! Much output, while files are closed, compressed and read.

use std::io::Write as _;
use std::path::Path;
use std::thread;

use menshen_guard::logs::read::{Query, Reader};
use menshen_guard::logs::{Change, LogId, Logs, TapScope};
use menshen_plan::definition::LogFormat;

use crate::bed::{Bed, DEADLINE, assert_same, numbers, plan, until, whole};

/// Reads the numbered lines as they are written, and says whether each came once and in order.
fn follow_numbers(logs: &Logs, folder: &Path, log: u64, last: u64) {
    let mut follow = logs.follow(LogId(log)).unwrap();
    let mut reader = Reader::open(folder, Query { follow: true, ..Query::default() }).unwrap();
    let mut expected = 1;
    while expected <= last {
        while let Some(line) = reader.read_line().unwrap() {
            assert_eq!(line.text.parse::<u64>(), Ok(expected));
            expected += 1;
        }
        if expected <= last {
            assert_eq!(follow.wait(DEADLINE), Some(Change::Written), "after {expected}");
        }
    }
    assert_eq!(reader.unreadable().count(), 0);
}

#[test]
fn not_a_byte_is_lost_while_files_are_closed_and_compressed_under_full_load() {
    const LAST: u64 = 25_000_000;
    let bed = Bed::new();
    bed.attach(1, plan(LogFormat::Raw, 4 << 20));
    bed.seq(1, LAST).wait();
    bed.flush(1);
    assert_same(&whole(&bed.log_folder(1), "stdout"), &numbers(LAST));
    until("all closed files are compressed", || {
        let names = std::fs::read_dir(bed.log_folder(1)).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with("Z.log")).count() == 0
    });
    bed.logs.stop();
    assert_same(&whole(&bed.log_folder(1), "stdout"), &numbers(LAST));
}

#[test]
fn a_follower_sees_every_line_once_and_in_order_while_files_are_closed_and_compressed() {
    for (log, format, last) in
        [(1, LogFormat::Raw, 1_500_000), (2, LogFormat::Text, 250_000), (3, LogFormat::Json, 150_000)]
    {
        let bed = Bed::new();
        bed.attach(log, plan(format, 1 << 20));
        let (logs, folder) = (&bed.logs, &bed.log_folder(log));
        let program = bed.seq(log, last);
        thread::scope(|scope| {
            scope.spawn(|| follow_numbers(logs, folder, log, last));
            program.wait();
        });
        follow_numbers(logs, folder, log, last);
    }
}

#[test]
fn neither_a_stalled_tap_nor_a_stalled_follower_holds_output_up() {
    const LAST: u64 = 4_000_000;
    let bed = Bed::new();
    bed.attach(1, plan(LogFormat::Raw, 1 << 20));
    let mut tap = bed.logs.tap(TapScope::All);
    let _follow = bed.logs.follow(LogId(1)).unwrap();
    let mut reader = bed.reader(1, Query { follow: true, ..Query::default() });
    bed.seq(1, LAST).wait();
    bed.flush(1);
    assert_same(&whole(&bed.log_folder(1), "stdout"), &numbers(LAST));
    // Both go on when they are used again: the tap with what fitted and the number of what did not, the follower with all.
    let mut given = 0;
    let mut dropped = 0;
    bed.stdout(1).write_all(b"last\n").unwrap();
    loop {
        let line = tap.wait().unwrap();
        dropped += line.dropped;
        if line.bytes == b"last" {
            break;
        }
        given += 1;
        if given == 1000 {
            // There is room again, so that something comes that tells of what was dropped.
            bed.stdout(1).write_all(b"last\n").unwrap();
        }
    }
    assert!(dropped > 0 && given + dropped >= LAST, "{given} given, {dropped} dropped");
    assert_eq!(reader.read_line().unwrap().unwrap().text, "1");
}

#[test]
fn the_output_of_many_services_goes_where_it_belongs() {
    const SERVICES: u64 = 60;
    const LAST: u64 = 20_000;
    let bed = Bed::new();
    for log in 0..SERVICES {
        let format = if log % 2 == 0 { LogFormat::Raw } else { LogFormat::Text };
        bed.attach(log, plan(format, 50_000));
    }
    let programs: Vec<_> = (0..SERVICES).map(|log| bed.seq(log, LAST + log)).collect();
    for program in programs {
        program.wait();
    }
    for log in 0..SERVICES {
        bed.flush(log);
        let mut reader = bed.reader(log, Query::default());
        let mut expected = 1;
        while let Some(line) = reader.read_line().unwrap() {
            assert_eq!(line.text.parse::<u64>(), Ok(expected));
            expected += 1;
        }
        assert_eq!(expected, LAST + log + 1);
    }
}
