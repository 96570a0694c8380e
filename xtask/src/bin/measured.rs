//! The program `cargo xtask bench` has started, again and again: it does next to nothing, and writes down when it began and
//! when it ended. It is linked statically, so that what is measured is whoever starts it.
//!
//! `measured RECORDS live MILLISECONDS` ends by itself, `measured RECORDS stay` waits to be ended, and
//! `measured RECORDS write BYTES` writes lines to stdout as quickly as they are taken.
//!
//! A record is three 64-bit numbers in the machine's own order: its process, when it began and when it ended (0 if it has
//! not), both in nanoseconds of the monotonic clock.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::thread::sleep;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A program that nobody ends ends by itself: whatever goes wrong, nothing stays behind.
const STAY: Duration = Duration::from_secs(900);
/// So long is a line, its end included.
const LINE_BYTES: usize = 100;
/// So much is written at once, in lines.
const WRITE_LINES: usize = 640;

fn main() -> io::Result<()> {
    let began = now_ns();
    let arguments: Vec<String> = env::args().collect();
    let [_, records, does @ ..] = arguments.as_slice() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut records = OpenOptions::new().append(true).open(records)?;
    match does.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["live", milliseconds] => {
            sleep(Duration::from_millis(number(milliseconds)?));
            record(&mut records, began, now_ns())
        }
        ["stay"] => {
            record(&mut records, began, 0)?;
            sleep(STAY);
            Ok(())
        }
        ["write", bytes] => {
            record(&mut records, began, 0)?;
            write_lines(number(bytes)?)?;
            record(&mut records, began, now_ns())
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// One write, so that records of several processes do not mix.
fn record(records: &mut File, began: u64, ended: u64) -> io::Result<()> {
    let numbers = [u64::from(std::process::id()), began, ended];
    records.write_all(&numbers.map(u64::to_ne_bytes).concat())
}

fn write_lines(bytes: u64) -> io::Result<()> {
    let mut line = [b'x'; LINE_BYTES];
    line[LINE_BYTES - 1] = b'\n';
    let block = line.repeat(WRITE_LINES);
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    for _ in 0..bytes / block.len() as u64 {
        stdout.write_all(&block)?;
    }
    Ok(())
}
