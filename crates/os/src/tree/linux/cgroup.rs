//! Trees as cgroups (version 2): one folder for each program, which everything it starts is born into.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::procfs;
use super::send::send;
use super::sweeper::Sweeper;
use crate::error::{context, is_shortage};
use crate::program::Place;
use crate::usage::{Enforced, Limits};

/// The folders of one guard.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    /// Where the kernel shows all of them.
    mount: PathBuf,
    /// The guard's folder for its services.
    root: PathBuf,
    /// The same as the kernel shows it in `/proc/PID/cgroup`.
    root_name: String,
    /// Version-1 controllers, on machines that have both: `memory`, `pids`, `cpu`.
    old: BTreeMap<&'static str, OldController>,
    /// Whether the kernel counts the memory of each service. Known without a look, for each start of a program.
    counts_memory: Cell<bool>,
    sweeper: Sweeper,
}

/// The folder of a version-1 controller, and which services have one in it: those with a limit, which are few.
#[derive(Debug)]
struct OldController {
    root: PathBuf,
    services: RefCell<BTreeSet<String>>,
}

/// The folder of one tree.
///
/// A folder in which everything was killed at once (`cgroup.kill`) is spent: since Linux 6.14 the kernel also kills what is
/// born into it later, because it takes the new process for one that was being forked while the others were killed. So a
/// spent folder is removed and made anew before the next program is born there.
#[derive(Debug)]
pub(crate) struct Leaf {
    path: PathBuf,
    name: String,
    folder: OwnedFd,
    entry: Entry,
    spent: Cell<bool>,
    /// It is not below this guard's own folder: an earlier one made it elsewhere.
    elsewhere: bool,
}

/// How a program gets into its tree's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is born there.
    Born,
    /// It walks in before it is executed: the folder was there before, nobody knows what happened in it, and it could not
    /// be made anew because somebody still lives in it.
    Walks,
}

/// Where the guard moves if its own folder has to be free of processes.
const GUARD_FOLDER: &str = "menshen.guard";
const OLD_CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// The kernel's own period for processor time, in microseconds.
const CPU_PERIOD_US: f64 = 100_000.0;

impl Hierarchy {
    /// Finds where the guard with this mark may make folders. `None` if nowhere: then trees are walked.
    pub(crate) fn find(mark: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let mount = mounts.lines().find_map(|line| mount_point(line, "cgroup2", None))?;
        let own = procfs::cgroup_path("self")?;
        // Where this process, or a service manager for it (`DelegateSubgroup=`), has moved out of the way.
        let own = own.strip_suffix(&format!("/{GUARD_FOLDER}")).unwrap_or(&own);
        let folder = root_folder(mark);
        let root_name = format!("{}/{folder}", own.trim_end_matches('/'));
        let root = mount.join(own.trim_start_matches('/')).join(&folder);
        if let Err(error) = fs::create_dir(&root)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return None;
        }
        // A folder that can be made is not enough: a kernel before 5.14 cannot kill a whole one, and processes must be let in.
        OpenOptions::new().write(true).open(root.join("cgroup.procs")).ok()?;
        let old = OLD_CONTROLLERS
            .into_iter()
            .filter_map(|controller| Some((controller, OldController::of(old_folder(&mounts, controller, &folder)?))))
            .collect();
        let controlled = fs::read_to_string(root.join("cgroup.subtree_control")).unwrap_or_default();
        let counts_memory = Cell::new(controlled.split_ascii_whitespace().any(|name| name == "memory"));
        Some(Self { mount, root, root_name, old, counts_memory, sweeper: Sweeper::default() })
    }

    /// The folder of a tree, made if it is not there.
    pub(crate) fn leaf(&self, service: &str, role: &str) -> io::Result<Leaf> {
        let path = self.path(service, role);
        let entry = make_anew(&path).map_err(context(format!("creating {}", path.display())))?;
        let folder = open(&path)?;
        let name = format!("{}/{service}/{role}", self.root_name);
        Ok(Leaf { name, path, folder, entry, spent: Cell::new(false), elsewhere: false })
    }

    /// Where the folder of a tree is, or would be.
    pub(crate) fn path(&self, service: &str, role: &str) -> PathBuf {
        self.root.join(service).join(role)
    }

    /// The folder of the tree a process lives in, wherever a guard with one of these marks made it.
    pub(crate) fn folder_of(&self, pid: u32, marks: [&String; 2], place: &Place) -> Option<PathBuf> {
        let path = self.mount.join(procfs::cgroup_path(&pid.to_string())?.trim_start_matches('/'));
        let own = marks.map(|mark| Path::new(&root_folder(mark)).join(&place.service).join(&place.role));
        path.ancestors().find(|folder| own.iter().any(|own| folder.ends_with(own))).map(Path::to_owned)
    }

    /// The folder of a tree that an earlier guard made, wherever that was. `None` if it is gone, with all that lived in it.
    /// Nothing is born in it any more: nobody knows what has happened there.
    pub(crate) fn leaf_of_earlier(&self, path: &Path) -> Option<Leaf> {
        let name = format!("/{}", path.strip_prefix(&self.mount).ok()?.to_str()?);
        let elsewhere = !path.starts_with(&self.root);
        let (path, folder) = (path.to_owned(), open(path).ok()?);
        Some(Leaf { name, path, folder, entry: Entry::Walks, spent: Cell::new(true), elsewhere })
    }

    /// Sets what a service may use. Says what the kernel enforces.
    pub(crate) fn limit(&self, service: &str, limits: &Limits) -> Enforced {
        let folder = self.root.join(service);
        let memory = limits.memory_bytes.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        let tasks = limits.tasks.map_or_else(|| "max".to_owned(), |tasks| tasks.to_string());
        let quota = limits.cpu_cores.map(|cores| cores * CPU_PERIOD_US);
        let cpu = quota.map_or_else(|| "max 100000".to_owned(), |quota| format!("{quota:.0} {CPU_PERIOD_US:.0}"));
        let old_memory = limits.memory_bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
        let old_cpu = quota.map_or_else(|| "-1".to_owned(), |quota| format!("{quota:.0}"));
        let set = |controller: &str, wanted: bool, new: (&str, &str), old: (&str, &str)| {
            let set_new = || {
                (folder.join(new.0).exists() || (wanted && self.enable(service, controller)))
                    && fs::write(folder.join(new.0), new.1).is_ok()
            };
            let set_old = || {
                let controller = self.old.get(controller)?;
                let folder = controller.root.join(service);
                (controller.has(service) || (wanted && controller.make(service)))
                    .then(|| fs::write(folder.join(old.0), old.1).is_ok())
            };
            set_new() || set_old().unwrap_or(false) || !wanted
        };
        Enforced {
            memory: set(
                "memory",
                limits.memory_bytes.is_some(),
                ("memory.max", &memory),
                ("memory.limit_in_bytes", &old_memory),
            ),
            cpu: set("cpu", quota.is_some(), ("cpu.max", &cpu), ("cpu.cfs_quota_us", &old_cpu)),
            tasks: set("pids", limits.tasks.is_some(), ("pids.max", &tasks), ("pids.max", &tasks)),
        }
    }

    /// Has a controller count for a service's folder. A guard that is alone in a folder delegated to it moves out of the
    /// way first: processes and controlled folders cannot be side by side.
    fn enable(&self, service: &str, controller: &str) -> bool {
        let Some(base) = self.root.parent() else { return false };
        let available = fs::read_to_string(base.join("cgroup.controllers")).unwrap_or_default();
        if !available.split_ascii_whitespace().any(|name| name == controller) {
            return false;
        }
        let wish = format!("+{controller}");
        let enable = |folder: &Path| fs::write(folder.join("cgroup.subtree_control"), &wish);
        let base_enabled = enable(base).is_ok() || (move_guard_below(base).is_ok() && enable(base).is_ok());
        let enabled = base_enabled && enable(&self.root).is_ok();
        self.counts_memory.set(self.counts_memory.get() || (enabled && controller == "memory"));
        // It is made here if no process has been: the first has to find its limits.
        enabled && fs::create_dir_all(self.root.join(service)).is_ok()
    }

    /// Version-1 folders a process of this service has to enter by itself before it is executed.
    pub(crate) fn old_entries(&self, service: &str) -> Vec<File> {
        let controllers = self.old.values().filter(|controller| controller.has(service));
        let entries = controllers.map(|controller| controller.root.join(service).join("cgroup.procs"));
        entries.filter_map(|path| OpenOptions::new().write(true).open(path).ok()).collect()
    }

    /// How often the memory limit of a service has killed something.
    pub(crate) fn oom_kills(&self, service: &str) -> u64 {
        let new = self.counts_memory.get().then(|| self.root.join(service).join("memory.events"));
        let old = self.old.get("memory").filter(|controller| controller.has(service));
        let old = old.map(|controller| controller.root.join(service).join("memory.oom_control"));
        let count = |path: &PathBuf| keyed(&fs::read_to_string(path).ok()?, "oom_kill");
        new.iter().chain(&old).find_map(count).unwrap_or(0)
    }

    /// Memory of a service where the kernel counts it.
    pub(crate) fn memory_bytes(&self, service: &str) -> Option<u64> {
        let new = self.root.join(service).join("memory.current");
        let old = self.old.get("memory").map(|old| old.root.join(service).join("memory.usage_in_bytes"));
        let read = |path: &Path| fs::read_to_string(path).ok()?.trim().parse().ok();
        read(&new).or_else(|| read(&old?))
    }

    /// Processor time of a service so far.
    pub(crate) fn cpu(&self, service: &str) -> Option<Duration> {
        cpu_of(&self.root.join(service))
    }

    /// Removes the folders of a service; those that are still in use stay.
    pub(crate) fn forget(&self, service: &str) {
        remove_tree(&self.root.join(service));
        for controller in self.old.values() {
            controller.forget(service);
        }
    }

    /// Has the folders of a service removed of which nothing will run again. They may be there until [`Self::close`].
    pub(crate) fn sweep(&mut self, service: &str, leaves: Vec<Leaf>) {
        self.sweeper.give(self.root.join(service), leaves);
        for controller in self.old.values() {
            controller.forget(service);
        }
    }

    /// Has that begun.
    pub(crate) fn go_on_sweeping(&mut self) {
        self.sweeper.go_on();
    }

    /// Removes the guard's own folder with those of its services; what programs that run on are in stays.
    pub(crate) fn close(&mut self) {
        self.sweeper.finish();
        remove_tree(&self.root);
        for controller in self.old.values() {
            remove_tree(&controller.root);
        }
    }
}

impl OldController {
    /// Services have folders there already where an earlier guard made them.
    fn of(root: PathBuf) -> Self {
        let entries = fs::read_dir(&root).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let services = RefCell::new(folders.filter_map(|entry| entry.file_name().into_string().ok()).collect());
        Self { root, services }
    }

    fn has(&self, service: &str) -> bool {
        self.services.borrow().contains(service)
    }

    /// Makes the folder of a service. Whether it is there.
    fn make(&self, service: &str) -> bool {
        let made = fs::create_dir_all(self.root.join(service)).is_ok();
        if made {
            self.services.borrow_mut().insert(service.to_owned());
        }
        made
    }

    /// Removes the folder of a service. One that is still in use stays.
    fn forget(&self, service: &str) {
        if !self.has(service) {
            return;
        }
        let folder = self.root.join(service);
        remove_tree(&folder);
        if !folder.exists() {
            self.services.borrow_mut().remove(service);
        }
    }
}

impl Drop for Leaf {
    /// Nobody else removes what an earlier guard made elsewhere: the tree's folder, its service's and that guard's own.
    fn drop(&mut self) {
        const OWN_FOLDERS: usize = 3;
        let folders = self.path.ancestors().take(if self.elsewhere { OWN_FOLDERS } else { 0 });
        for folder in folders {
            // One that is in use stays, and so do those above it.
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}

impl Leaf {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn folder(&self) -> (BorrowedFd<'_>, Entry) {
        (self.folder.as_fd(), self.entry)
    }

    /// Whether nothing more may be born in it.
    pub(crate) const fn is_spent(&self) -> bool {
        self.spent.get()
    }

    /// The file that becomes readable in a special way when the tree becomes empty or frozen.
    pub(crate) fn events(&self) -> io::Result<OwnedFd> {
        Ok(File::open(self.path.join("cgroup.events"))?.into())
    }

    /// Nothing lives in it. What cannot be looked at now is not empty; what somebody has removed is.
    pub(crate) fn is_empty(&self) -> bool {
        self.event("populated").is_ok_and(|populated| populated != Some(1))
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.event("frozen").is_ok_and(|frozen| frozen == Some(1))
    }

    fn event(&self, key: &str) -> io::Result<Option<u64>> {
        /// Longer than the file: two short lines.
        const EVENTS_BYTES: usize = 256;
        let mut text = [0; EVENTS_BYTES];
        let file = rustix::fs::openat(&self.folder, "cgroup.events", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        match file.and_then(|file| rustix::io::read(file, &mut text)).map_err(io::Error::from) {
            Err(error) if is_shortage(&error) => Err(error),
            read => Ok(read.ok().and_then(|count| keyed(&String::from_utf8_lossy(&text[..count]), key))),
        }
    }

    /// Every process in it, also in folders the program made below.
    pub(crate) fn members(&self) -> Vec<u32> {
        let mut members = Vec::new();
        collect_members(&self.path, &mut members);
        members
    }

    /// Whether an earlier guard made it, below another folder than this guard's.
    pub(crate) const fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Processor time of everything that ever was in it.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        cpu_of(&self.path)
    }

    /// Every process in it, but not in folders the program made below.
    pub(crate) fn own_members(&self) -> Vec<u32> {
        let mut members = Vec::new();
        read_members(&self.path, &mut members);
        members
    }

    /// Whether a process belongs to it.
    pub(crate) fn contains(&self, pid: u32) -> bool {
        let Some(path) = procfs::cgroup_path(&pid.to_string()) else { return false };
        path.strip_prefix(&self.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Sends a signal to every process but one. How many were reached.
    pub(crate) fn signal(&self, signal: i32, except: Option<u32>) -> usize {
        let members = self.members().into_iter().filter(|pid| Some(*pid) != except);
        members.filter(|pid| self.signal_one(*pid, signal)).count()
    }

    fn signal_one(&self, pid: u32, signal: i32) -> bool {
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
        let Ok(pidfd) = pidfd_open(raw, PidfdFlags::empty()) else { return false };
        // From here on the descriptor means one process; whether it is one of ours is looked up after.
        self.contains(pid) && send(pidfd.as_fd(), signal).is_ok()
    }

    /// Kills every process at once, those that are being born included.
    pub(crate) fn kill(&self) {
        self.spent.set(true);
        if fs::write(self.path.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        /// On a kernel before 5.14: nothing is born in a frozen tree.
        const ROUNDS_MAX: usize = 32;
        let _ = self.freeze(true);
        for _ in 0..ROUNDS_MAX {
            if self.signal(libc::SIGKILL, None) == 0 {
                break;
            }
        }
        let _ = self.freeze(false);
    }

    pub(crate) fn freeze(&self, frozen: bool) -> io::Result<()> {
        let path = self.path.join("cgroup.freeze");
        let mut file =
            OpenOptions::new().write(true).open(&path).map_err(context(format!("opening {}", path.display())))?;
        file.write_all(if frozen { b"1" } else { b"0" }).map_err(context(format!("writing {}", path.display())))
    }
}

/// The folder of a guard for its services, in the one it is in itself.
fn root_folder(mark: &str) -> String {
    format!("menshen.{mark}")
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
    folder.map_err(context(format!("opening {}", path.display())))
}

/// Makes a folder that has no past.
fn make_anew(path: &Path) -> io::Result<Entry> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove_tree(path);
            match fs::create_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Entry::Walks),
                made => made.map(|()| Entry::Born),
            }
        }
        made => made.map(|()| Entry::Born),
    }
}

fn cpu_of(folder: &Path) -> Option<Duration> {
    let text = fs::read_to_string(folder.join("cpu.stat")).ok()?;
    keyed(&text, "usage_usec").map(Duration::from_micros)
}

/// The value of a key in a file of `key value` lines.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

fn read_members(folder: &Path, members: &mut Vec<u32>) {
    let mut text = String::new();
    if let Ok(mut file) = File::open(folder.join("cgroup.procs"))
        && file.read_to_string(&mut text).is_ok()
    {
        members.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0));
    }
}

fn collect_members(folder: &Path, members: &mut Vec<u32>) {
    read_members(folder, members);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_members(&entry.path(), members);
        }
    }
}

/// Folders of cgroups are removed from the leaves up; files in them are the kernel's.
pub(super) fn remove_tree(folder: &Path) {
    // Most are leaves.
    match fs::remove_dir(folder) {
        Ok(()) => return,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(_) => {}
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

/// The mount point in a line of mountinfo, if it is of this kind.
fn mount_point(line: &str, kind: &str, controller: Option<&str>) -> Option<PathBuf> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let (found, options) = (after.next()?, after.nth(1)?);
    let has = controller.is_none_or(|controller| options.split(',').any(|option| option == controller));
    (found == kind && has).then(|| before.split(' ').nth(4).map(|path| PathBuf::from(path.replace("\\040", " "))))?
}

/// The guard's folder of a version-1 controller, if there is one and it may be used.
fn old_folder(mounts: &str, controller: &str, folder: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find_map(|line| mount_point(line, "cgroup", Some(controller)))?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let controllers = parts.nth(1)?;
        controllers.split(',').any(|name| name == controller).then(|| parts.next())?
    })?;
    let folder = mount.join(own.trim_start_matches('/')).join(folder);
    match fs::create_dir(&folder) {
        Ok(()) => Some(folder),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Some(folder),
        Err(_) => None,
    }
}

/// Moves this process one folder down, if it is alone where it is.
fn move_guard_below(base: &Path) -> io::Result<()> {
    let alone = fs::read_to_string(base.join("cgroup.procs"))?;
    let me = std::process::id().to_string();
    if alone.lines().any(|pid| pid != me) {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "other processes are in the guard's cgroup"));
    }
    let below = base.join(GUARD_FOLDER);
    fs::create_dir_all(&below)?;
    fs::write(below.join("cgroup.procs"), me)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_by_kind_and_controller() {
        let new = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        let old = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory";
        assert_eq!(mount_point(new, "cgroup2", None), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount_point(old, "cgroup", Some("memory")), Some("/sys/fs/cgroup/memory".into()));
        assert_eq!(mount_point(old, "cgroup", Some("pids")), None);
        assert_eq!(mount_point(old, "cgroup2", None), None);
        assert_eq!(mount_point("nonsense", "cgroup2", None), None);
    }

    #[test]
    fn keyed_files_are_read_by_whole_keys() {
        let text = "oom 1\noom_kill 7\noom_kill_disable 0\n";
        assert_eq!(keyed(text, "oom_kill"), Some(7));
        assert_eq!(keyed(text, "oom_kil"), None);
    }
}
