//! Reading back.

use std::fs;
use std::ops::Range;
use std::time::Duration;

use menshen_api::types::{LogQuery, Stream};
use menshen_plan::definition::{Compression, LogFormat};
use regex::bytes::Regex;

use super::super::names::{Listing, Part, Stem};
use super::super::read::{Query, QueryError, Reader};
use super::bed::{Bed, NOON_MS, all, plan};

const STDOUT: Stream = Stream::Stdout;
const STDERR: Stream = Stream::Stderr;

/// A line every second, on alternating streams, in files of four lines, of which the older ones are compressed.
fn twenty(format: LogFormat) -> Bed {
    let size = if format == LogFormat::Raw { 28 } else { 150 };
    let mut rules = plan(format, size);
    rules.rotate.compress = Compression::Zstd;
    let mut bed = Bed::new(rules);
    for number in 0..20 {
        let stream = if number % 3 == 0 { STDERR } else { STDOUT };
        bed.write(stream, format!("line {number}\n").as_bytes());
        bed.pass(Duration::from_secs(1));
        if number == 15 {
            bed.tend();
        }
    }
    bed
}

const FORMATS: [LogFormat; 3] = [LogFormat::Raw, LogFormat::Text, LogFormat::Json];

fn numbers(range: impl IntoIterator<Item = i64>) -> Vec<String> {
    range.into_iter().map(|number| format!("line {number}")).collect()
}

#[test]
fn lines_of_both_streams_come_in_the_order_of_their_times_from_all_files() {
    for format in FORMATS {
        let bed = twenty(format);
        let lines = bed.read(Query::default());
        assert_eq!(lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>(), numbers(0..20));
        for (number, line) in (0..).zip(lines) {
            assert_eq!(line.time.unwrap().as_ms(), NOON_MS + 1000 * number);
            assert_eq!(line.stream, if number % 3 == 0 { STDERR } else { STDOUT });
        }
    }
}

#[test]
fn only_what_is_asked_for_is_given() {
    let (sevens, even) = (Regex::new("7$").unwrap(), Regex::new("[02468]$").unwrap());
    for format in FORMATS {
        let bed = twenty(format);
        let only_err = Query { stream: Some(STDERR), ..Query::default() };
        assert_eq!(bed.texts(only_err), numbers((0..20).filter(|number| number % 3 == 0)));
        let grep = Query { grep: Some(sevens.clone()), ..Query::default() };
        assert_eq!(bed.texts(grep), numbers([7, 17]));
        for since in 0..21 {
            let query = Query { since_ms: Some(NOON_MS + 1000 * since - 5), ..Query::default() };
            assert_eq!(bed.texts(query), numbers(since..20), "since {since}");
        }
        for tail in 0..25 {
            let query = Query { tail: Some(usize::try_from(tail).unwrap()), ..Query::default() };
            assert_eq!(bed.texts(query), numbers((20 - tail).max(0)..20), "tail {tail}");
        }
        let all_at_once = Query {
            stream: Some(STDOUT),
            grep: Some(even.clone()),
            since_ms: Some(NOON_MS + 2500),
            tail: Some(3),
            after: None,
            follow: false,
            so_far: false,
        };
        assert_eq!(bed.texts(all_at_once), numbers([10, 14, 16]));
    }
}

#[test]
fn the_last_lines_of_a_large_file_are_found_by_reading_little() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    let log = Stem::Stdout.log(&bed.logs());
    bed.write(STDOUT, b"first\n");
    fs::write(&log, b"just a line of a large file\n".repeat(4_000_000)).unwrap();
    bed.write(STDOUT, b"last\n");
    let mut reader = Reader::open(&bed.logs(), Query { tail: Some(10), ..Query::default() }).unwrap();
    let lines = all(&mut reader);
    assert_eq!((lines.len(), lines[9].text.as_str()), (10, "last"));
    assert!(reader.bytes_read() < 300_000, "{}", reader.bytes_read());
}

#[test]
fn compressed_files_are_not_opened_for_lines_the_current_file_has() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 100));
    for _ in 0..50 {
        bed.write(STDOUT, b"a line in a file\n");
    }
    for closed in Listing::of(&bed.logs()).unwrap().contents(Stem::Stdout) {
        let plain = closed.path(&bed.logs(), Part::Plain);
        fs::remove_file(&plain).unwrap();
        fs::write(closed.path(&bed.logs(), Part::Zstd), "this is not what it should be").unwrap();
    }
    let mut reader = Reader::open(&bed.logs(), Query { tail: Some(2), ..Query::default() }).unwrap();
    assert_eq!(all(&mut reader).len(), 2);
    assert_eq!(reader.unreadable().count(), 0);
    let mut reader = Reader::open(&bed.logs(), Query { tail: Some(3), ..Query::default() }).unwrap();
    assert_eq!(all(&mut reader).len(), 2);
    assert_eq!(reader.unreadable().count(), 8);
}

#[test]
fn a_line_that_was_cut_by_a_rotation_is_whole_again() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 10));
    let line = "x".repeat(65_546) + "and the rest";
    bed.write(STDOUT, format!("{line}\nnext\n").as_bytes());
    assert_eq!(bed.files(Stem::Stdout).1.len(), 2);
    let lines = bed.read(Query::default());
    assert_eq!(lines.iter().map(|line| line.text.len()).collect::<Vec<_>>(), [65_536, 22, 4]);
    assert_eq!(lines.iter().map(|line| line.continues).collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn a_line_that_has_not_ended_is_given_as_one_that_goes_on() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    bed.write(STDOUT, b"one\nmore to c");
    for tail in [None, Some(1)] {
        let lines = bed.read(Query { tail, ..Query::default() });
        let last = lines.last().unwrap();
        assert_eq!((last.text.as_str(), last.continues), ("more to c", true));
    }
    let mut reader = Reader::open(&bed.logs(), Query { follow: true, tail: Some(5), ..Query::default() }).unwrap();
    assert_eq!(all(&mut reader).len(), 1);
    bed.write(STDOUT, b"ome\ndead");
    let lines = all(&mut reader);
    assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["more to come"]);
    reader.end_run();
    let lines = all(&mut reader);
    assert_eq!((lines[0].text.as_str(), lines[0].continues), ("dead", true));
}

#[test]
fn a_reader_that_does_not_follow_ends_at_what_was_there_when_it_began() {
    for format in FORMATS {
        let mut bed = twenty(format);
        let mut reader = Reader::open(&bed.logs(), Query::default()).unwrap();
        for _ in 0..20 {
            bed.write(STDOUT, b"later\n");
        }
        bed.tend();
        let lines = all(&mut reader);
        assert_eq!(lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>(), numbers(0..20));
    }
}

#[test]
fn what_was_written_so_far_ends_though_writing_goes_on_and_another_reader_goes_on_after_it() {
    for format in FORMATS {
        for tail in [None, Some(5)] {
            let mut bed = twenty(format);
            bed.put(STDOUT, b"line ");
            bed.copy(STDOUT);
            let mut reader = Reader::open(&bed.logs(), Query { so_far: true, tail, ..Query::default() }).unwrap();
            let mut next = 20;
            let mut read = Vec::new();
            while let Some(line) = reader.read_line().unwrap()
                && next < 60
            {
                read.push(line);
                bed.write(STDOUT, format!("{next}\nline ").as_bytes());
                next += 1;
            }
            let texts: Vec<String> = read.iter().map(|line| line.text.clone()).collect();
            assert_eq!(texts, numbers(tail.map_or(0, |_| 15)..20), "{format:?} {tail:?}");
            let after = read.last().and_then(|line| line.position.as_ref()).map(|text| text.parse().unwrap());
            assert!(after.is_some(), "{format:?} {tail:?}");
            let mut reader = Reader::open(&bed.logs(), Query { follow: true, after, ..Query::default() }).unwrap();
            let texts: Vec<String> = all(&mut reader).into_iter().map(|line| line.text).collect();
            assert_eq!(texts, numbers(20..next), "{format:?} {tail:?}");
        }
    }
}

#[test]
fn a_follower_goes_on_across_rotation_compression_and_removal() {
    for format in FORMATS {
        for pace in [1, 2, 7, 40] {
            let mut bed = twenty(format);
            let query = Query { follow: true, since_ms: Some(NOON_MS + 17_500), ..Query::default() };
            let mut reader = Reader::open(&bed.logs(), query).unwrap();
            let mut got = Vec::new();
            for number in 20..60 {
                bed.write(STDOUT, format!("line {number}\n").as_bytes());
                bed.pass(Duration::from_secs(1));
                if number % pace == 0 {
                    bed.tend();
                    got.extend(all(&mut reader));
                }
            }
            got.extend(all(&mut reader));
            assert_eq!(got.into_iter().map(|line| line.text).collect::<Vec<_>>(), numbers(18..60), "{format:?} {pace}");
        }
    }
}

#[test]
fn a_follower_goes_on_when_an_operator_moves_or_cuts_the_log() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    let query = || Query { follow: true, tail: Some(0), ..Query::default() };
    bed.write(STDOUT, b"before\n");
    let mut reader = Reader::open(&bed.logs(), query()).unwrap();
    let log = Stem::Stdout.log(&bed.logs());
    bed.write(STDOUT, b"one\n");
    fs::rename(&log, bed.folder.path().join("moved")).unwrap();
    bed.write(STDOUT, b"two\n");
    assert_eq!(all(&mut reader).len(), 2);
    fs::write(&log, "").unwrap();
    bed.write(STDOUT, b"3\n");
    assert_eq!(all(&mut reader)[0].text, "3");
    let mut rules = plan(LogFormat::Raw, 3);
    rules.rotate.compress = Compression::Zstd;
    bed.replan(rules);
    bed.write(STDOUT, b"4\n");
    fs::rename(&log, bed.folder.path().join("moved")).unwrap();
    bed.write(STDOUT, b"five\n");
    bed.tend();
    bed.write(STDOUT, b"six\n");
    let texts: Vec<String> = all(&mut reader).into_iter().map(|line| line.text).collect();
    assert_eq!(texts, ["4", "five", "six"]);
}

#[test]
fn a_follower_goes_on_across_changes_of_format() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    let mut reader = Reader::open(&bed.logs(), Query { follow: true, ..Query::default() }).unwrap();
    for (number, format) in [LogFormat::Text, LogFormat::Json, LogFormat::Raw, LogFormat::Text].into_iter().enumerate()
    {
        bed.write(STDOUT, format!("{number}\n").as_bytes());
        bed.replan(plan(format, 0));
        let texts: Vec<String> = all(&mut reader).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, [number.to_string()]);
    }
}

#[test]
fn a_reader_can_be_handed_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    let folder = tempfile::tempdir().unwrap();
    is_send(&Reader::open(folder.path(), Query::default()).unwrap());
}

#[test]
fn a_follower_whose_files_are_gone_goes_on_with_what_is_left() {
    let mut rules = plan(LogFormat::Raw, 1);
    rules.rotate.keep = 2;
    rules.rotate.compress = Compression::Zstd;
    let mut bed = Bed::new(rules);
    bed.write(STDOUT, b"half");
    let mut reader = Reader::open(&bed.logs(), Query { follow: true, ..Query::default() }).unwrap();
    assert_eq!(all(&mut reader).len(), 0);
    bed.write(STDOUT, b" and half\n");
    for number in 1..10 {
        bed.write(STDOUT, format!("{number}\n").as_bytes());
    }
    bed.tend();
    let texts: Vec<String> = all(&mut reader).into_iter().map(|line| line.text).collect();
    assert_eq!(texts, ["half and half", "8", "9"]);
}

#[test]
fn a_damaged_compressed_file_is_read_as_far_as_possible_and_told() {
    let mut rules = plan(LogFormat::Raw, 500_000);
    rules.rotate.compress = Compression::Gzip;
    let mut bed = Bed::new(rules);
    let lines: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    bed.write(STDOUT, lines.as_bytes());
    bed.tend();
    let listing = Listing::of(&bed.logs()).unwrap();
    let damaged = listing.contents(Stem::Stdout).next().unwrap().path(&bed.logs(), Part::Gzip);
    let bytes = fs::read(&damaged).unwrap();
    fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let mut reader = Reader::open(&bed.logs(), Query::default()).unwrap();
    let read = all(&mut reader);
    assert_eq!(read[0].text, "0");
    assert_eq!(read.last().unwrap().text, "99999");
    assert!(read.len() > 40_000 && read.len() < 100_000);
    let unreadable: Vec<_> = reader.unreadable().collect();
    assert!(matches!(&unreadable[..], [one] if one.log.ends_with("stdout.00000001")), "{unreadable:?}");
}

#[test]
fn a_folder_that_is_not_there_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    for query in [Query::default(), Query { tail: Some(3), follow: true, since_ms: Some(1), ..Query::default() }] {
        let mut reader = Reader::open(&folder.path().join("missing"), query).unwrap();
        assert_eq!(reader.read_line().unwrap(), None);
        assert_eq!(reader.read_line().unwrap(), None);
    }
}

#[test]
fn a_query_is_read_or_refused_with_the_reason() {
    let query = |since: Option<&str>, grep: Option<&str>| {
        let query = LogQuery { since: since.map(Into::into), grep: grep.map(Into::into), ..LogQuery::default() };
        Query::parse(&query, NOON_MS)
    };
    assert_eq!(query(Some("10m"), None).unwrap().since_ms, Some(NOON_MS - 600_000));
    assert_eq!(query(Some("2026-01-31T12:00:00Z"), None).unwrap().since_ms, Some(NOON_MS));
    assert!(matches!(query(Some("yesterday"), None), Err(QueryError::Since(_))));
    assert!(query(None, Some("a+")).unwrap().grep.unwrap().is_match(b"\xffaa"));
    assert_eq!(query(None, Some("a(")).unwrap_err().to_string(), "'a(' is not a regular expression: unclosed group");
}

#[test]
fn who_comes_back_goes_on_after_the_last_line() {
    for format in [LogFormat::Raw, LogFormat::Text, LogFormat::Json] {
        for came in 0..40 {
            let mut bed = Bed::new(plan(format, 7));
            let follow = |after| Query { follow: true, after, ..Query::default() };
            let write = |bed: &mut Bed, numbers: Range<usize>| {
                for number in numbers {
                    bed.write(if number % 3 == 0 { STDERR } else { STDOUT }, format!("{number}\n").as_bytes());
                }
            };
            write(&mut bed, 0..20);
            let mut reader = Reader::open(&bed.logs(), follow(None)).unwrap();
            let mut first = all(&mut reader);
            first.truncate(came);
            let after = first.last().and_then(|line| line.position.as_ref()).map(|text| text.parse().unwrap());
            bed.restart();
            write(&mut bed, 20..40);
            let mut reader = Reader::open(&bed.logs(), follow(after)).unwrap();
            let mut texts: Vec<usize> =
                first.into_iter().chain(all(&mut reader)).map(|line| line.text.parse().unwrap()).collect();
            texts.sort_unstable();
            assert_eq!(texts, (0..40).collect::<Vec<_>>(), "{format:?} after {came}");
        }
    }
}

#[test]
fn who_comes_back_to_a_log_that_a_guard_has_cut_is_not_told_it_all_again() {
    let mut bed = Bed::new(plan(LogFormat::Text, 0));
    for number in 0..10 {
        bed.write(STDOUT, format!("{number}\n").as_bytes());
    }
    let query = |after| Query { follow: true, after, ..Query::default() };
    let told = all(&mut Reader::open(&bed.logs(), query(None)).unwrap());
    let after = told.last().and_then(|line| line.position.as_ref()).map(|text| text.parse().unwrap());
    let log = Stem::Output.log(&bed.logs());
    let whole = fs::read(&log).unwrap();
    let cut = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(&log, &whole[..cut]).unwrap();
    let mut reader = Reader::open(&bed.logs(), query(after)).unwrap();
    assert_eq!(all(&mut reader), []);
    bed.restart();
    bed.write(STDOUT, b"9\n10\n");
    let texts: Vec<String> = all(&mut reader).into_iter().map(|line| line.text).collect();
    assert_eq!(texts, ["9", "10"]);
}

#[test]
fn who_comes_back_in_the_middle_of_a_long_line_goes_on_there() {
    let mut bed = Bed::new(plan(LogFormat::Raw, 0));
    let text = "x".repeat(200_000);
    bed.write(STDOUT, format!("{text}\n").as_bytes());
    let query = |after| Query { follow: true, after, ..Query::default() };
    let mut reader = Reader::open(&bed.logs(), query(None)).unwrap();
    let first = reader.read_line().unwrap().unwrap();
    assert!(first.continues);
    let after = first.position.as_ref().map(|text| text.parse().unwrap());
    let mut reader = Reader::open(&bed.logs(), query(after)).unwrap();
    let rest: String = all(&mut reader).into_iter().map(|line| line.text).collect();
    assert_eq!(format!("{}{rest}", first.text), text);
}
