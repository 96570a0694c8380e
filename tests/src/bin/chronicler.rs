//! A program for the torture of guards: it writes numbered lines, and notes of itself what a checker has to know, so that
//! nobody needs the guard's word for it.
//!
//! `chronicler FOLDER NAME [lives=FROM-TO] [codes=A,B] [child] [deaf] [halting]`: it lives for a time within these bounds, in
//! milliseconds, or until it is ended; ends with one of these codes in turn; starts a child that writes, too, and outlives
//! it; passes over SIGTERM; halts within each line, after the first two words.
//!
//! In its folder it keeps `NAME.notes` (`start LIFE PID AT`, `end LIFE CODE AT`, `twin LIFE PID`), with milliseconds since the
//! machine was started, and, for each life and writer,
//! how many lines have been written, `NAME.LIFE.WRITER.OUT` and `….ERR`.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

/// From one line to the next.
const LINE_EVERY: Duration = Duration::from_millis(10);
/// How long it halts within a line, if it does.
const HALT: Duration = Duration::from_millis(2);
/// Makes lines as long as those of real programs.
const FILLING: &str =
    "and so it went on, line after line, as it had been told, and nobody knew whether somebody read along";
/// A program that nobody ends ends by itself: whatever goes wrong, nothing stays behind.
const STAY: Duration = Duration::from_secs(3600);

/// What it was told.
struct Told {
    folder: PathBuf,
    name: String,
    lives_ms: Option<(u64, u64)>,
    codes: Vec<u8>,
    child: bool,
    deaf: bool,
    halting: bool,
}

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [mode, folder, name, life] = arguments.as_slice()
        && mode == "child"
    {
        return child(Path::new(folder), name, life);
    }
    let told = parse(&arguments).ok_or(io::ErrorKind::InvalidInput)?;
    if told.deaf {
        be_deaf()?;
    }
    // Held as long as this process lives, and by nobody else: what it starts does not inherit it.
    let lock = claim(&told.folder, &format!("{}.main", told.name))?;
    let path = told.folder.join(format!("{}.notes", told.name));
    let mut notes = OpenOptions::new().create(true).append(true).open(&path)?;
    let life = fs::read_to_string(&path)?.lines().filter(|line| line.starts_with("start ")).count() + 1;
    if lock.is_none() {
        return note(&mut notes, &format!("twin {life} {}", std::process::id())).map(|()| ExitCode::FAILURE);
    }
    note(&mut notes, &format!("start {life} {} {}", std::process::id(), now_ms()))?;
    if told.child {
        let mut child = Command::new(env::current_exe()?);
        child.arg("child").arg(&told.folder).args([&told.name, &life.to_string()]).stdin(Stdio::null());
        child.spawn()?;
    }
    let until = Instant::now() + told.lives_ms.map_or(STAY, |(from, to)| within(from, to, life));
    let halt = if told.halting { HALT } else { Duration::ZERO };
    write(&told.folder, &told.name, &life.to_string(), "main", until, halt)?;
    let code = told.codes.get(life % told.codes.len().max(1)).copied().unwrap_or(0);
    note(&mut notes, &format!("end {life} {code} {}", now_ms()))?;
    Ok(ExitCode::from(code))
}

fn now_ms() -> u64 {
    menshen_os::clock::monotonic_ns() / 1_000_000
}

/// The child of a life: it writes until it is ended.
fn child(folder: &Path, name: &str, life: &str) -> io::Result<ExitCode> {
    if claim(folder, &format!("{name}.child"))?.is_none() {
        let mut notes = OpenOptions::new().append(true).open(folder.join(format!("{name}.notes")))?;
        note(&mut notes, &format!("twin {life} {}", std::process::id()))?;
        return Ok(ExitCode::FAILURE);
    }
    write(folder, name, life, "child", Instant::now() + STAY, Duration::ZERO).map(|()| ExitCode::SUCCESS)
}

fn parse(arguments: &[String]) -> Option<Told> {
    let [folder, name, rest @ ..] = arguments else { return None };
    let mut told = Told {
        folder: folder.into(),
        name: name.clone(),
        lives_ms: None,
        codes: Vec::new(),
        child: false,
        deaf: false,
        halting: false,
    };
    for word in rest {
        match word.split_once('=') {
            Some(("lives", range)) => {
                let (from, to) = range.split_once('-')?;
                told.lives_ms = Some((from.parse().ok()?, to.parse().ok()?));
            }
            Some(("codes", codes)) => told.codes = codes.split(',').map(str::parse).collect::<Result<_, _>>().ok()?,
            None if word == "child" => told.child = true,
            None if word == "deaf" => told.deaf = true,
            None if word == "halting" => told.halting = true,
            Some(_) | None => return None,
        }
    }
    Some(told)
}

/// Passes over SIGTERM: it goes where nobody looks.
fn be_deaf() -> io::Result<()> {
    let never_looked_at = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, never_looked_at).map(drop)
}

/// A lock nobody else holds; `None` if somebody does.
fn claim(folder: &Path, name: &str) -> io::Result<Option<&'static File>> {
    let file = File::create(folder.join(format!("{name}.lock")))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Box::leak(Box::new(file)))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// In one write, so that a note is there whole or not at all.
fn note(notes: &mut File, text: &str) -> io::Result<()> {
    notes.write_all(format!("{text}\n").as_bytes())
}

/// A time within bounds that differs from one life to the next.
fn within(from_ms: u64, to_ms: u64, life: usize) -> Duration {
    let spread = (life as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    Duration::from_millis(from_ms + spread % (to_ms - from_ms).max(1))
}

/// Writes lines to both streams. Each is written before it is counted: at any instant there is at most one more than the count.
fn write(folder: &Path, name: &str, life: &str, writer: &str, until: Instant, halt: Duration) -> io::Result<()> {
    let count = |stream: &str| File::create(folder.join(format!("{name}.{life}.{writer}.{stream}")));
    let counts = [count("out")?, count("err")?];
    // Written at once, so that it is in the pipe whole or not at all.
    let streams: [&mut dyn io::Write; 2] = [&mut unbuffered(1)?, &mut unbuffered(2)?];
    let mut number = 0_u64;
    while Instant::now() < until {
        number += 1;
        let (begin, rest) = (format!("{name} {life}"), format!(" {writer} {number} {FILLING}\n"));
        for index in 0..streams.len() {
            if halt.is_zero() {
                streams[index].write_all(format!("{begin}{rest}").as_bytes())?;
            } else {
                streams[index].write_all(begin.as_bytes())?;
                std::thread::sleep(halt);
                streams[index].write_all(rest.as_bytes())?;
            }
            counts[index].write_all_at(&number.to_le_bytes(), 0)?;
        }
        std::thread::sleep(LINE_EVERY);
    }
    Ok(())
}

/// One of the standard streams, without the library's buffer.
fn unbuffered(number: u32) -> io::Result<File> {
    OpenOptions::new().write(true).open(format!("/proc/self/fd/{number}"))
}
