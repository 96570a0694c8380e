//! A guard that is killed again and again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use menshen_guard::logs::{LogId, Logs, Pattern};
use menshen_plan::definition::LogFormat;
use regex::bytes::Regex;

use crate::bed::{DEADLINE, Program, assert_same, log_folder, numbers, plan, program_end, spec, whole};

const NAME: &str = "killed::no_line_is_lost_doubled_or_out_of_order_however_often_the_guard_is_killed";
/// Makes the test the guard that is killed, which works in this folder.
const FOLDER: &str = "MENSHEN_TEST_GUARD_FOLDER";

fn guard(folder: &Path) -> Logs {
    let logs = Logs::start(|_| ()).unwrap();
    let mut spec = spec(folder, 1, plan(LogFormat::Raw, 500_000));
    // Somebody listens, so that lines are read back, too.
    spec.patterns = vec![Pattern { id: 1, regex: Regex::new("^7+$").unwrap() }];
    logs.attach(LogId(1), spec).unwrap();
    logs
}

/// How many bytes have been closed or written, roughly: compressed files are counted as they are.
fn written(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(log_folder(folder, 1)) else { return 0 };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let logs = names.filter(|name| name.starts_with("stdout.") && !name.ends_with(".idx"));
    let sequences = logs.filter_map(|name| name.get(7..15)?.parse::<u64>().ok());
    let current = fs::metadata(log_folder(folder, 1).join("stdout.log")).map_or(0, |metadata| metadata.len());
    sequences.max().unwrap_or(0) * 500_000 + current
}

#[test]
fn no_line_is_lost_doubled_or_out_of_order_however_often_the_guard_is_killed() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let _logs = guard(folder.as_ref());
        loop {
            std::thread::park();
        }
    }
    const LAST: u64 = 8_000_000;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    drop(spec(folder, 1, plan(LogFormat::Raw, 0)));
    // A pipe that nobody holds forgets what is in it. The program may end while there is no guard; something of it stays.
    let _held = program_end(folder, 1, "stdout");
    let mut program = Program::seq(program_end(folder, 1, "stdout"), LAST);
    let mut random = 1_u64;
    let mut kills = 0;
    let end = Instant::now() + DEADLINE;
    while !program.has_ended() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture"]).env(FOLDER, folder).stdout(Stdio::null());
        let mut guard = Program::start(&mut command);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let goal = written(folder) + (random >> 33) % 3_000_000;
        while written(folder) < goal && !program.has_ended() {
            assert!(!guard.has_ended() && Instant::now() < end, "the guard works");
        }
        // Somewhere within what it does just now.
        let moment = Instant::now() + Duration::from_nanos((random >> 20) % 300_000);
        while Instant::now() < moment {}
        guard.kill();
        kills += 1;
    }
    let logs = guard(folder);
    logs.stop();
    assert_same(&whole(&log_folder(folder, 1), "stdout"), &numbers(LAST));
    assert!(kills >= 10, "{kills} kills");
}
