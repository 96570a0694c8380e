//! Logs of lines: text and JSON.

use std::fs;
use std::time::Duration;

use menshen_api::types::{LogLine, Stream};
use menshen_plan::definition::{Compression, LogFormat};
use proptest::prelude::*;

use super::super::Report;
use super::super::ends::Found;
use super::super::lines::LINE_BYTES_MAX;
use super::super::names::Stem;
use super::super::read::Query;
use super::super::service::Service;
use super::bed::{Bed, NOON_MS, plan};

const STDOUT: Stream = Stream::Stdout;
const STDERR: Stream = Stream::Stderr;

fn output(bed: &Bed) -> String {
    String::from_utf8(bed.files(Stem::Output).0).unwrap()
}

#[test]
fn text_holds_the_lines_of_both_streams_with_their_times() {
    let mut bed = Bed::new(plan(LogFormat::Text, 0));
    bed.write(STDOUT, b"one\n\nthr");
    bed.pass(Duration::from_millis(1500));
    bed.write(STDERR, b"oh\r\n");
    bed.write(STDOUT, b"ee\n");
    assert_eq!(
        output(&bed),
        "2026-01-31T12:00:00.000Z stdout one\n\
         2026-01-31T12:00:00.000Z stdout \n\
         2026-01-31T12:00:01.500Z stderr oh\r\n\
         2026-01-31T12:00:01.500Z stdout three\n"
    );
}

#[test]
fn a_service_keeps_no_memory_for_what_it_has_written() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let mut bed = Bed::new(plan(format, 0));
        bed.write(STDOUT, &b"a line\n".repeat(5000));
        assert_eq!(bed.service.kept_bytes(), 0, "after many lines");
        for stream in Stream::ALL {
            bed.write(stream, &[b'x'; 50_000]);
            bed.write(stream, b"\n");
        }
        assert!(bed.service.kept_bytes() <= 2 * 1024, "{} after two long lines", bed.service.kept_bytes());
        bed.write(STDERR, &[b'x'; 50_000]);
        bed.end_run();
        assert!(bed.service.kept_bytes() <= 2 * 1024, "{} after a run", bed.service.kept_bytes());
    }
}

#[test]
fn a_last_line_without_an_end_is_written_when_the_run_ends() {
    let mut bed = Bed::new(plan(LogFormat::Text, 0));
    bed.write(STDOUT, b"dying");
    assert_eq!(output(&bed), "");
    bed.put(STDERR, b"dead");
    bed.end_run();
    assert_eq!(output(&bed), "2026-01-31T12:00:00.000Z stdout dying\n2026-01-31T12:00:00.000Z stderr dead\n");
    bed.end_run();
    bed.write(STDOUT, b"born\n");
    assert!(output(&bed).ends_with("stderr dead\n2026-01-31T12:00:00.000Z stdout born\n"));
}

#[test]
fn a_line_of_one_run_does_not_go_on_with_the_next_ones_however_late_it_is_read() {
    for format in [LogFormat::Text, LogFormat::Json] {
        for first in [STDOUT, STDERR] {
            let mut bed = Bed::new(plan(format, 0));
            bed.write(STDOUT, b"one\nha");
            bed.put(STDOUT, b"lf");
            bed.put(STDERR, b"oh");
            bed.place_end();
            bed.place_end();
            bed.put(STDOUT, b"next\nbegun");
            bed.place_end();
            bed.put(STDOUT, b"third\nopen");
            bed.copy(first);
            bed.copy(STDOUT);
            assert_eq!(bed.texts(Query::default()), ["one", "half", "oh", "next", "begun", "third"]);
            bed.with(Service::end_run);
            bed.write(STDOUT, b" still\n");
            assert_eq!(bed.texts(Query::default())[6..], ["open still"], "one end ends one run");
        }
    }
}

#[test]
fn a_run_whose_end_is_not_known_in_time_ends_where_the_pipes_end() {
    let mut bed = Bed::new(plan(LogFormat::Text, 0));
    bed.write(STDOUT, b"dy");
    bed.put(STDOUT, b"ing");
    let taking = bed.outlet.ends.take();
    assert_eq!(bed.outlet.ends.place(Duration::from_millis(1)), Found::TooLate);
    drop(taking);
    bed.with(Service::end_run);
    bed.write(STDOUT, b"next\n");
    assert_eq!(bed.texts(Query::default()), ["dying", "next"]);
}

#[test]
fn lines_that_wait_for_a_disk_are_not_counted_twice_against_the_next_run() {
    let mut bed = Bed::new(plan(LogFormat::Text, 0));
    bed.write(STDOUT, b"one\n");
    let log = Stem::Output.log(&bed.logs());
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    bed.write(STDERR, b"three\n");
    assert!(bed.service.is_paused());
    bed.place_end();
    bed.put(STDERR, b"next run\n");
    fs::remove_dir(&log).unwrap();
    bed.pass(Duration::from_secs(1));
    bed.tick();
    assert_eq!(bed.texts(Query::default()), ["three", "next run"]);
}

#[test]
fn more_ends_than_are_kept_apart_lose_nothing() {
    let mut bed = Bed::new(plan(LogFormat::Json, 0));
    for run in 0..3000 {
        bed.put(STDOUT, format!("run {run}\n").as_bytes());
        bed.place_end();
    }
    bed.put(STDERR, b"after\n");
    bed.copy(STDERR);
    bed.copy(STDOUT);
    let runs = (0..3000).map(|run| format!("run {run}"));
    assert!(bed.texts(Query::default()).into_iter().filter(|text| text != "after").eq(runs));
}

#[test]
fn a_last_line_without_an_end_goes_on_when_only_the_guard_ends() {
    let mut bed = Bed::new(plan(LogFormat::Text, 0));
    bed.write(STDOUT, b"half");
    bed.with(Service::leave);
    assert_eq!(output(&bed), "");
    bed.restart();
    bed.write(STDOUT, b" and half\n");
    assert_eq!(output(&bed), "2026-01-31T12:00:00.000Z stdout half and half\n");
}

#[test]
fn a_line_goes_on_when_the_guard_is_killed_in_the_middle_of_it() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let mut bed = Bed::new(plan(format, 0));
        let long = vec![b'x'; LINE_BYTES_MAX - 3];
        for part in [&b"one\na"[..], b"b", b"", b"c\nd", &long, b"e\n", b"f"] {
            bed.write(STDOUT, part);
            bed.restart();
            bed.write(STDERR, b"oh ");
        }
        bed.end_run();
        let long = format!("d{}e", "x".repeat(LINE_BYTES_MAX - 3));
        assert_eq!(bed.texts(Query::default()), ["one", "abc", &long, "f", &"oh ".repeat(7)]);
        bed.restart();
        bed.end_run();
        assert_eq!(bed.texts(Query::default()).len(), 5, "what was begun was ended once");
    }
}

#[test]
fn a_line_that_was_begun_is_in_the_log_whatever_the_next_guards_format() {
    let mut bed = Bed::new(plan(LogFormat::Json, 0));
    bed.write(STDOUT, b"one\nha");
    bed.pass(Duration::from_secs(1));
    bed.restart_with(plan(LogFormat::Raw, 0));
    bed.restart();
    bed.write(STDOUT, b"lf\n");
    assert_eq!(bed.texts(Query::default()), ["one", "half"]);
}

#[test]
fn a_long_line_is_split_and_marked() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let mut bed = Bed::new(plan(format, 0));
        let line = vec![b'x'; 2 * LINE_BYTES_MAX + 10];
        bed.write(STDOUT, &line);
        bed.write(STDOUT, b"\nshort\n");
        let lines = bed.read(Query::default());
        let shape: Vec<_> = lines.iter().map(|line| (line.text.len(), line.continues)).collect();
        assert_eq!(shape, [(LINE_BYTES_MAX, true), (LINE_BYTES_MAX, true), (10, false), (5, false)]);
    }
    let mut bed = Bed::new(plan(LogFormat::Text, 0));
    bed.write(STDERR, &vec![b'x'; LINE_BYTES_MAX + 1]);
    assert!(output(&bed).starts_with("2026-01-31T12:00:00.000Z stderr+ xxx"));
}

#[test]
fn bytes_that_are_not_text_survive() {
    let bytes = b"\xff\xfe \x1b[0m\0 \xe9";
    let mut bed = Bed::new(plan(LogFormat::Text, 0));
    bed.write(STDOUT, &[bytes, &b"\n"[..]].concat());
    let text = bed.files(Stem::Output).0;
    assert_eq!(text, [b"2026-01-31T12:00:00.000Z stdout ", &bytes[..], b"\n"].concat());
    let from_text = bed.read(Query::default());
    let mut bed = Bed::new(plan(LogFormat::Json, 0));
    bed.write(STDOUT, &[bytes, &b"\n"[..]].concat());
    assert_eq!(bed.read(Query::default()), from_text);
    assert!(from_text[0].base64.is_some());
    let line: LogLine = serde_json::from_str(output(&bed).trim_end()).unwrap();
    assert_eq!(line, from_text[0]);
}

#[test]
fn a_change_of_format_closes_the_files() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    let mut expected = Vec::new();
    for (number, format) in
        [LogFormat::Text, LogFormat::Json, LogFormat::Raw, LogFormat::Json, LogFormat::Text].into_iter().enumerate()
    {
        bed.write(STDOUT, format!("before {number}\n").as_bytes());
        bed.pass(Duration::from_secs(1));
        bed.replan(plan(format, 0));
        bed.write(STDOUT, format!("after {number}\n").as_bytes());
        bed.pass(Duration::from_secs(1));
        expected.extend([format!("before {number}"), format!("after {number}")]);
    }
    assert_eq!(bed.texts(Query::default()), expected);
    let current: Vec<String> = bed.names().into_iter().filter(|name| name.len() == "stdout.log".len()).collect();
    assert_eq!(current, ["output.idx", "output.log"]);
    assert_eq!(bed.files(Stem::Output).1.len(), 3);
}

#[test]
fn a_guard_with_another_format_closes_what_it_finds() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    bed.write(STDERR, b"line 0\n");
    let mut expected = vec!["line 0".to_owned()];
    for (number, format) in (1..).zip([LogFormat::Raw, LogFormat::Text, LogFormat::Json, LogFormat::Raw]) {
        let old = bed;
        bed = Bed::new(plan(format, 0));
        // The new guard finds the folder of the old one, whether it has made one of its own or not.
        let _ = fs::remove_dir(bed.logs());
        fs::rename(old.logs(), bed.logs()).unwrap();
        bed.restart();
        bed.pass(Duration::from_secs(number));
        bed.write(STDERR, format!("line {number}\n").as_bytes());
        expected.push(format!("line {number}"));
    }
    assert_eq!(bed.texts(Query::default()), expected);
    assert_eq!(bed.files(Stem::Output).1.len(), 2);
}

#[test]
fn half_a_line_that_another_guard_left_is_a_line_of_its_own() {
    let mut bed = Bed::new(plan(LogFormat::Text, 0));
    bed.write(STDOUT, b"whole\n");
    let log = Stem::Output.log(&bed.logs());
    fs::write(&log, [fs::read(&log).unwrap(), b"2026-01-31T12:00:00.0".to_vec()].concat()).unwrap();
    bed.restart();
    bed.write(STDOUT, b"next\n");
    assert_eq!(bed.texts(Query::default()), ["whole", "2026-01-31T12:00:00.0", "next"]);
}

#[test]
fn what_is_said_first_waits_while_a_folder_of_logs_cannot_be_made() {
    let mut bed = Bed::new(plan(LogFormat::Text, 0));
    // Where it was made before it is needed.
    let _ = fs::remove_dir(bed.logs());
    fs::write(bed.logs(), "").unwrap();
    bed.write(STDOUT, b"first\n");
    assert!(matches!(&bed.reports()[..], [Report::Trouble { text, .. }] if text.contains("creating")));
    fs::remove_file(bed.logs()).unwrap();
    bed.pass(Duration::from_secs(1));
    bed.tick();
    assert_eq!(bed.texts(Query::default()), ["first"]);
}

#[test]
fn lines_wait_while_they_cannot_be_written() {
    let mut bed = Bed::new(plan(LogFormat::Text, 0));
    bed.write(STDOUT, b"one\nha");
    let log = Stem::Output.log(&bed.logs());
    let moved = bed.folder.path().join("moved");
    fs::rename(&log, &moved).unwrap();
    fs::create_dir(&log).unwrap();
    bed.write(STDOUT, b"lf\ntwo\n");
    bed.write(STDERR, b"three\n");
    assert!(bed.service.is_paused());
    // Neither the end of the run nor another format may lose what waits.
    bed.end_run();
    bed.replan(plan(LogFormat::Json, 0));
    fs::remove_dir(&log).unwrap();
    fs::rename(&moved, &log).unwrap();
    bed.pass(Duration::from_secs(1));
    bed.tick();
    bed.write(STDOUT, b"four\n");
    assert!(matches!(&bed.reports()[..], [Report::Trouble { .. }, Report::TroubleOver { .. }]));
    assert_eq!(bed.texts(Query::default()), ["one", "half", "two", "three", "four"]);
    assert!(fs::read_to_string(&log).unwrap().starts_with('{'));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_line_is_there_once_in_order_whatever_the_format(
        lines in prop::collection::vec(
            (any::<bool>(), prop_oneof![
                6 => "[ -~]{0,60}".prop_map(String::into_bytes),
                2 => prop::collection::vec(any::<u8>().prop_filter("ends the line", |byte| *byte != b'\n'), 0..80),
                1 => (65_000..66_000_usize).prop_map(|length| vec![b'y'; length]),
            ]),
            0..40,
        ),
        json in any::<bool>(),
        size in prop_oneof![Just(0), 1..400_u64, 50_000..80_000_u64],
        chunk in prop_oneof![1..50_usize, 1000..70_000_usize],
    ) {
        let mut rules = plan(if json { LogFormat::Json } else { LogFormat::Text }, size);
        rules.rotate.compress = Compression::Zstd;
        let mut bed = Bed::new(rules);
        for (err, line) in &lines {
            let stream = if *err { STDERR } else { STDOUT };
            let line = [line.as_slice(), b"\n"].concat();
            // Long lines in small parts take long.
            for part in line.chunks(chunk.max(line.len() / 40)) {
                bed.write(stream, part);
            }
        }
        bed.tend();
        let mut read: Vec<(bool, Vec<u8>)> = Vec::new();
        let mut goes_on = false;
        for line in bed.read(Query::default()) {
            let bytes = match &line.base64 {
                Some(base64) => base64::Engine::decode(&base64::engine::general_purpose::STANDARD, base64).unwrap(),
                None => line.text.into_bytes(),
            };
            prop_assert_eq!(line.time.map(menshen_api::Time::as_ms), Some(NOON_MS));
            match read.last_mut().filter(|_| goes_on) {
                Some((_, last)) => last.extend(bytes),
                None => read.push((line.stream == STDERR, bytes)),
            }
            goes_on = line.continues;
        }
        prop_assert_eq!(read, lines);
        let closed = bed.files(Stem::Output).1;
        prop_assert!(closed.iter().all(|file| file.ends_with(b"\n") && file.len() as u64 >= size));
    }
}
