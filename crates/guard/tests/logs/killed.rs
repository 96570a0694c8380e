//! A guard that is killed again and again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use menshen_guard::logs::read::{Query, Reader};
use menshen_guard::logs::{LogId, Logs, Pattern};
use menshen_os::output::Spool;
use menshen_plan::definition::LogFormat;
use regex::bytes::Regex;

use crate::bed::{DEADLINE, Program, assert_same, log_folder, numbers, plan, program_end, spec, whole};

/// Makes the test the guard that is killed, which works in this folder.
const FOLDER: &str = "MENSHEN_TEST_GUARD_FOLDER";
/// When a log is closed, in bytes.
const SIZE: u64 = 500_000;

fn guard(folder: &Path, format: LogFormat) -> Logs {
    let logs = Logs::start(folder, |_| ()).unwrap();
    let mut spec = spec(folder, 1, plan(format, SIZE));
    // Somebody listens, so that lines are read back, too.
    spec.patterns = vec![Pattern { id: 1, regex: Regex::new("^7+$").unwrap() }];
    logs.attach(LogId(1), spec).unwrap();
    logs
}

/// How many bytes have been closed or written, roughly: compressed files are counted as they are.
fn written(folder: &Path, stem: &str) -> u64 {
    let Ok(entries) = fs::read_dir(log_folder(folder, 1)) else { return 0 };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let logs = names.filter(|name| name.starts_with(stem) && !name.ends_with(".idx"));
    let sequences = logs.filter_map(|name| name.get(stem.len() + 1..stem.len() + 9)?.parse::<u64>().ok());
    let current = fs::metadata(log_folder(folder, 1).join(format!("{stem}.log"))).map_or(0, |metadata| metadata.len());
    sequences.max().unwrap_or(0) * SIZE + current
}

/// What lines say, as the program wrote it.
fn texts(folder: &Path) -> Vec<u8> {
    let mut reader = Reader::open(&log_folder(folder, 1), Query::default()).unwrap();
    let mut bytes = Vec::new();
    while let Some(line) = reader.read_line().unwrap() {
        bytes.extend_from_slice(line.text.as_bytes());
        if !line.continues {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Kills guards while a program writes its numbers up to the last; `name` is that of the test.
fn numbers_survive(name: &str, format: LogFormat, last: u64) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let _logs = guard(folder.as_ref(), format);
        loop {
            std::thread::park();
        }
    }
    let stem = if format == LogFormat::Raw { "stdout" } else { "output" };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    drop(spec(folder, 1, plan(format, 0)));
    // A pipe that nobody holds forgets what is in it. The program may end while there is no guard; something of it stays.
    let _held = program_end(folder, 1, "stdout");
    let _spool = Spool::open(&folder.join("spool")).unwrap();
    let mut program = Program::seq(program_end(folder, 1, "stdout"), last);
    let mut random = 1_u64;
    let mut kills = 0;
    let end = Instant::now() + DEADLINE;
    while !program.has_ended() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture"]).env(FOLDER, folder).stdout(Stdio::null());
        let mut guard = Program::start(&mut command);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let goal = written(folder, stem) + (random >> 33) % 3_000_000;
        while written(folder, stem) < goal && !program.has_ended() {
            assert!(!guard.has_ended() && Instant::now() < end, "the guard works");
        }
        // Somewhere within what it does just now.
        let moment = Instant::now() + Duration::from_nanos((random >> 20) % 300_000);
        while Instant::now() < moment {}
        guard.kill();
        kills += 1;
    }
    let logs = guard(folder, format);
    logs.stop();
    let kept = if format == LogFormat::Raw { whole(&log_folder(folder, 1), "stdout") } else { texts(folder) };
    assert_same(&kept, &numbers(last));
    assert!(kills >= 10, "{kills} kills");
}

#[test]
fn no_byte_is_lost_doubled_or_out_of_order_however_often_the_guard_is_killed() {
    const NAME: &str = "killed::no_byte_is_lost_doubled_or_out_of_order_however_often_the_guard_is_killed";
    numbers_survive(NAME, LogFormat::Raw, 8_000_000);
}

#[test]
fn no_line_of_text_is_lost_doubled_or_out_of_order_however_often_the_guard_is_killed() {
    const NAME: &str = "killed::no_line_of_text_is_lost_doubled_or_out_of_order_however_often_the_guard_is_killed";
    numbers_survive(NAME, LogFormat::Text, 1_500_000);
}

#[test]
fn no_line_of_json_is_lost_doubled_or_out_of_order_however_often_the_guard_is_killed() {
    const NAME: &str = "killed::no_line_of_json_is_lost_doubled_or_out_of_order_however_often_the_guard_is_killed";
    numbers_survive(NAME, LogFormat::Json, 1_500_000);
}
