//! The measured program: built, started bare, and what it wrote down.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

use super::run_folder;
use crate::shell::{cargo, root, run};

/// Nothing here takes longer, unless something is wrong.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(120);
/// How often something is looked at that is waited for. What is measured does not depend on it unless it says so.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// And where what is measured does: but four times as long as a look takes at least, so that it is not of the looking.
const LOOK_AGAIN_SOON: Duration = Duration::from_micros(500);
const RECORD_BYTES: usize = 24;

/// The measured program, and where it writes down what it does: in memory, where there is a file system for that.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    folder: TempDir,
}

/// One life of the program, in nanoseconds of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub pid: u32,
    /// When it executed its first statement.
    pub began: u64,
    /// When it wrote this down, the last that it did; 0 while it lives.
    pub ended: u64,
}

/// Builds it.
pub(super) fn build() -> Result<PathBuf, String> {
    let mut build = cargo();
    build.args(["rustc", "--release", "--quiet", "--package", "xtask", "--bin", "measured"]);
    // No dynamic linker and no relocation, and the clock is read before anything else.
    build.args(["--", "-C", "target-feature=+crt-static", "-C", "relocation-model=static"]);
    if cfg!(target_arch = "x86_64") {
        build.args(["-C", "link-arg=-Wl,--entry=first_instruction"]);
    }
    run(&mut build)?;
    Ok(root().join("target/release/measured"))
}

impl Program {
    pub(super) fn new(path: PathBuf) -> Result<Self, String> {
        let folder = run_folder::in_memory("menshen-bench-");
        let program = Self { path, folder: folder.map_err(|error| format!("a folder for records: {error}"))? };
        program.forget()?;
        Ok(program)
    }

    /// Its command: the program, where it writes, and what it is to do.
    pub(super) fn words(&self, does: &[&str]) -> Vec<String> {
        let paths = [&self.path, &self.records()].map(|path| path.display().to_string());
        paths.into_iter().chain(does.iter().map(|word| (*word).to_owned())).collect()
    }

    /// Ready to be started as barely as the standard library can: no shell, no environment, no pipes.
    pub(super) fn bare(&self, does: &[&str]) -> Command {
        let words = self.words(does);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Starts so many that stay.
    pub(super) fn start_bare(&self, count: usize) -> Result<Bare, String> {
        let mut bare = Bare(Vec::with_capacity(count));
        for _ in 0..count {
            bare.0.push(self.bare(&["stay"]).spawn().map_err(|error| format!("starting the program: {error}"))?);
        }
        Ok(bare)
    }

    /// What it has written down so far.
    pub(super) fn lives(&self) -> Result<Vec<Life>, String> {
        let bytes = fs::read(self.records()).map_err(|error| format!("reading records: {error}"))?;
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let life = |record: &[u8]| Life {
            pid: u32::try_from(number(&record[..8])).unwrap_or(0),
            began: number(&record[8..16]),
            ended: number(&record[16..]),
        };
        Ok(bytes.chunks_exact(RECORD_BYTES).map(life).collect())
    }

    /// Waits until it has written down so much.
    pub(super) fn await_lives(&self, count: usize) -> Result<Vec<Life>, String> {
        let enough = || {
            let length = fs::metadata(self.records()).map_or(0, |metadata| metadata.len());
            (length >= (count * RECORD_BYTES) as u64).then_some(())
        };
        wait_until(&format!("{count} records of the program"), enough)?;
        self.lives()
    }

    /// Begins the records anew.
    pub(super) fn forget(&self) -> Result<(), String> {
        File::create(self.records()).map(drop).map_err(|error| format!("making a file for records: {error}"))
    }

    /// Whether a process is the program.
    pub(super) fn is(&self, pid: u32) -> bool {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == self.path)
    }

    /// Ends whatever is left of it, by its records.
    pub(super) fn end_all(&self) {
        for life in self.lives().unwrap_or_default() {
            let Some(pidfd) = i32::try_from(life.pid)
                .ok()
                .and_then(Pid::from_raw)
                .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            else {
                continue;
            };
            // The descriptor means one process from here on; whether it is the program is looked up after.
            if self.is(life.pid) {
                // One that ends by itself meanwhile needs no more.
                let _ = pidfd_send_signal(pidfd, Signal::KILL);
            }
        }
    }

    /// What has to be where it runs, under the same names.
    pub(super) fn paths(&self) -> [&Path; 2] {
        [&self.path, self.folder.path()]
    }

    fn records(&self) -> PathBuf {
        self.folder.path().join("records")
    }
}

/// Programs that were started bare. They end with this.
#[derive(Debug)]
pub(super) struct Bare(Vec<Child>);

impl Bare {
    /// Asks each to end, and waits for each.
    pub(super) fn end(&mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("ending the program: {error}");
        for child in &self.0 {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("a process without a number")?;
            rustix::process::kill_process(pid, Signal::TERM).map_err(|error| failed(error.into()))?;
        }
        // The signal ends it: it knows no other answer.
        self.0.drain(..).try_for_each(|mut child| child.wait().map(drop).map_err(failed))
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended needs no more.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Now, by the clock the program writes down.
pub(super) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// From one instant to another, in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "what is measured is far shorter than 104 days")]
pub(super) fn ms_between(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}

/// Looks until there is something; not for ever.
pub(super) fn wait_until<T>(what: &str, look: impl FnMut() -> Option<T>) -> Result<T, String> {
    wait_within(WAIT_MAX, look).ok_or_else(|| format!("waited {} s in vain for {what}", WAIT_MAX.as_secs()))
}

/// Looks until there is something, or the time is over.
pub(super) fn wait_within<T>(time: Duration, look: impl FnMut() -> Option<T>) -> Option<T> {
    wait(time, look, |_| LOOK_AGAIN)
}

/// The same, where the instant is measured at which there is something.
pub(super) fn wait_closely<T>(time: Duration, look: impl FnMut() -> Option<T>) -> Option<T> {
    wait(time, look, |looked| LOOK_AGAIN_SOON.max(looked * 4))
}

/// `rest` says how long not to look after a look that took so long.
fn wait<T>(time: Duration, mut look: impl FnMut() -> Option<T>, rest: impl Fn(Duration) -> Duration) -> Option<T> {
    let begun = Instant::now();
    loop {
        let looking = Instant::now();
        let found = look();
        if found.is_some() || begun.elapsed() > time {
            return found;
        }
        std::thread::sleep(rest(looking.elapsed()));
    }
}
