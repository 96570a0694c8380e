//! A place to work in: a folder, a definition and a guard, and the end of everything that was started there.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use menshen_api::types::{Event, Service, ServiceDetail, State};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::command::{Ran, beside, menshen};
use crate::disk::{Disk, Mount};
use crate::events::{Follower, History, Mark, entered, mark, tell};
use crate::process::{self, Process};
use crate::served::Served;
use crate::stuck::Stuck;
use crate::trees::{self, Trees};
use crate::wait::{until, until_some, within};

/// How long a guard may take to stop what a test left running.
const END_WITHIN: Duration = Duration::from_secs(20);

/// What `menshen check` need not say of tests: impatient probes, and root where the tests themselves are root.
const ACCEPTED: &str = "check.allow=[\"M024\", \"M028\"]";

/// See the module.
#[derive(Debug)]
pub struct Bed {
    /// Before the folder, which could not be removed with them in it.
    mounts: Vec<Mount>,
    folder: TempDir,
    instance: String,
    trees: Trees,
    settings: Vec<String>,
    /// Variables of the guard's own environment.
    environment: Vec<(String, String)>,
    history: History,
    guard: Option<Guard>,
    /// Whether the folder stays if the test fails.
    keeps: bool,
}

/// A running `menshen up`.
#[derive(Debug)]
struct Guard {
    child: Child,
    follower: Option<Follower>,
}

impl Bed {
    /// A folder with a definition, which names no guard: each bed's guard has a name of its own.
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[must_use]
    pub fn new(trees: Trees, definition: &str) -> Self {
        static BEDS: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::Builder::new().prefix("menshen-").tempdir().unwrap();
        // Programs that run as somebody else have to come through.
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let instance = format!("test-{}-{}", std::process::id(), BEDS.fetch_add(1, Ordering::Relaxed));
        let bed = Self {
            mounts: Vec::new(),
            folder,
            instance,
            trees,
            settings: Vec::new(),
            environment: Vec::new(),
            history: History::default(),
            guard: None,
            keeps: false,
        };
        bed.write("menshen.toml", definition);
        bed
    }

    /// Gives the bed's guard the name of another bed's.
    #[must_use]
    pub fn named_as(mut self, other: &Self) -> Self {
        self.instance.clone_from(&other.instance);
        self
    }

    /// Adds to the definition.
    #[must_use]
    pub fn and(self, definition: &str) -> Self {
        let path = self.path("menshen.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}\n{definition}\n")).unwrap();
        self
    }

    /// Sets a placeholder of the definition, or a value of it: `up --set KEY=VALUE`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.settings.push(format!("{key}={value}"));
        self
    }

    /// Puts a small file system in the place of a folder of the bed; the options are those of a tmpfs.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn mount(&mut self, name: &str, options: &str) -> Disk {
        let (disk, mount) = Disk::mount(&self.path(name), options);
        self.mounts.push(mount);
        disk
    }

    /// Puts a file system that hangs in the place of a folder of the bed.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn mount_stuck(&mut self, name: &str) -> Stuck {
        let stuck = Stuck::mount(&self.path(name));
        self.mounts.push(Mount::at(&self.path(name)));
        stuck
    }

    /// Puts a file system that can be out of order in the place of a folder of the bed.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub fn mount_served(&mut self, name: &str) -> Served {
        let folder = self.path(name);
        let served = Served::mount(&self.path("behind").join(name), &folder);
        self.mounts.push(Mount::at(&folder));
        served
    }

    /// Gives the guard, and nobody else, a variable in its environment.
    #[must_use]
    pub fn tell_guard(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the guard and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn up(mut self) -> Self {
        self.start_guard();
        self
    }

    /// Starts the guard (again) and waits until it answers.
    ///
    /// # Panics
    /// When it does not, or another one of the bed still runs.
    pub fn start_guard(&mut self) {
        assert!(self.guard.is_none(), "the bed has a guard");
        let said = File::options().create(true).append(true).open(self.path("guard.out")).unwrap();
        let mut command = self.guard_command(&menshen());
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let mut guard = Guard { child: command.spawn().unwrap(), follower: None };
        until("the guard answers", || {
            let ended = guard.child.try_wait().unwrap();
            assert!(ended.is_none(), "the guard ended ({}): {}", ended.unwrap(), self.guard_said());
            self.menshen(["status", "--json"]).code != 6
        });
        guard.follower = Some(Follower::start(&mut self.command(), &self.history));
        self.guard = Some(guard);
    }

    /// Starts a guard that dies at this place (`record-renamed:3`), and waits until it has.
    ///
    /// # Panics
    /// When it cannot be started, another one of the bed still runs, or it does not die.
    pub fn die_at(&self, point: &str) {
        assert!(self.guard.is_none(), "the bed has a guard");
        let said = File::options().create(true).append(true).open(self.path("guard.out")).unwrap();
        let mut command = self.guard_command(&beside("menshen-with-fail-points"));
        command.env(menshen_os::fail_point::VARIABLE, point);
        let mut guard = command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
        let status = until_some("the guard dies", || guard.try_wait().unwrap());
        assert_eq!(status.signal(), Some(9), "{point}: {}", self.guard_said());
    }

    /// A `menshen up` of the bed's definition, by this binary, that has yet to be run. It ends with the test, even if the
    /// test is killed.
    #[must_use]
    pub fn guard_command(&self, menshen: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "setsid"]).arg(menshen);
        self.surround(&mut command);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(["up", "--file"]).arg(self.path("menshen.toml"));
        command.args(["--set".to_owned(), format!("guard.name={}", self.instance)]);
        command.args(["--set", ACCEPTED]);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        command
    }

    /// Leaves the folder to be looked at if the test fails, and says where it is.
    #[must_use]
    pub const fn keep_if_it_fails(mut self) -> Self {
        self.keeps = true;
        self
    }

    /// The guard's process.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn guard(&self) -> Process {
        Process::of(self.guard.as_ref().expect("the bed has a guard").child.id())
    }

    /// Kills the guard as `kill -9` does; what it guards goes on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill_guard(&mut self) {
        let mut guard = self.guard.take().expect("the bed has a guard");
        guard.child.kill().unwrap();
        guard.child.wait().unwrap();
    }

    /// Waits until the guard has ended by itself.
    ///
    /// # Panics
    /// When it does not end.
    pub fn await_guard_end(&mut self) -> ExitStatus {
        let mut guard = self.guard.take().expect("the bed has a guard");
        let status = until_some("the guard ends", || guard.child.try_wait().unwrap());
        // Its last events are still being read.
        if let Some(follower) = guard.follower.take() {
            follower.finish();
        }
        status
    }

    /// Runs `menshen` with these arguments.
    ///
    /// # Panics
    /// When it cannot be run, or does not end.
    pub fn menshen<I: IntoIterator<Item: AsRef<std::ffi::OsStr>>>(&self, arguments: I) -> Ran {
        let mut command = self.command();
        command.args(arguments);
        Ran::of(&command)
    }

    /// A `menshen` that has yet to be told what to do.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(menshen());
        self.surround(&mut command);
        command
    }

    /// Everything of a command but what it is to do.
    fn surround(&self, command: &mut Command) {
        for name in ["MENSHEN_INSTANCE", "MENSHEN_PROFILE", "NOTIFY_SOCKET"] {
            command.env_remove(name);
        }
        command.env("MENSHEN_HOME", self.home()).env("MENSHEN_TREES", self.trees.as_str()).env("NO_COLOR", "1");
        command.current_dir(self.folder.path());
    }

    /// The bed's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where Menshen keeps everything of its own.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Where the bed's guard is asked.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.home().join(format!("run/{}.sock", self.instance))
    }

    /// The name of the bed's guard.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// How trees are held together.
    #[must_use]
    pub const fn trees(&self) -> Trees {
        self.trees
    }

    /// A path in the bed's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the bed's folder.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Waits until a program has written a whole line into a file of the bed's folder; the file.
    ///
    /// # Panics
    /// When it does not.
    pub fn await_file(&self, name: &str) -> String {
        let read = || fs::read_to_string(self.path(name)).ok().filter(|text| text.ends_with('\n'));
        until_some(&format!("{name} is written"), read)
    }

    /// Waits until a program has written its process number into a file of the bed's folder; that process.
    ///
    /// # Panics
    /// When it does not, or the process is gone.
    #[must_use]
    pub fn await_process(&self, name: &str) -> Process {
        let text = self.await_file(name);
        Process::of(text.trim().parse().unwrap_or_else(|error| panic!("{error} in {text}")))
    }

    /// Everything about a service, as `menshen status NAME --json` has it.
    ///
    /// # Panics
    /// When there is no such service.
    #[must_use]
    pub fn service(&self, name: &str) -> ServiceDetail {
        let ran = self.menshen(["status", name, "--json"]);
        assert!(matches!(ran.code, 0 | 3), "{ran:?}");
        ran.json()
    }

    /// The main process of a service.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn main_process(&self, name: &str) -> Process {
        let detail = self.service(name);
        Process::of(detail.service.pid.unwrap_or_else(|| panic!("{name} has no process: {detail:?}")))
    }

    /// The main process of a service and everything that descends from it.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn tree(&self, name: &str) -> Vec<Process> {
        let main = self.main_process(name);
        std::iter::once(main).chain(main.descendants()).collect()
    }

    /// Waits until a service is as described.
    ///
    /// # Panics
    /// When that is not so within the deadline.
    pub fn await_service(&self, name: &str, what: &str, is_so: impl Fn(&Service) -> bool) -> ServiceDetail {
        let mut last = None;
        let found = within(crate::wait::DEADLINE, || {
            let detail = self.service(name);
            let so = is_so(&detail.service);
            last = Some(detail);
            so
        });
        let last = last.expect("it was looked at once at least");
        assert!(found, "{name} is not {what}: {:#?}", last.service);
        last
    }

    /// Waits until a service can be used.
    ///
    /// # Panics
    /// When that is not so within the deadline.
    pub fn await_ready(&self, name: &str) -> ServiceDetail {
        self.await_service(name, "ready", |service| service.ready)
    }

    /// Waits until a service is in a state.
    ///
    /// # Panics
    /// When that is not so within the deadline.
    pub fn await_state(&self, name: &str, state: State) -> ServiceDetail {
        self.await_service(name, state.as_str(), |service| service.state == state)
    }

    /// Waits until a service has come into a state after a mark, be it for a moment.
    ///
    /// # Panics
    /// When it does not within the deadline.
    pub fn await_entry(&self, mark: Mark, name: &str, state: State) -> Event {
        let what = format!("{name} → {}", state.as_str());
        self.history.await_event(mark, &what, |event| entered(event, name) == Some(state))
    }

    /// Waits for an event after a mark.
    ///
    /// # Panics
    /// When none comes within the deadline.
    pub fn await_event(&self, mark: Mark, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        self.history.await_event(mark, what, is_it)
    }

    /// The events after a mark that have been heard of so far, which is all of them once the guard has ended.
    #[must_use]
    pub fn history_after(&self, mark: Mark) -> Vec<Event> {
        self.history.after(mark)
    }

    /// A place after everything that has happened so far.
    ///
    /// # Panics
    /// When the guard does not answer.
    #[must_use]
    pub fn mark(&self) -> Mark {
        mark(&self.events())
    }

    /// Everything that has happened so far, as `menshen events --json` has it.
    ///
    /// # Panics
    /// When the guard does not answer.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.menshen(["events", "--json", "--since", "1d"]).ended_with(0).json_lines()
    }

    /// The states a service has come into after a mark.
    ///
    /// # Panics
    /// When the guard does not answer.
    #[must_use]
    pub fn states(&self, after: Mark, name: &str) -> Vec<State> {
        let events = self.events();
        events
            .iter()
            .filter(|event| event.sequence > after.sequence())
            .filter_map(|event| entered(event, name))
            .collect()
    }

    /// Every live process that was started in the bed, the guard and commands that run now included.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        process::of_bed(&self.instance, self.folder.path())
    }

    /// The cgroups of the bed's guard that are there.
    #[must_use]
    pub fn cgroups(&self) -> Vec<PathBuf> {
        trees::cgroups(&self.instance)
    }

    /// What the guard has said on its terminal.
    #[must_use]
    pub fn guard_said(&self) -> String {
        fs::read_to_string(self.path("guard.out")).unwrap_or_default()
    }

    /// Asks the guard to end as a service manager does, and kills it if it does not.
    fn end_guard(&mut self) {
        let Some(mut guard) = self.guard.take() else { return };
        if let Some(process) = Process::find(guard.child.id())
            && process.signal(Signal::TERM)
        {
            within(END_WITHIN, || guard.child.try_wait().is_ok_and(|status| status.is_some()));
        }
        // It may have ended long ago.
        let _ = guard.child.kill();
        let _ = guard.child.wait();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if self.keeps {
                self.folder.disable_cleanup(true);
                eprintln!("everything is in {}", self.folder.path().display());
            } else {
                eprintln!("what happened:\n{}", tell(&self.history.after(Mark::BEGIN)));
                eprintln!("what the guard said:\n{}", self.guard_said());
            }
        }
        self.end_guard();
        within(END_WITHIN, || {
            let left = self.processes();
            left.iter().for_each(|process| _ = process.signal(Signal::KILL));
            left.is_empty()
        });
        trees::remove_cgroups(&self.instance);
    }
}
