//! A machine of its own: a container whose PID 1 is a real systemd. When it is off it has forgotten everything but the folder it
//! shares with the test, unless it is one with a disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::command::{Ran, menshen};
use crate::disk::Mount;
use crate::process::Process;
use crate::require;
use crate::trees::{cgroups_named, remove_folders};
use crate::wait::{until, until_some, within};

/// What the shared folder is called in the machine.
pub const SHARED: &str = "/shared";

/// See the module. It is switched off when this is dropped.
#[derive(Debug)]
pub struct Machine {
    disk: Option<Disk>,
    shared: TempDir,
    /// What its cgroups are called.
    name: String,
    /// The one of everything that runs there, as seen from outside.
    cgroup: PathBuf,
    container: Child,
    systemd: Process,
}

/// What the machine has written, above the bed.
#[derive(Debug)]
struct Disk {
    root: PathBuf,
    /// In the order in which they are unmounted, and before the folder they are in.
    _mounts: [Mount; 2],
    _folder: TempDir,
}

impl Machine {
    /// Boots a machine with these files in the shared folder; `None` where that cannot be.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn boot(files: &[(&str, &str)]) -> Option<Self> {
        Self::boot_from(files, |_| None)
    }

    /// Boots a machine that can be booted again.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn boot_with_disk(files: &[(&str, &str)]) -> Option<Self> {
        Self::boot_from(files, |bed| Some(Disk::above(bed)))
    }

    fn boot_from(files: &[(&str, &str)], disk: impl FnOnce(&Path) -> Option<Disk>) -> Option<Self> {
        if !require::root() || !require::cgroup() {
            return None;
        }
        require::program("nsenter")?;
        let (nspawn, bed) = (require::program("systemd-nspawn")?, require::testbed("systemd")?);
        let shared = tempfile::Builder::new().prefix("menshen-machine-").tempdir().unwrap();
        // Whoever is not root there may come in, too.
        fs::set_permissions(shared.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for (name, content) in files {
            fs::write(shared.path().join(name), content).unwrap();
        }
        let disk = disk(&bed);
        let (cgroup, name) = own_cgroup();
        let root = match &disk {
            Some(disk) => vec![format!("--directory={}", disk.root.display())],
            None => vec!["--volatile=overlay".to_owned(), format!("--directory={}", bed.display())],
        };
        let (container, systemd) = start(&nspawn, &root, &name, &cgroup, shared.path());
        let machine = Self { disk, shared, name, cgroup, container, systemd };
        machine.await_up();
        Some(machine)
    }

    /// Switches the machine off and boots it again, with what is on its disk.
    ///
    /// # Panics
    /// When it has none, or does not come up.
    pub fn boot_again(&mut self) {
        let root = self.disk.as_ref().map(|disk| format!("--directory={}", disk.root.display())).unwrap();
        assert!(self.power_off().success());
        self.clear_away();
        (self.cgroup, self.name) = own_cgroup();
        let nspawn = require::program("systemd-nspawn").unwrap();
        (self.container, self.systemd) = start(&nspawn, &[root], &self.name, &self.cgroup, self.shared.path());
        self.await_up();
    }

    fn await_up(&self) {
        until("the machine is up", || self.run(&["systemctl", "is-system-running"]).text().trim() == "running");
    }

    /// Removes the cgroups of a machine that is off.
    fn clear_away(&self) {
        within(crate::wait::DEADLINE, || {
            // Where there are others beside version 2, the container has made one in each it uses.
            let left = cgroups_named(&self.name);
            left.iter().for_each(|folder| remove_folders(folder));
            left.is_empty()
        });
    }

    /// Runs a program there, as root.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ran {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.systemd.pid.to_string()]);
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--wd=/", "--"]);
        // That folder is the one outside, which has no name within.
        command.args(["sh", "-c", "cd / && exec \"$@\"", "sh"]).args(words);
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8");
        Ran::of(&command)
    }

    /// Installs a unit and has systemd know it.
    ///
    /// # Panics
    /// When it does not want to.
    pub fn install(&self, unit: &str, text: &str) {
        fs::write(self.path(unit), text).unwrap();
        self.run(&["cp", &format!("{SHARED}/{unit}"), "/etc/systemd/system/"]).done();
        self.run(&["systemctl", "daemon-reload"]).done();
    }

    /// A value systemd has of a unit.
    #[must_use]
    pub fn property(&self, unit: &str, name: &str) -> String {
        let ran = self.run(&["systemctl", "show", "--value", "--property", name, unit]).ended_with(0);
        ran.text().trim().to_owned()
    }

    /// What systemd's journal has of a unit.
    #[must_use]
    pub fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "--output=cat", "--unit", unit]).text()
    }

    /// A path in the shared folder, from outside.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.shared.path().join(name)
    }

    /// The lines of a file in the shared folder.
    #[must_use]
    pub fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Waits until a file in the shared folder has so many lines; they.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn await_lines(&self, name: &str, count: usize) -> Vec<String> {
        until_some(&format!("{name} has {count} lines"), || Some(self.lines(name)).filter(|lines| lines.len() >= count))
    }

    /// Whether anything is left in the cgroup of a unit.
    #[must_use]
    pub fn is_empty(&self, unit: &str) -> bool {
        let events = self.run(&["cat", &format!("/sys/fs/cgroup/system.slice/{unit}/cgroup.events")]);
        // Without processes it goes.
        events.code != 0 || events.text().contains("populated 0")
    }

    /// Has the machine switch itself off; what is left of it is its shared folder.
    ///
    /// # Panics
    /// When it does not.
    pub fn power_off(&mut self) -> ExitStatus {
        self.run(&["systemctl", "--no-block", "poweroff"]).done();
        until_some("the machine is off", || self.container.try_wait().unwrap())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the console:\n{}", console(self.shared.path()));
            if self.systemd.lives() {
                eprintln!("the journal:\n{}", self.run(&["journalctl", "--no-pager", "--lines=200"]).text());
            }
        }
        // It may be off already.
        let _ = fs::write(self.cgroup.join("cgroup.kill"), "1");
        let _ = self.container.wait();
        self.clear_away();
    }
}

impl Disk {
    fn above(bed: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("menshen-disk-").tempdir().unwrap();
        let (disk, root) = (folder.path().join("disk"), folder.path().join("root"));
        let (_, written) = crate::disk::Disk::mount(&disk, "mode=755");
        let [upper, work] = ["upper", "work"].map(|name| disk.join(name));
        [&upper, &work, &root].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let options = format!("lowerdir={},upperdir={},workdir={}", bed.display(), upper.display(), work.display());
        Ran::of(Command::new("mount").args(["-t", "overlay", "-o", &options, "menshen-test"]).arg(&root)).done();
        let _mounts = [Mount::at(&root), written];
        Self { root, _mounts, _folder: folder }
    }
}

/// Starts the container; it and its first process.
fn start(nspawn: &Path, root: &[String], name: &str, cgroup: &Path, shared: &Path) -> (Child, Process) {
    let said = File::create(shared.join("console")).unwrap();
    // It is switched off with the test, even if the test is killed.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "sh", "-c", "echo $$ > \"$0\" && exec \"$@\""]);
    command.arg(cgroup.join("cgroup.procs")).arg(nspawn);
    command.args(["--quiet", "--register=no", "--keep-unit", "--private-network", "--console=pipe"]);
    command.arg(format!("--machine={name}")).args(root);
    command.arg(format!("--bind={}:{SHARED}", shared.display()));
    command.arg(format!("--bind-ro={}:/usr/bin/menshen", menshen().display()));
    command.arg("--boot").env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
    command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
    let mut container = command.spawn().unwrap();
    let outside = Process::of(container.id());
    let systemd = until_some("systemd is there", || {
        assert!(container.try_wait().unwrap().is_none(), "the container ended: {}", console(shared));
        outside.descendants().into_iter().find(is_systemd)
    });
    (container, systemd)
}

/// A cgroup for one machine, below that of the tests, and a name nobody else has.
fn own_cgroup() -> (PathBuf, String) {
    static MACHINES: AtomicU32 = AtomicU32::new(0);
    let name = format!("menshen-machine-{}-{}", std::process::id(), MACHINES.fetch_add(1, Ordering::Relaxed));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    let folder = Path::new(mount.unwrap()).join(own).join(&name);
    fs::create_dir(&folder).unwrap();
    (folder, name)
}

fn is_systemd(process: &Process) -> bool {
    let name = fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap_or_default();
    // Its number inside comes last.
    name.trim() == "systemd" && status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
}

fn console(shared: &Path) -> String {
    String::from_utf8_lossy(&fs::read(shared.join("console")).unwrap_or_default()).into_owned()
}
