//! A machine of its own, for a supervisor that is the first process of one: the test bed with a real systemd, in a container
//! that forgets everything but the folders it shares. The same is done for the tests, with their own expectations, in
//! `tests/src/machine.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use super::super::program::wait_within;
use super::install::write;
use crate::testbed;

const BOOT_MAX: Duration = Duration::from_secs(60);
/// How long the kernel may take to end what is in a cgroup.
const END_MAX: Duration = Duration::from_secs(20);
/// In a session's folder, the number of the machine's first process as seen from outside.
const FIRST_PROCESS: &str = "first-process";

/// A container that runs. It is switched off with this.
#[derive(Debug)]
pub(super) struct Container {
    process: Child,
    /// What its cgroups are called.
    name: String,
    /// The one of everything that runs there, as seen from outside.
    cgroup: PathBuf,
}

/// What is to be booted.
pub(super) struct Boot<'a> {
    /// The session's; it keeps the number of the first process.
    pub folder: &'a Path,
    /// Folders and files that are there and here, each under two names: here and there.
    pub shared: &'a [(PathBuf, PathBuf)],
    /// A variable of the first process.
    pub mark: &'a str,
    /// Words for the first process.
    pub words: &'a [&'a str],
}

impl Container {
    /// Boots it, and waits until everything it is to do at first is done.
    pub(super) fn boot(
        boot: &Boot<'_>,
        quiet: impl FnOnce(&mut Command) -> Result<(), String>,
    ) -> Result<Self, String> {
        let (cgroup, name) = own_cgroup()?;
        // It goes when we do.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "sh", "-c", "echo $$ > \"$0\" && exec \"$@\""]);
        command.arg(cgroup.join("cgroup.procs")).arg("systemd-nspawn");
        command.args(["--quiet", "--volatile=overlay", "--register=no", "--keep-unit", "--private-network"]);
        command.args(["--console=pipe", &format!("--machine={name}"), &format!("--setenv={}", boot.mark)]);
        command.arg(format!("--directory={}", testbed::systemd()?.display()));
        for (here, there) in boot.shared {
            command.arg(format!("--bind={}:{}", here.display(), there.display()));
        }
        command.arg("--boot").args(boot.words).env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        quiet(&mut command)?;
        let process = command.spawn().map_err(|error| format!("systemd-nspawn: {error}"))?;
        let mut container = Self { process, name, cgroup };
        let is_up = || (!container.runs() || container.is_up(boot.folder)).then_some(());
        let told = wait_within(BOOT_MAX, is_up);
        if told.is_none() || !container.runs() {
            return Err(format!("the machine did not come up in {} s", BOOT_MAX.as_secs()));
        }
        Ok(container)
    }

    /// Its process here, which is not one of the machine.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    fn runs(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|ended| ended.is_none())
    }

    fn is_up(&self, folder: &Path) -> bool {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid())).unwrap_or_default();
        let Some(first) = children.split(' ').find(|pid| is_first(pid)) else { return false };
        if write(&folder.join(FIRST_PROCESS), first).is_err() {
            return false;
        }
        let state = inside(folder, &["systemctl", "is-system-running"]).output();
        state.is_ok_and(|state| state.stdout.trim_ascii() == b"running")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It may be off already.
        let _ = fs::write(self.cgroup.join("cgroup.kill"), "1");
        let _ = self.process.kill();
        let _ = self.process.wait();
        wait_within(END_MAX, || {
            // Where there are others beside version 2, the container has made one in each it uses.
            let left = cgroups(&self.name);
            left.iter().for_each(|folder| remove_folders(folder));
            left.is_empty().then_some(())
        });
    }
}

/// A program of the machine that a session's folder knows of.
pub(super) fn inside(folder: &Path, words: &[&str]) -> Command {
    let first = fs::read_to_string(folder.join(FIRST_PROCESS)).unwrap_or_else(|_| "$MACHINE".to_owned());
    let mut command = Command::new("nsenter");
    command.args(["--target", &first, "--mount", "--ipc", "--net", "--pid", "--cgroup", "--wd=/", "--"]).args(words);
    command
}

/// Whether it is the first process of a machine, and has come as far as to be systemd. Its number inside comes last.
fn is_first(pid: &str) -> bool {
    let of = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    of("comm").trim() == "systemd"
        && of("status").lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
}

/// A cgroup below our own, with a name nobody else has.
fn own_cgroup() -> Result<(PathBuf, String), String> {
    let name = format!("menshen-peer-{}", std::process::id());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let (Some(mount), Some(own)) = (mount, own) else { return Err("there is no cgroup of version 2".to_owned()) };
    let folder = Path::new(mount).join(own).join(&name);
    fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok((folder, name))
}

/// The folders of this name, in every hierarchy.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own: Vec<&str> = own.lines().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
    let mounts = mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    let folders =
        mounts.flat_map(|mount| own.iter().map(move |own| Path::new(mount).join(own.trim_start_matches('/'))));
    folders.map(|folder| folder.join(name)).filter(|folder| folder.is_dir()).collect()
}

/// Files in these folders are the kernel's.
fn remove_folders(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_folders(&entry.path());
        }
    }
    // It is looked for again until it is gone.
    let _ = fs::remove_dir(folder);
}
