//! The program `cargo xtask bench` has started, again and again: it does next to nothing, and writes down when it began and
//! when it ended. It is linked statically, and reads the clock with its first instruction, so that what is measured is
//! whoever starts it: what a C library does before `main` is the program's own affair, and on virtual machines, where it asks
//! the processor for its features, a long one.
//!
//! `measured RECORDS live MILLISECONDS` ends by itself, `measured RECORDS die MILLISECONDS` does so as one that has failed,
//! `measured RECORDS stay` waits to be ended,
//! `measured RECORDS write BYTES` writes lines to stdout as quickly as they are taken, and `measured RECORDS pour BYTES` does
//! the same and then waits to be ended. `measured RECORDS wander SEED` writes and rests at random until it dies at random.
//!
//! A record is three 64-bit numbers in the machine's own order: its process, when it began and when it ended (0 if it has
//! not), both in nanoseconds of the monotonic clock.

#[cfg(not(target_arch = "x86_64"))]
#[path = "../first_instruction/other.rs"]
mod first_instruction;
#[cfg(target_arch = "x86_64")]
#[path = "../first_instruction/x86_64.rs"]
mod first_instruction;
#[path = "../lines.rs"]
mod lines;

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A program that nobody ends ends by itself: whatever goes wrong, nothing stays behind.
const STAY: Duration = Duration::from_secs(900);

fn main() -> io::Result<ExitCode> {
    let began = first_instruction::began_ns().unwrap_or_else(now_ns);
    let arguments: Vec<String> = env::args().collect();
    let [_, records, does @ ..] = arguments.as_slice() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut records = OpenOptions::new().append(true).open(records)?;
    match does.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["live" | "die", milliseconds] => {
            sleep(Duration::from_millis(number(milliseconds)?));
            record(&mut records, began, now_ns())?;
        }
        ["stay"] => {
            record(&mut records, began, 0)?;
            sleep(STAY);
        }
        ["write", bytes] => {
            record(&mut records, began, 0)?;
            write_lines(number(bytes)?)?;
            record(&mut records, began, now_ns())?;
        }
        ["pour", bytes] => {
            record(&mut records, began, 0)?;
            write_lines(number(bytes)?)?;
            record(&mut records, began, now_ns())?;
            sleep(STAY);
        }
        ["wander", seed] => return wander(number(seed)?),
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    }
    Ok(if does[0] == "die" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
    let mut block = lines::block();
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    for number in 0..bytes / lines::BLOCK_BYTES as u64 {
        lines::number(&mut block, number);
        stdout.write_all(&block)?;
    }
    Ok(())
}

/// Every life of a program is another: its number counts, too.
fn wander(seed: u64) -> io::Result<ExitCode> {
    const LINES_MAX: usize = 50;
    const REST_MS_MAX: u64 = 1500;
    /// Of so many rests one is the last.
    const RESTS: u32 = 40;
    let mut random = fastrand::Rng::with_seed(seed ^ u64::from(std::process::id()) << 32);
    let block = lines::block();
    loop {
        let lines = &block[..random.usize(1..=LINES_MAX) * lines::LINE_BYTES];
        if random.bool() {
            io::stdout().write_all(lines)?;
        } else {
            io::stderr().write_all(lines)?;
        }
        sleep(Duration::from_millis(random.u64(10..=REST_MS_MAX)));
        match random.u32(0..RESTS) {
            0 => return Ok(ExitCode::from(random.u8(..3))),
            1 => std::process::abort(),
            _ => {}
        }
    }
}
