//! A program that writes whatever a program can write: every byte of it is kept, and none is made up.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use menshen_tests::events::Mark;
use menshen_tests::wait::until;
use menshen_tests::{Bed, LogLine, State, Stream, Trees};

/// Longer than the longest line that is kept in one piece.
const LONG_LINE: usize = 1 << 20;

/// Every byte there is, lines longer than any buffer, empty lines, carriage returns, escapes, and no newline at the end.
fn chatter(seed: u8) -> Vec<u8> {
    let all: Vec<u8> = (0..=255).collect();
    let long =
        |length: usize, first: u8| (0..length).map(move |at| b'!' + (first + u8::try_from(at % 90).unwrap()) % 90);
    let mut bytes = all.clone();
    bytes.extend(b"\n\n\n\r\n\x1b[31mred\x1b[0m\n\xff\xfe not UTF-8 \xc3\n {\"like\": \"json\"}\n2026-01-31T12:00:00.123Z stderr+ like text\n");
    bytes.extend(long(LONG_LINE, seed));
    bytes.push(b'\n');
    // A piece of a long line may end within a character of several bytes.
    bytes.extend("x門神".repeat(30_000).bytes());
    bytes.push(b'\n');
    bytes.extend(long(64 << 10, seed));
    bytes.push(b'\n');
    bytes.extend(long((64 << 10) + 1, seed));
    bytes.push(b'\n');
    bytes.extend(all.repeat(500));
    bytes.extend(b"no newline at the end");
    bytes.push(seed);
    bytes
}

/// A program that has written its chatter to both streams and then runs on, or ends.
fn bed(log: &str, then: &str) -> Bed {
    let bed = Bed::new(Trees::Walk, "");
    bed.write("out", chatter(b'o' - b'!'));
    bed.write("err", chatter(b'e' - b'!'));
    let definition = format!(
        "[service.chatty]\ncommand = [\"sh\", \"-c\", \"cat out; cat err >&2; {then}\"]\n\
         restart.on_exit = {{ 0 = \"stop\" }}\n[service.chatty.log]\n{log}\n"
    );
    bed.and(&definition).up()
}

/// What `menshen logs` has of a stream, written into a pipe.
fn logs(bed: &Bed, stream: &str) -> Vec<u8> {
    bed.menshen(["logs", "chatty", stream, "--lines", "all"]).ended_with(0).stdout
}

/// The bytes of lines, put together again.
fn joined(lines: &[LogLine], stream: Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines.iter().filter(|line| line.stream == stream) {
        match &line.base64 {
            Some(base64) => bytes.extend(BASE64.decode(base64).unwrap()),
            None => bytes.extend(line.text.as_bytes()),
        }
        if !line.continues {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// What the log files of a stem hold together; none of them is compressed.
fn files(folder: &Path, stem: &str) -> Vec<u8> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut closed: Vec<String> =
        entries.filter(|name| name.starts_with(&format!("{stem}.0")) && name.ends_with(".log")).collect();
    closed.sort();
    // There is none for a moment after one was closed.
    let current = fs::read(folder.join(format!("{stem}.log"))).unwrap_or_default();
    closed.iter().flat_map(|name| fs::read(folder.join(name)).unwrap()).chain(current).collect()
}

/// Compares without printing megabytes.
fn assert_same(what: &str, left: &[u8], right: &[u8]) {
    if left != right {
        let at = left.iter().zip(right).position(|(left, right)| left != right).unwrap_or(left.len().min(right.len()));
        let near = |bytes: &[u8]| {
            bytes[at.saturating_sub(40).min(bytes.len())..(at + 40).min(bytes.len())].escape_ascii().to_string()
        };
        panic!("{what}: {} and {} bytes differ at {at}: {} and {}", left.len(), right.len(), near(left), near(right));
    }
}

#[test]
fn a_raw_log_is_what_was_written_byte_for_byte_while_the_program_runs() {
    for rotate in ["", "rotate = { size = \"256KiB\", compress = \"none\", keep = 0 }"] {
        let bed = bed(&format!("format = \"raw\"\n{rotate}"), "exec sleep 3600");
        for (stream, file) in [("--stdout", "out"), ("--stderr", "err")] {
            let written = fs::read(bed.path(file)).unwrap();
            let folder = bed.service("chatty").log_folder;
            let stem = stream.trim_start_matches("--");
            until("everything is in the files", || files(folder.as_ref(), stem).len() >= written.len());
            assert_same(&format!("the files of {stem} {rotate}"), &files(folder.as_ref(), stem), &written);
            assert_same(&format!("menshen logs {stream} {rotate}"), &logs(&bed, stream), &written);
        }
    }
}

#[test]
fn text_and_json_logs_lose_and_garble_nothing() {
    for format in ["text", "json"] {
        let bed = bed(&format!("format = \"{format}\""), "exit 0");
        bed.await_entry(Mark::BEGIN, "chatty", State::Stopped);
        let lines = || -> Vec<LogLine> {
            bed.menshen(["logs", "chatty", "--lines", "all", "--json"]).ended_with(0).json_lines()
        };
        for (stream, option, file) in [(Stream::Stdout, "--stdout", "out"), (Stream::Stderr, "--stderr", "err")] {
            let mut written = fs::read(bed.path(file)).unwrap();
            // With the end of the program ends its last line.
            written.push(b'\n');
            until("everything is in the log", || joined(&lines(), stream).len() >= written.len());
            assert_same(&format!("{format}, --json, {stream:?}"), &joined(&lines(), stream), &written);
            assert_same(&format!("{format}, {stream:?}"), &logs(&bed, option), &written);
        }
        assert!(lines().iter().all(|line| line.time.is_some()), "{format}: every line has its time");
    }
}

#[test]
fn a_json_log_is_a_file_of_json_lines() {
    let bed = bed("format = \"json\"", "exit 0");
    let folder = bed.await_state("chatty", State::Stopped).log_folder;
    let written = [fs::read(bed.path("out")).unwrap(), fs::read(bed.path("err")).unwrap()];
    let lines = || -> Vec<LogLine> {
        let bytes = files(folder.as_ref(), "output");
        let whole = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        whole.map(|line| serde_json::from_slice(line).unwrap()).collect()
    };
    for (stream, mut written) in Stream::ALL.into_iter().zip(written) {
        written.push(b'\n');
        until("everything is in the file", || joined(&lines(), stream).len() >= written.len());
        assert_same(stream.as_str(), &joined(&lines(), stream), &written);
    }
}

#[test]
fn the_last_words_of_a_program_that_was_killed_are_kept() {
    let bed = bed("format = \"raw\"", "kill -KILL $$$$");
    bed.await_entry(Mark::BEGIN, "chatty", State::Backoff);
    bed.menshen(["stop", "chatty"]).done();
    let folder = bed.service("chatty").log_folder;
    for (stem, file) in [("stdout", "out"), ("stderr", "err")] {
        let written = fs::read(bed.path(file)).unwrap();
        until("everything is in the files", || files(folder.as_ref(), stem).len() >= written.len());
        let kept = files(folder.as_ref(), stem);
        // It may have been started again before it was stopped.
        assert_same(stem, &kept[..written.len()], &written);
    }
}
