//! A supervisor that runs, with everything it has started, told apart by a mark in the environment.

use std::cell::RefCell;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anstream::adapter::strip_str;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

use super::container::Container;
use super::peer::{Job, Peer, Start, Stop};
use crate::bench::program::{Program, ms_between, now_ns};

/// The variable that every process of a session has.
const MARK: &str = "MENSHEN_BENCH_SESSION";
/// A supervisor that has not stopped everything after this long is killed.
const STOP_MAX: Duration = Duration::from_secs(120);
/// A command that has not ended after this long is killed.
const COMMAND_MAX: Duration = Duration::from_secs(180);

/// What all sessions share.
#[derive(Debug)]
pub(super) struct Place {
    pub program: Program,
    /// Folders of sessions that have ended. They are removed last: ext4 searches long for a free inode right after many were
    /// freed, and the next session would seem slow.
    folders: RefCell<Vec<TempDir>>,
}

/// See the module. It ends with this, and so does what it runs.
pub(super) struct Session<'a> {
    peer: &'a dyn Peer,
    place: &'a Place,
    /// None when it was put aside.
    folder: Option<TempDir>,
    mark: String,
    /// The supervisor, where its command stays.
    root: Option<Child>,
    /// The machine it is part of, where that is not this one.
    container: Option<Container>,
    /// When its command was run.
    pub begun: u64,
}

impl Place {
    pub(super) fn new(program: Program) -> Self {
        Self { program, folders: RefCell::default() }
    }

    /// Configures a supervisor and starts it.
    pub(super) fn start<'a>(&'a self, peer: &'a dyn Peer, jobs: &[Job]) -> Result<Session<'a>, String> {
        self.program.forget()?;
        let folder = tempfile::Builder::new().prefix("menshen-peer-").tempdir();
        let folder = folder.map_err(|error| format!("a folder for {}: {error}", peer.name()))?;
        let mark = format!("{MARK}={}", folder.path().display());
        peer.configure(folder.path(), jobs)?;
        let (folder, begun) = (Some(folder), now_ns());
        let mut session = Session { peer, place: self, folder, mark, root: None, container: None, begun };
        session.container = peer.boot(session.folder(), &self.program, &session.quiet())?;
        let start = peer.start(session.folder());
        session.begun = now_ns();
        session.run(start)?;
        Ok(session)
    }
}

/// How the commands of a session are run: with its mark, and nobody to talk to but a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quiet<'a> {
    folder: &'a Path,
    mark: &'a str,
}

impl Quiet<'_> {
    /// The variable and its value.
    pub(super) const fn mark(&self) -> &str {
        self.mark
    }

    pub(super) fn make<'c>(&self, command: &'c mut Command) -> Result<&'c mut Command, String> {
        let failed = |error: std::io::Error| format!("a file for what is said: {error}");
        let said = fs::File::options().create(true).append(true).open(self.folder.join("said")).map_err(failed)?;
        let again = said.try_clone().map_err(failed)?;
        Ok(command.env(MARK, self.folder).stdin(Stdio::null()).stdout(said).stderr(again))
    }
}

impl Session<'_> {
    fn run(&mut self, start: Start) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("starting {}: {error}", self.peer.name());
        match start {
            Start::Stays(mut command) => self.root = Some(self.quiet().make(&mut command)?.spawn().map_err(failed)?),
            Start::Returns(mut command) => {
                let asked = finished(self.quiet().make(&mut command)?.spawn().map_err(failed)?, COMMAND_MAX);
                asked.map_err(|why| format!("{} {why}: {}", shown(&command), self.said()))?;
            }
        }
        Ok(())
    }

    fn quiet(&self) -> Quiet<'_> {
        Quiet { folder: self.folder(), mark: &self.mark }
    }

    /// The last that it said.
    fn said(&self) -> String {
        last_words(&fs::read_to_string(self.folder().join("said")).unwrap_or_default())
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new(""), TempDir::path)
    }

    pub(super) fn log(&self, job: &str) -> PathBuf {
        self.peer.log(self.folder(), job)
    }

    /// How long asking for the state of all programs takes, in milliseconds.
    pub(super) fn list(&self) -> Result<f64, String> {
        let mut list = self.peer.list(self.folder())?;
        let begun = now_ns();
        let asked = self.quiet().make(&mut list)?.spawn().map_err(|error| format!("{}: {error}", shown(&list)))?;
        finished(asked, COMMAND_MAX).map_err(|why| format!("{} {why}", shown(&list)))?;
        Ok(ms_between(begun, now_ns()))
    }

    /// The processes that supervise: all of the session's but the programs, and what runs the machine they are on.
    pub(super) fn supervisors(&self) -> Vec<u32> {
        let container = self.container.as_ref().map(Container::pid);
        let others = self.processes().into_iter().filter(|pid| !self.place.program.is(*pid));
        others.filter(|pid| Some(*pid) != container).collect()
    }

    fn programs(&self) -> Result<Vec<u32>, String> {
        if self.container.is_some() {
            // What they write down are their numbers there.
            return Ok(self.processes().into_iter().filter(|pid| self.place.program.is(*pid)).collect());
        }
        Ok(self.place.program.lives()?.iter().map(|life| life.pid).collect())
    }

    /// Every process that has the mark.
    fn processes(&self) -> Vec<u32> {
        all_processes().filter(|pid| self.is_marked(*pid)).collect()
    }

    /// Every one that may still be there of a session that is over: also programs without the mark, which not every supervisor
    /// hands on. No other session's are there then.
    fn leftovers(&self) -> Vec<u32> {
        all_processes().filter(|pid| self.is_marked(*pid) || self.place.program.is(*pid)).collect()
    }

    fn is_marked(&self, pid: u32) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == self.mark.as_bytes())
    }

    /// Has everything stopped. Says how long it took until no process of it was left, in milliseconds.
    pub(super) fn stop(mut self) -> Result<f64, String> {
        let stop = self.peer.stop(self.folder());
        let supervisors = if matches!(stop, Stop::Programs(_)) { Vec::new() } else { self.supervisors() };
        let processes: Vec<OwnedFd> = self.programs()?.into_iter().chain(supervisors).filter_map(open).collect();
        let begun = now_ns();
        let asking = self.ask(stop)?;
        let ended = all_end(&processes, STOP_MAX);
        let took = ms_between(begun, now_ns());
        if let Some(asking) = asking {
            // What it says of the others does not count: they have ended, or they have not.
            let _ = finished(asking, if ended { COMMAND_MAX } else { Duration::ZERO });
        }
        if !ended {
            return Err(format!("had not stopped everything after {} s", STOP_MAX.as_secs()));
        }
        if let Some(mut root) = self.root.take() {
            root.wait().map_err(|error| format!("waiting for {}: {error}", self.peer.name()))?;
        }
        Ok(took)
    }

    fn ask(&mut self, stop: Stop) -> Result<Option<Child>, String> {
        let failed = |error: std::io::Error| format!("stopping: {error}");
        match stop {
            Stop::Command(mut command) | Stop::Programs(mut command) => {
                self.quiet().make(&mut command)?.spawn().map(Some).map_err(failed)
            }
            Stop::Signal(signal) => {
                let root = self.root.as_ref().and_then(|root| open(root.id())).ok_or("the supervisor is gone")?;
                pidfd_send_signal(root, signal).map_err(|error| failed(error.into()))?;
                Ok(None)
            }
        }
    }
}

impl Session<'_> {
    /// Kills those it finds until it finds none several times in a row: of a process that is just being executed nobody can read
    /// the environment, and with it the mark.
    fn end(&mut self, find: impl Fn(&Self) -> Vec<u32>) {
        const TRIES: usize = 100;
        const IN_A_ROW: usize = 3;
        let mut found_none = 0;
        for _ in 0..TRIES {
            let left = find(self);
            for process in left.iter().copied().filter_map(open) {
                // One that ends by itself meanwhile needs no more.
                let _ = pidfd_send_signal(process, Signal::KILL);
            }
            if let Some(root) = &mut self.root {
                let _ = root.try_wait();
            }
            found_none = if left.is_empty() { found_none + 1 } else { 0 };
            if found_none == IN_A_ROW {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.container = None;
        // What supervises goes first, or it would start the programs again.
        self.end(Self::supervisors);
        // Of a program that lives no record may tell yet.
        self.end(Self::leftovers);
        self.place.program.end_all();
        self.place.folders.borrow_mut().extend(self.folder.take());
    }
}

/// Waits for a command that is to succeed within a time.
fn finished(mut command: Child, within: Duration) -> Result<(), String> {
    // One without a number has ended.
    let in_time = open(command.id()).is_none_or(|process| all_end(&[process], within));
    if !in_time {
        // It may have ended meanwhile.
        let _ = command.kill();
    }
    let status = command.wait().map_err(|error| format!("cannot be waited for: {error}"))?;
    match (in_time, status.success()) {
        (true, true) => Ok(()),
        (true, false) => Err(format!("ended with {status}")),
        (false, _) => Err(format!("had not ended after {} s", within.as_secs())),
    }
}

/// The last lines, without what draws a screen.
fn last_words(said: &str) -> String {
    const LINES: usize = 3;
    let said = strip_str(said).to_string();
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("; ")
}

/// A command for people, who know where their programs are.
pub(super) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = [program].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn all_processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn open(pid: u32) -> Option<OwnedFd> {
    pidfd_open(i32::try_from(pid).ok().and_then(Pid::from_raw)?, PidfdFlags::empty()).ok()
}

/// Whether all processes end within a time.
fn all_end(processes: &[OwnedFd], within: Duration) -> bool {
    let end = now_ns() + u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
    processes.iter().all(|process| {
        let left = Duration::from_nanos(end.saturating_sub(now_ns()));
        let left =
            Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left)).is_ok_and(|ready| ready > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_command_that_failed_the_words_are_told_and_not_how_they_were_drawn() {
        let said = "one\ntwo\n\x1b[?2026l\x1b[31m✗\x1b[0m three\n\nfour\n\x1b[?2026h\x1b[?25h\x1b[?2026l\n";
        assert_eq!(last_words(said), "two; ✗ three; four");
        let command = Command::new("/somewhere/bin/pitchfork");
        assert_eq!(shown(&command), "pitchfork");
    }
}
