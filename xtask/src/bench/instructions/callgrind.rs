//! A guard under callgrind, whose counter can be set to zero and read while it runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::super::program::{wait_until, wait_within};
use crate::shell::root;
use crate::testbed;

const NAME: &str = "counted";
/// A guard that has not ended after this long is killed.
const END_MAX: Duration = Duration::from_secs(30);
const TRIES: usize = 3;
/// Within this long a guard has nothing more to do.
const REST: Duration = Duration::from_secs(2);

/// See the module. It ends with this.
#[derive(Debug)]
pub(super) struct Counted {
    folder: TempDir,
    guard: Child,
}

impl Counted {
    /// Guards these services; waits until the guard has come to rest.
    pub(super) fn start(services: impl FnOnce(&Path) -> String) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("a guard under valgrind: {error}");
        let folder = tempfile::Builder::new().prefix("menshen-counted-").tempdir().map_err(failed)?;
        let at = folder.path();
        let about = format!("[guard]\nname = \"{NAME}-{}\"\n[check]\nallow = [\"M028\"]\n", std::process::id());
        fs::write(at.join("menshen.toml"), about + &services(at)).map_err(failed)?;
        let said = File::create(at.join("said")).map_err(failed)?;
        let valgrind = testbed::valgrind()?;
        let mut guard = Command::new(valgrind.join("usr/bin/valgrind"));
        guard.env("VALGRIND_LIB", valgrind.join("usr/libexec/valgrind")).env("MENSHEN_HOME", at).current_dir(at);
        guard.env_remove("MENSHEN_PROFILE").env_remove("MENSHEN_INSTANCE");
        guard.args(["--quiet", "--tool=callgrind"]);
        guard.arg(format!("--callgrind-out-file={}", at.join("out").display())).arg(pipes(at));
        guard.arg(root().join("target/debug/menshen")).args(["up", "--in-background", "--file", "menshen.toml"]);
        guard.stdin(Stdio::null()).stdout(said.try_clone().map_err(failed)?).stderr(said);
        let mut counted = Self { guard: guard.spawn().map_err(failed)?, folder };
        wait_until("the guard", || (counted.is_up() || !counted.runs()).then_some(()))?;
        if !counted.runs() {
            return Err(format!("the guard ended: {}", counted.said()));
        }
        counted.rest();
        Ok(counted)
    }

    /// Lets it do what is left to do.
    pub(super) fn rest(&self) {
        std::thread::sleep(REST);
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A log of a service.
    pub(super) fn log(&self, service: &str, file: &str) -> PathBuf {
        self.folder().join("logs").join(format!("{NAME}-{}", std::process::id())).join(service).join(file)
    }

    /// Counts from here.
    pub(super) fn zero(&self) -> Result<(), String> {
        self.ask("zero")
    }

    /// How many instructions it took since it counts.
    pub(super) fn taken(&self) -> Result<u64, String> {
        let before = self.dumps();
        self.ask("dump")?;
        // The first one, should it have been asked twice.
        let new = self.dumps().into_iter().filter(|dump| !before.contains(dump)).min();
        let dump = new.ok_or("valgrind wrote no counts")?;
        let text = fs::read_to_string(&dump).map_err(|error| format!("{}: {error}", dump.display()))?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.parse().ok());
        total.ok_or_else(|| format!("{} has no total", dump.display()))
    }

    fn dumps(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder()).into_iter().flatten().flatten().map(|entry| entry.path());
        entries
            .filter(|path| path.file_stem().is_some_and(|stem| stem == "out") && path.extension().is_some())
            .collect()
    }

    /// On a busy machine valgrind may be found at a moment when it cannot be asked.
    fn ask(&self, what: &str) -> Result<(), String> {
        let mut asked = self.ask_once(what);
        for _ in 1..TRIES {
            if asked.is_err() {
                self.rest();
                asked = self.ask_once(what);
            }
        }
        asked
    }

    /// The bed's programs need not be made for this system's C library, so they bring their own.
    fn ask_once(&self, what: &str) -> Result<(), String> {
        let mut vgdb = Command::new(loader()?);
        vgdb.arg("--library-path").arg(loader()?.with_file_name("")).arg(testbed::valgrind()?.join("usr/bin/vgdb"));
        vgdb.arg(pipes(self.folder())).arg(format!("--pid={}", self.guard.id())).arg(what);
        let asked = vgdb.output().map_err(|error| format!("vgdb: {error}"))?;
        let said = String::from_utf8_lossy(&asked.stderr);
        if asked.status.success() {
            return Ok(());
        }
        Err(format!("vgdb {what} ended with {}: {}; the guard: {}", asked.status, said.trim(), self.said().trim()))
    }

    fn is_up(&self) -> bool {
        self.said().contains("guard started")
    }

    fn runs(&mut self) -> bool {
        self.guard.try_wait().is_ok_and(|ended| ended.is_none())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder().join("said")).unwrap_or_default()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.guard.id()).ok().and_then(Pid::from_raw) {
            // It may have ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
        if wait_within(END_MAX, || (!self.runs()).then_some(())).is_none() {
            let _ = self.guard.kill();
        }
        let _ = self.guard.wait();
    }
}

/// Where valgrind and those who ask it meet.
fn pipes(folder: &Path) -> String {
    format!("--vgdb-prefix={}", folder.join("vgdb").display())
}

fn loader() -> Result<PathBuf, String> {
    let libraries = testbed::systemd()?.join("usr/lib");
    let of = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let loader = of(&libraries)
        .flat_map(|folder| of(&folder))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux-")));
    loader.ok_or_else(|| format!("there is no dynamic linker below {}", libraries.display()))
}
