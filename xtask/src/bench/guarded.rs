//! A guard: the real `menshen`, in the background, with a folder of its own for everything it makes.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value as Json;
use tempfile::TempDir;

use super::program::{Program, ms_between, now_ns};
use super::run_folder;

/// A guard that has not ended after this long is killed.
const END_MAX: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// How to start guards.
#[derive(Debug)]
pub(super) struct Menshen {
    pub command: PathBuf,
    pub program: Program,
    /// Folders of guards that have ended. They are removed last: ext4 searches long for a free inode right after many were
    /// freed, and the next guard would seem slow.
    pub homes: RefCell<Vec<TempDir>>,
}

/// A guard that runs. It ends with this, and so does what it guards.
#[derive(Debug)]
pub(super) struct Guarded<'a> {
    menshen: &'a Menshen,
    /// None when it was put aside.
    home: Option<TempDir>,
    /// Where its pipes are.
    _run: TempDir,
    pid: u32,
    /// None when it has ended.
    process: Option<OwnedFd>,
}

/// A service of a definition: the measured program, and whatever else is said about it.
pub(super) struct Service<'a> {
    pub name: String,
    pub command: Vec<String>,
    /// Lines of TOML, in the service's own table.
    pub more: Cow<'a, str>,
}

impl Menshen {
    /// So many services that stay, on their own.
    pub(super) fn staying(&self, count: usize) -> Vec<Service<'static>> {
        let service =
            |number| Service { name: format!("s{number}"), command: self.program.words(&["stay"]), more: "".into() };
        (0..count).map(service).collect()
    }

    /// Writes a definition and has it guarded. Returns when the guard answers.
    pub(super) fn guard(&self, services: &[Service<'_>]) -> Result<Guarded<'_>, String> {
        self.guard_with("", services)
    }

    /// The same, with lines of TOML about the guard itself.
    pub(super) fn guard_with(&self, about: &str, services: &[Service<'_>]) -> Result<Guarded<'_>, String> {
        let failed = |error: std::io::Error| format!("a folder for the guard: {error}");
        self.program.forget()?;
        let home = tempfile::Builder::new().prefix("menshen-bench-").tempdir().map_err(failed)?;
        let run = run_folder::link(home.path()).map_err(failed)?;
        fs::write(home.path().join("menshen.toml"), definition(about, services)).map_err(failed)?;
        let mut up = self.command(home.path());
        up.args(["up", "--detach", "--json", "--file", "menshen.toml"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let up = up.output().map_err(|error| format!("menshen up: {error}"))?;
        let answer = serde_json::from_slice(&up.stdout).unwrap_or(Json::Null);
        let Some(pid) = answer["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()) else {
            // Whatever it started has no number here.
            let _ = self.command(home.path()).arg("down").status();
            return Err(format!("menshen up ended with {}: {}", up.status, String::from_utf8_lossy(&up.stderr)));
        };
        Ok(Guarded { menshen: self, home: Some(home), _run: run, pid, process: open(pid) })
    }

    fn command(&self, home: &Path) -> Command {
        let mut command = Command::new(&self.command);
        command
            .current_dir(home)
            .env("MENSHEN_HOME", home)
            .env_remove("MENSHEN_PROFILE")
            .env_remove("MENSHEN_INSTANCE");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// The programs run as whoever measures, and nobody asks about their health.
const ALLOWED: &str = r#"["M028"]"#;

fn definition(about: &str, services: &[Service<'_>]) -> String {
    let mut text = format!("[guard]\nname = \"bench-{}\"\n{about}\n[check]\nallow = {ALLOWED}\n", std::process::id());
    for Service { name, command, more } in services {
        // An array of strings is written in JSON as it is in TOML. Writing to memory cannot fail.
        let _ = write!(text, "\n[service.{name}]\ncommand = {}\n{more}\n", Json::from(command.as_slice()));
    }
    text
}

impl Guarded<'_> {
    /// The guard's own process.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Where everything of it is.
    pub(super) fn home(&self) -> &Path {
        self.home.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// Where a service's logs are.
    pub(super) fn logs(&self, service: &str) -> PathBuf {
        self.home().join("logs").join(format!("bench-{}", std::process::id())).join(service)
    }

    /// `menshen` about this guard.
    pub(super) fn menshen(&self, arguments: &[&str]) -> Command {
        let mut command = self.menshen.command(self.home());
        command.args(arguments);
        command
    }

    /// Has everything stopped in order, and waits until the guard has ended. Says how long that took, in milliseconds.
    pub(super) fn down(mut self) -> Result<f64, String> {
        let begun = now_ns();
        let mut down = self.menshen(&["down"]).spawn().map_err(|error| format!("menshen down: {error}"))?;
        let ended = self.process.take().is_none_or(|process| has_ended(&process, END_MAX));
        let took = ms_between(begun, now_ns());
        // It tells the guard and looks whether it has ended.
        let told = if ended { down.wait() } else { down.kill().and_then(|()| down.wait()) };
        told.map_err(|error| format!("menshen down: {error}"))?;
        if ended {
            return Ok(took);
        }
        self.process = open(self.pid);
        Err("the guard did not end".to_owned())
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        self.menshen.homes.borrow_mut().extend(self.home.take());
        let Some(process) = self.process.take() else { return };
        // What it guards would run on without it, so that goes by its own records.
        let _ = pidfd_send_signal(&process, Signal::TERM);
        if !has_ended(&process, END_MAX) {
            let _ = pidfd_send_signal(&process, Signal::KILL);
            has_ended(&process, END_MAX);
        }
        self.menshen.program.end_all();
    }
}

fn open(pid: u32) -> Option<OwnedFd> {
    pidfd_open(i32::try_from(pid).ok().and_then(Pid::from_raw)?, PidfdFlags::empty()).ok()
}

/// Whether a process ends within a time.
fn has_ended(process: &OwnedFd, within: Timespec) -> bool {
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&within)).is_ok_and(|ready| ready > 0)
}

/// Lets a guard that has much to do at first come to rest: it gives back memory when nothing has happened for five seconds.
pub(super) fn settle() {
    const REST: Duration = Duration::from_secs(8);
    std::thread::sleep(REST);
}
