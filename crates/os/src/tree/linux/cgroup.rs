//! Trees as cgroups (version 2): one folder for each program, which everything it starts is born into.
//!
//! It is called `SERVICE:ROLE`. Where a service has limits, it is called `ROLE` and is in a folder `SERVICE`: the limits are
//! those of all its programs together. There is no such folder without limits, because the kernel takes its time to make and
//! to remove each. A service's name has no colon.

mod folder;
mod leaf;
mod version1;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use self::folder::remove_tree;
use self::folder::{cpu_of, keyed, names_in};
pub(crate) use self::leaf::{Entry, Leaf};
use self::version1::OldController;
use super::procfs;
use super::sweeper::Sweeper;
use crate::error::context;
use crate::program::Place;
use crate::usage::{Enforced, Limits};

/// The folders of one guard.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    /// Where the kernel shows all of them.
    mount: PathBuf,
    /// The guard's folder for its services.
    root: PathBuf,
    /// Version-1 controllers, on machines that have both: `memory`, `pids`, `cpu`.
    old: BTreeMap<&'static str, OldController>,
    /// The services that have a folder of their own.
    grouped: RefCell<BTreeSet<String>>,
    /// Processor time of services in programs' folders that were removed since this guard began, and were in none of theirs.
    spent: RefCell<BTreeMap<String, Duration>>,
    /// Whether the kernel counts the memory of each service. Known without a look, for each start of a program.
    counts_memory: Cell<bool>,
    sweeper: Sweeper,
}

/// Where the guard moves if its own folder has to be free of processes.
const GUARD_FOLDER: &str = "menshen.guard";
const OLD_CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// Stands between a service and a role in the name of a folder. No service's name has it.
const ALONE: char = ':';
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
            .filter_map(|controller| Some((controller, OldController::find(&mounts, controller, &folder)?)))
            .collect();
        let controlled = fs::read_to_string(root.join("cgroup.subtree_control")).unwrap_or_default();
        let counts_memory = Cell::new(controlled.split_ascii_whitespace().any(|name| name == "memory"));
        // An earlier guard has made these.
        let grouped = RefCell::new(names_in(&root).filter(|name| !is_alone(name)).collect());
        let (spent, sweeper) = (RefCell::default(), Sweeper::default());
        Some(Self { mount, root, old, grouped, spent, counts_memory, sweeper })
    }

    /// The folder of a tree, made if it is not there.
    pub(crate) fn leaf(&self, place: &Place) -> io::Result<Leaf> {
        let [alone, grouped] = self.paths(place);
        let path = if self.is_grouped(&place.service) {
            self.retire(&place.service, &alone);
            grouped
        } else {
            alone
        };
        let entry = self.make_anew(&place.service, &path).map_err(context(format!("creating {}", path.display())))?;
        let name = self.name(&path).ok_or(io::ErrorKind::InvalidFilename)?;
        Leaf::new(path, name, entry)
    }

    /// Whether a program of its place has to be born in another folder than this: the service has got a folder since.
    pub(crate) fn is_outgrown(&self, leaf: &Leaf, service: &str) -> bool {
        leaf.is_alone() && self.is_grouped(service)
    }

    fn is_grouped(&self, service: &str) -> bool {
        self.grouped.borrow().contains(service)
    }

    /// Where the folder of a tree may be: by itself, or in its service's.
    fn paths(&self, place: &Place) -> [PathBuf; 2] {
        folders_of(place).map(|folder| self.root.join(folder))
    }

    /// A folder as the kernel shows it in `/proc/PID/cgroup`.
    fn name(&self, path: &Path) -> Option<String> {
        Some(format!("/{}", path.strip_prefix(&self.mount).ok()?.to_str()?))
    }

    /// Makes a folder that has no past.
    fn make_anew(&self, service: &str, path: &Path) -> io::Result<Entry> {
        let made = match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.retire(service, path) => {
                fs::create_dir(path)
            }
            made => made,
        };
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Entry::Walks),
            made => made.map(|()| Entry::Born),
        }
    }

    /// Removes a program's folder and keeps in mind what the service has used there, which goes with it. Whether it is gone.
    fn retire(&self, service: &str, path: &Path) -> bool {
        let used = path.file_name().and_then(|name| name.to_str()).filter(|name| is_alone(name)).and(cpu_of(path));
        let is_gone = remove_tree(path);
        if let Some(used) = used.filter(|_| is_gone) {
            *self.spent.borrow_mut().entry(service.to_owned()).or_default() += used;
        }
        is_gone
    }

    /// The folder of the tree a process lives in, wherever a guard with one of these marks made it.
    pub(crate) fn folder_of(&self, pid: u32, marks: [&String; 2], place: &Place) -> Option<PathBuf> {
        let path = self.mount.join(procfs::cgroup_path(&pid.to_string())?.trim_start_matches('/'));
        let own: Vec<PathBuf> = marks
            .into_iter()
            .flat_map(|mark| folders_of(place).map(|folder| Path::new(&root_folder(mark)).join(folder)))
            .collect();
        path.ancestors().find(|folder| own.iter().any(|own| folder.ends_with(own))).map(Path::to_owned)
    }

    /// The folder of a tree that an earlier guard made: this, or if nobody noted one, the one this guard would make. `None` if
    /// it is gone, with all that lived in it.
    pub(crate) fn leaf_of_earlier(&self, place: &Place, noted: Option<&Path>) -> Option<Leaf> {
        let leaf =
            |path: &Path| Leaf::of_earlier(path.to_owned(), self.name(path)?, !path.starts_with(&self.root)).ok();
        if let Some(path) = noted {
            return leaf(path);
        }
        let mut leaves: Vec<Leaf> = self.paths(place).iter().filter_map(|path| leaf(path)).collect();
        // What lives is in one of them.
        let lived_in = leaves.iter().position(|leaf| !leaf.is_empty()).unwrap_or(0);
        (!leaves.is_empty()).then(|| leaves.swap_remove(lived_in))
    }

    /// Sets what a service may use. Says what the kernel enforces. Programs that run in folders by themselves, because there
    /// were no limits when they began, get each the whole of it.
    pub(crate) fn limit(&self, service: &str, limits: &Limits, leaves: &[&Leaf]) -> Enforced {
        let memory = limits.memory_bytes.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        let tasks = limits.tasks.map_or_else(|| "max".to_owned(), |tasks| tasks.to_string());
        let quota = limits.cpu_cores.map(|cores| cores * CPU_PERIOD_US);
        let cpu = quota.map_or_else(|| "max 100000".to_owned(), |quota| format!("{quota:.0} {CPU_PERIOD_US:.0}"));
        let old_memory = limits.memory_bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
        let old_cpu = quota.map_or_else(|| "-1".to_owned(), |quota| format!("{quota:.0}"));
        let set = |controller: &str, wanted: bool, new: (&str, &str), old: (&str, &str)| {
            let set_new = || self.set(service, (controller, wanted), new, leaves);
            let set_old = || {
                let controller = self.old.get(controller)?;
                let folder = controller.folder(service).or_else(|| wanted.then(|| controller.make(service))?)?;
                Some(fs::write(folder.join(old.0), old.1).is_ok())
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

    /// Sets one limit of a service by a controller of version 2. Whether it is set.
    fn set(
        &self,
        service: &str,
        (controller, wanted): (&str, bool),
        (file, value): (&str, &str),
        leaves: &[&Leaf],
    ) -> bool {
        let folder = self.root.join(service);
        let counts =
            (self.is_grouped(service) && folder.join(file).exists()) || (wanted && self.enable(service, controller));
        if !counts {
            return false;
        }
        let alone = leaves.iter().filter(|leaf| leaf.is_alone() && !leaf.is_elsewhere()).map(|leaf| leaf.path());
        let mut folders = alone.chain([folder.as_path()]);
        folders.all(|folder| fs::write(folder.join(file), value).is_ok())
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
        let made = enabled && fs::create_dir_all(self.root.join(service)).is_ok();
        if made {
            self.grouped.borrow_mut().insert(service.to_owned());
        }
        made
    }

    /// Version-1 folders a process of this service has to enter by itself before it is executed.
    pub(crate) fn old_entries(&self, service: &str) -> Vec<File> {
        let folders = self.old.values().filter_map(|controller| controller.folder(service));
        folders.filter_map(|folder| OpenOptions::new().write(true).open(folder.join("cgroup.procs")).ok()).collect()
    }

    /// How often a memory limit has killed something of a tree's service.
    pub(crate) fn oom_kills(&self, service: &str, leaf: &Leaf) -> u64 {
        let new = leaf.counted().filter(|_| self.counts_memory.get()).map(|folder| folder.join("memory.events"));
        let old = self.old.get("memory").and_then(|controller| controller.folder(service));
        let old = old.map(|folder| folder.join("memory.oom_control"));
        let count = |path: &PathBuf| keyed(&fs::read_to_string(path).ok()?, "oom_kill");
        new.iter().chain(&old).find_map(count).unwrap_or(0)
    }

    /// Memory of a service where the kernel counts it.
    pub(crate) fn memory_bytes(&self, service: &str, leaves: &[&Leaf]) -> Option<u64> {
        let read = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let new = self.counted(service, leaves).filter_map(|folder| read(&folder.join("memory.current")));
        let old = || read(&self.old.get("memory")?.folder(service)?.join("memory.usage_in_bytes"));
        new.reduce(|sum, bytes| sum + bytes).or_else(old)
    }

    /// Processor time of a service so far.
    pub(crate) fn cpu(&self, service: &str, leaves: &[&Leaf]) -> Option<Duration> {
        let spent = self.spent.borrow().get(service).copied();
        let used = self.counted(service, leaves).filter_map(|folder| cpu_of(&folder));
        used.chain(spent).reduce(|sum, used| sum + used)
    }

    /// The folders in which the kernel counts what a service uses.
    fn counted(&self, service: &str, leaves: &[&Leaf]) -> impl Iterator<Item = PathBuf> {
        let alone = leaves.iter().filter(|leaf| leaf.is_alone()).map(|leaf| leaf.path().to_owned());
        self.is_grouped(service).then(|| self.root.join(service)).into_iter().chain(alone)
    }

    /// Removes the folders of a service, which has had these trees; those that are still in use stay.
    pub(crate) fn forget(&self, service: &str, leaves: &[&Leaf]) {
        for leaf in leaves {
            remove_tree(leaf.path());
        }
        if self.is_grouped(service) && remove_tree(&self.root.join(service)) {
            self.grouped.borrow_mut().remove(service);
        }
        self.spent.borrow_mut().remove(service);
        for controller in self.old.values() {
            controller.forget(service);
        }
    }

    /// Has the folders of a service removed of which nothing will run again. They may be there until [`Self::close`].
    pub(crate) fn sweep(&mut self, service: &str, leaves: Vec<Leaf>) {
        let grouped = self.is_grouped(service).then(|| self.root.join(service));
        self.sweeper.give(grouped, leaves);
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
            controller.close();
        }
    }
}

/// The folder of a guard for its services, in the one it is in itself.
fn root_folder(mark: &str) -> String {
    format!("menshen.{mark}")
}

/// What the folder of a tree may be called, below its guard's: by itself, or in its service's.
fn folders_of(place: &Place) -> [PathBuf; 2] {
    let Place { service, role } = place;
    [PathBuf::from(format!("{service}{ALONE}{role}")), Path::new(service).join(role)]
}

/// Whether a program's folder of this name is not in one of its service.
fn is_alone(name: &str) -> bool {
    name.contains(ALONE)
}

/// The mount point in a line of mountinfo, if it is of this kind.
fn mount_point(line: &str, kind: &str, controller: Option<&str>) -> Option<PathBuf> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let (found, options) = (after.next()?, after.nth(1)?);
    let has = controller.is_none_or(|controller| options.split(',').any(|option| option == controller));
    (found == kind && has).then(|| before.split(' ').nth(4).map(|path| PathBuf::from(path.replace("\\040", " "))))?
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
}
