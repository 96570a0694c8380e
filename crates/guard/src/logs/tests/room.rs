//! Room on the disk that is set aside for a log.

use std::time::Duration;

use menshen_api::types::Stream;
use menshen_os::output::{Aside, LogFile};
use menshen_plan::definition::LogFormat;

use super::super::names::Stem;
use super::bed::{Bed, plan};

const MEGABYTE: u64 = 1 << 20;

/// The file that is being written, opened beside the guard.
fn file(bed: &Bed, stem: Stem) -> LogFile {
    LogFile::open(&stem.log(&bed.logs())).unwrap()
}

/// How much more room than bytes it has.
fn spare(file: &LogFile) -> u64 {
    file.room().unwrap().saturating_sub(file.state().unwrap().length)
}

/// Whether anything is set aside where tests write.
fn gains() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let probe = LogFile::open(&folder.path().join("probe")).unwrap();
    probe.set_aside(0, MEGABYTE).unwrap() == Aside::Set
}

#[test]
fn who_writes_much_has_room_set_aside_and_who_falls_silent_gives_it_back() {
    for (format, stem) in
        [(LogFormat::Raw, Stem::Stdout), (LogFormat::Text, Stem::Output), (LogFormat::Json, Stem::Output)]
    {
        let mut bed = Bed::new(plan(format, 0));
        bed.write(Stream::Stdout, &b"line of text\n".repeat(100_000));
        let file = file(&bed, stem);
        if gains() {
            assert!(spare(&file) > MEGABYTE, "{format:?}: {}", spare(&file));
        }
        let length = file.state().unwrap().length;
        let second = bed.now.monotonic + Duration::from_secs(1);
        assert_eq!(bed.service.wake_at(bed.now), gains().then_some(second));
        bed.pass(Duration::from_secs(1));
        bed.tick();
        assert!(spare(&file) < MEGABYTE, "{format:?}: {}", spare(&file));
        assert_eq!(file.state().unwrap().length, length);
        assert_eq!(bed.service.wake_at(bed.now), None);
    }
}

#[test]
fn who_writes_little_has_nothing_set_aside() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    for _ in 0..100 {
        bed.write(Stream::Stdout, &b"line of text\n".repeat(1000));
    }
    assert!(spare(&file(&bed, Stem::Stdout)) < MEGABYTE);
    assert_eq!(bed.service.wake_at(bed.now), None);
}

#[test]
fn what_a_guard_that_was_killed_had_set_aside_the_next_one_gives_back() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    bed.write(Stream::Stdout, b"one\n");
    let file = file(&bed, Stem::Stdout);
    // On a file system that gains nothing by it nothing is left either.
    file.set_aside(4, 4 * MEGABYTE).unwrap();
    bed.restart();
    bed.write(Stream::Stdout, b"two\n");
    assert!(spare(&file) < MEGABYTE, "{}", spare(&file));
    assert_eq!(bed.files(Stem::Stdout).0, b"one\ntwo\n");
}

#[test]
fn a_file_that_is_closed_has_nothing_set_aside() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 3 * MEGABYTE));
    bed.write(Stream::Stdout, &b"line of text\n".repeat(400_000));
    let closed: Vec<_> = std::fs::read_dir(bed.logs()).unwrap().flatten().map(|entry| entry.path()).collect();
    let closed = closed
        .iter()
        .find(|path| {
            path.file_name().is_some_and(|name| name != "stdout.log" && name.to_string_lossy().ends_with(".log"))
        })
        .unwrap();
    let closed = LogFile::open(closed).unwrap();
    assert!(closed.state().unwrap().length >= 3 * MEGABYTE);
    assert!(spare(&closed) < MEGABYTE, "{}", spare(&closed));
}
