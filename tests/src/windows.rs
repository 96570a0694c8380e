//! A Windows of a test's own: Wine's, in the test bed of that name, which stays as it is: what changes is in memory. What is
//! started there ends with the test, however it was started.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use menshen_api::types::{Service, ServiceDetail};
use serde::Deserialize;
use tempfile::TempDir;

use crate::command::Ran;
use crate::process::Process;
use crate::require;
use crate::wait::{until, until_some};

/// The folder of the test on its drive, from outside.
const FOLDER: &str = "prefix/drive_c/test";
/// Where everything of a guard is.
const HOME: &str = r"C:\test\home";

/// See the module.
#[derive(Debug)]
pub struct Windows {
    /// What programs that were run there said.
    said: TempDir,
    /// Keeps the name space of its processes; with it, they all end.
    keeper: Child,
    inside: Process,
    runs: AtomicU32,
}

impl Windows {
    /// Starts one with this definition of a guard named `shop`; `None` where that cannot be.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(definition: &str) -> Option<Self> {
        if !require::root() {
            return None;
        }
        require::program("nsenter")?;
        let (menshen, puppet) = (require::for_windows("menshen")?, require::for_windows("examples/puppet")?);
        let root = require::testbed("wine")?;
        let said = tempfile::Builder::new().prefix("menshen-windows-").tempdir().unwrap();
        let (keeper, inside) = keep(&root, said.path());
        let windows = Self { said, keeper, inside, runs: AtomicU32::new(0) };
        fs::create_dir(windows.path("")).unwrap();
        fs::copy(menshen, windows.path("menshen.exe")).unwrap();
        fs::copy(puppet, windows.path("puppet.exe")).unwrap();
        windows.define(definition);
        Some(windows)
    }

    /// Another definition, from now on.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn define(&self, definition: &str) {
        // Whoever runs this is an administrator, and the services of tests say nothing of how they are.
        let head = "[guard]\nname = \"shop\"\n[check]\nallow = [\"M028\", \"M033\", \"M042\", \"M048\"]\n";
        fs::write(self.path("menshen.toml"), format!("{head}{definition}")).unwrap();
    }

    /// A file in the test's folder, from outside.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.inside.pid)).join(FOLDER).join(name)
    }

    /// Runs `menshen` there.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn menshen(&self, words: &[&str]) -> Ran {
        self.run(&[&[r"C:\test\menshen.exe"], words].concat())
    }

    /// Runs a program of Windows there. What it has started runs on, and may have its output, too: so that is a file.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ran {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let said = [format!("said-{number}"), format!("complained-{number}")].map(|name| self.said.path().join(name));
        let mut command = self.inside(&["wine"]);
        command.args(words).stdin(Stdio::null());
        command.stdout(File::create(&said[0]).unwrap()).stderr(File::create(&said[1]).unwrap());
        let mut child = command.spawn().unwrap();
        let status = until_some(&format!("{words:?} ends"), || child.try_wait().unwrap());
        let [stdout, stderr] = said.map(|path| fs::read(path).unwrap());
        let what = format!("{}: {}", words.join(" "), String::from_utf8_lossy(&stderr));
        Ran::told(&what, status.code().unwrap(), stdout)
    }

    /// Runs the unit tests of a library there; what they say. `None` where they were not built.
    ///
    /// # Panics
    /// When one fails.
    #[must_use]
    pub fn unit_tests(&self, library: &str) -> Option<String> {
        let menshen = require::for_windows("menshen")?;
        let tests = require::unit_tests(menshen.parent()?, library)?;
        fs::copy(tests, self.path("tests.exe")).unwrap();
        Some(self.run(&[r"C:\test\tests.exe"]).ended_with(0).text())
    }

    /// Starts a guard in the background with the definition, and waits for it.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn up(&self) {
        self.menshen(&["up", "--detach", "--file", r"C:\test\menshen.toml"]).done();
    }

    /// Kills the guard, as `TerminateProcess` does.
    ///
    /// # Panics
    /// When there is none.
    pub fn kill_guard(&self) {
        let guard = self.guard();
        guard.kill();
        until("the guard is gone", || !guard.lives());
    }

    /// The guard's process, from outside.
    fn guard(&self) -> Process {
        self.processes_of("--in-background").into_iter().next().expect("a guard runs")
    }

    /// The processes there whose command line has this in it, from outside.
    #[must_use]
    pub fn processes_of(&self, part: &str) -> Vec<Process> {
        let has = |process: &Process| {
            let line = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ").contains(part)
        };
        self.inside.descendants().into_iter().filter(has).collect()
    }

    /// A service as the guard has it now.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Service {
        #[derive(Deserialize)]
        struct Status {
            services: Vec<Service>,
        }
        let status: Status = self.menshen(&["status", "--json"]).json();
        status.services.into_iter().find(|service| service.name == name).expect("it is in the definition")
    }

    /// The same with everything that is known of it.
    #[must_use]
    pub fn detail(&self, name: &str) -> ServiceDetail {
        self.menshen(&["status", name, "--json"]).json()
    }

    /// What a service wrote, byte for byte, as far as it is in the logs: closed ones, and the one that is being written.
    #[must_use]
    pub fn log(&self, service: &str) -> Vec<u8> {
        let folder = self.path("home/logs/shop").join(service);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_log = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("stdout.") && name.ends_with(".log")
        };
        let mut logs: Vec<PathBuf> = entries.filter(is_log).collect();
        // `stdout.00000001.TIME.log` before `stdout.log`.
        logs.sort();
        logs.iter().flat_map(|path| fs::read(path).unwrap_or_default()).collect()
    }

    /// The sentences of all events until now.
    #[must_use]
    pub fn events(&self) -> String {
        self.menshen(&["events"]).ended_with(0).text()
    }

    fn inside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.inside.pid.to_string(), "--mount", "--pid", "--root", "--wdns=/"]).args(words);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/tmp").env("LANG", "C.UTF-8");
        command.env("WINEPREFIX", "/prefix").env("WINEDEBUG", "-all").env("MENSHEN_HOME", HOME);
        command
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = fs::read_to_string(self.path("home/logs/shop/guard.log")).unwrap_or_default();
            eprintln!("the guard said:\n{said}");
        }
        // It may have ended already.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        until("everything there has ended", || !self.inside.lives());
    }
}

/// A process in the bed that all others there descend from.
fn keep(root: &Path, said: &Path) -> (Child, Process) {
    let script = "mount -t tmpfs memory \"$1\" && mkdir \"$1/upper\" \"$1/work\" \"$1/root\" \
        && mount -t overlay overlay -o \"lowerdir=$0,upperdir=$1/upper,workdir=$1/work\" \"$1/root\" \
        && mount -t proc proc \"$1/root/proc\" && mount --bind /dev \"$1/root/dev\" \
        && exec chroot \"$1/root\" sh -c 'echo > /up; while :; do sleep 1; done'";
    let memory = said.join("memory");
    fs::create_dir(&memory).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"]);
    command.args(["sh", "-c", script]).arg(root).arg(memory).stdin(Stdio::null());
    let mut keeper = command.spawn().unwrap();
    let outside = Process::of(keeper.id());
    let inside = until_some("the name space is there", || {
        assert!(keeper.try_wait().unwrap().is_none(), "it ended");
        let is_up = |process: &Process| Path::new(&format!("/proc/{}/root/up", process.pid)).exists();
        outside.descendants().into_iter().next().filter(is_up)
    });
    (keeper, inside)
}
