//! A small machine of its own: a Debian in namespaces whose PID 1 is another init than systemd, or a supervisor. When it is off
//! it has forgotten everything but the folder it shares with the test, unless it is one with a disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::command::Ran;
use crate::disk::{Disk, Mount};
use crate::machine::SHARED;
use crate::process::Process;
use crate::require;
use crate::wait::{until, until_some};

/// What is executed as PID 1, and what is different from the bed's root folder.
#[derive(Debug, Clone, Copy)]
pub struct Init {
    /// The folder of the bed `managers` that is its root.
    pub root: &'static str,
    /// Shell commands that are run in it before its first boot.
    pub prepare: &'static str,
    /// The init and its arguments.
    pub command: &'static [&'static str],
    /// A command that ends well once it is up, and has started what it starts at boot.
    pub is_up: &'static [&'static str],
}

/// See the module. It is switched off when this is dropped.
#[derive(Debug)]
pub struct Booted {
    init_of: Init,
    /// What it has written; before the folder it is in.
    disk: Option<Mount>,
    shared: TempDir,
    container: Child,
    init: Process,
}

/// The folder of what a machine writes, in the shared one.
const WRITTEN: &str = "machine";

/// Makes a root folder of a bed's (`$1`) and the shared folder (`$2`), prepares it (`$3`), and executes the rest there.
/// What is written goes into memory, which a machine with a disk is given.
const BOOT: &str = r#"
mount --make-rprivate /
mountpoint -q "$2/machine" || mount -t tmpfs tmpfs "$2/machine"
mkdir -p "$2/machine/upper" "$2/machine/work" "$2/machine/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/machine/upper,workdir=$2/machine/work" "$2/machine/root"
cd "$2/machine/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mkdir -p shared
mount --bind "$2" shared
chroot . sh -ec "$3"
shift 3
exec chroot . env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
"#;

impl Init {
    /// Boots it with these files in the shared folder; `None` where that cannot be.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn boot(&self, files: &[&Path]) -> Option<Booted> {
        self.boot_from(files, |_| None)
    }

    /// Boots one that can be booted again.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn boot_with_disk(&self, files: &[&Path]) -> Option<Booted> {
        self.boot_from(files, |written| Some(Disk::mount(written, "mode=755").1))
    }

    fn boot_from(&self, files: &[&Path], disk: impl FnOnce(&Path) -> Option<Mount>) -> Option<Booted> {
        if !require::root() {
            return None;
        }
        require::program("nsenter")?;
        require::program("unshare")?;
        require::testbed("managers")?;
        let shared = tempfile::Builder::new().prefix("menshen-init-").tempdir().unwrap();
        // Whoever is not root there may come in, too.
        fs::set_permissions(shared.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let written = shared.path().join(WRITTEN);
        fs::create_dir(&written).unwrap();
        for file in files {
            fs::copy(file, shared.path().join(file.file_name().unwrap())).unwrap();
        }
        let disk = disk(&written);
        let (container, init) = self.start(shared.path(), self.prepare);
        let booted = Booted { init_of: *self, disk, shared, container, init };
        booted.await_up();
        Some(booted)
    }

    /// Starts the container; it and its first process.
    fn start(&self, shared: &Path, prepare: &str) -> (Child, Process) {
        let root = require::testbed("managers").unwrap().join(self.root);
        let said = File::options().create(true).append(true).open(shared.join("console")).unwrap();
        // It is switched off with the test, even if the test is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare"]);
        command.args(["--pid", "--mount", "--uts", "--net", "--ipc", "--fork", "--kill-child"]);
        command.args(["sh", "-ec", BOOT, "boot"]).arg(root).arg(shared).arg(prepare).args(self.command);
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let mut container = command.spawn().unwrap();
        let outside = Process::of(container.id());
        let init = until_some("PID 1 is there", || {
            assert!(container.try_wait().unwrap().is_none(), "it ended: {}", console(shared));
            outside.descendants().into_iter().next()
        });
        (container, init)
    }
}

impl Booted {
    /// Switches it off, as a failure of its power does, and boots it again with what is on its disk.
    ///
    /// # Panics
    /// When it has none, or does not come up.
    pub fn boot_again(&mut self) {
        assert!(self.disk.is_some(), "it would have forgotten everything");
        self.container.kill().unwrap();
        self.container.wait().unwrap();
        // It is the last of its processes.
        until("it is off", || !self.init.lives());
        (self.container, self.init) = self.init_of.start(self.shared.path(), ":");
        self.await_up();
    }

    fn await_up(&self) {
        until("it is up", || self.run(self.init_of.is_up).code == 0);
    }

    /// Runs a program there, as root.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ran {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.pid.to_string()]);
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"]);
        command.args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]).args(words);
        Ran::of(&command)
    }

    /// Whether it has switched itself off.
    ///
    /// # Panics
    /// When that cannot be asked.
    pub fn is_off(&mut self) -> bool {
        self.container.try_wait().unwrap().is_some()
    }

    /// A path in the shared folder, as it is called here.
    #[must_use]
    pub fn shared(&self, name: &str) -> PathBuf {
        self.shared.path().join(name)
    }

    /// Writes a file into the shared folder.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn share(&self, name: &str, content: &str) {
        fs::write(self.shared(name), content).unwrap();
    }

    /// A path in the shared folder, as it is called there.
    #[must_use]
    pub fn path(name: &str) -> PathBuf {
        Path::new(SHARED).join(name)
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the console:\n{}", console(self.shared.path()));
        }
        // It may be off already.
        let _ = self.container.kill();
        let _ = self.container.wait();
    }
}

fn console(shared: &Path) -> String {
    String::from_utf8_lossy(&fs::read(shared.join("console")).unwrap_or_default()).into_owned()
}
