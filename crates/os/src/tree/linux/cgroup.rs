//! Trees as cgroups (version 2): one folder for each program, which everything it starts is born into.
//!
//! It is called `SERVICE@ROLE`. Where a service has limits, it is called `ROLE` and is in a folder `SERVICE`, or as `names` says:
//! the limits are those of all its programs together. No such folder is made without limits, because the kernel takes its time to
//! make and to remove each; one that an earlier version made, or that was made when there were limits, is used as long as it is
//! there.

mod folder;
mod leaf;
mod names;
mod version1;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
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
    /// Version-1 controllers, on machines that have both: `memory`, `pids`, `cpu`.
    old: BTreeMap<&'static str, OldController>,
    /// The services that have a folder of their own.
    grouped: RefCell<BTreeSet<String>>,
    /// Programs' folders by themselves that an earlier guard has made.
    left: BTreeSet<String>,
    /// What services may use that have a limit.
    limits: RefCell<BTreeMap<String, Limits>>,
    /// Processor time of services in programs' folders by themselves that were removed since this guard began.
    spent: RefCell<BTreeMap<String, Duration>>,
    /// The process that holds for the next guard, which is wherever this one is.
    holder: Cell<Option<u32>>,
    /// Whether the kernel counts the memory of each service. Known without a look, for each start of a program.
    counts_memory: Cell<bool>,
    sweeper: Sweeper,
}

/// One limit of a service, with the file of each version that it is written into, and what is written.
struct Limit {
    controller: &'static str,
    is_wanted: bool,
    new: (&'static str, String),
    old: (&'static str, String),
}

/// Where the guard moves if its own folder has to be free of processes.
const GUARD_FOLDER: &str = "menshen.guard";
const OLD_CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// Stands between a service and a role in the name of a folder. No service's name has it. It is no colon: programs look for
/// their own folder in `/proc/self/cgroup`, and many take every colon there for the end of a field.
const ALONE: char = '@';
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
        let (left, grouped): (_, BTreeSet<_>) = names_in(&root).partition(|name| is_alone(name));
        let grouped: BTreeSet<_> = grouped.iter().map(|name| names::service(name).to_owned()).collect();
        let (grouped, limits, spent) = (RefCell::new(grouped), RefCell::default(), RefCell::default());
        let (holder, sweeper) = (Cell::default(), Sweeper::default());
        Some(Self { mount, root, old, grouped, left, limits, spent, holder, counts_memory, sweeper })
    }

    /// From now on this process holds for the next guard.
    pub(crate) fn set_holder(&self, pid: u32) {
        self.holder.set(Some(pid));
    }

    /// The folder of a tree, made if it is not there.
    pub(crate) fn leaf(&self, place: &Place) -> io::Result<Leaf> {
        self.limit_again(&place.service);
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

    /// Where the folder of a service is, if it has one.
    fn folder(&self, service: &str) -> PathBuf {
        names::folder(&self.root, service)
    }

    /// Where the folder of a tree may be: by itself, or in its service's.
    fn paths(&self, place: &Place) -> [PathBuf; 2] {
        [self.root.join(name_alone(place)), self.folder(&place.service).join(&place.role)]
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
        let roots = marks.map(|mark| root_folder(mark));
        path.ancestors().find(|folder| is_of(folder, &roots, place)).map(Path::to_owned)
    }

    /// The folder of a tree that an earlier guard made, wherever that was. `None` if it is gone, with all that lived in it; an
    /// error if one cannot look now.
    pub(crate) fn leaf_of_earlier(&self, path: &Path) -> io::Result<Option<Leaf>> {
        let Some(name) = self.name(path) else { return Ok(None) };
        match Leaf::of_earlier(path.to_owned(), name, !path.starts_with(&self.root)) {
            Err(error) if is_shortage(&error) => Err(error),
            leaf => Ok(leaf.ok()),
        }
    }

    /// The folders of a tree that an earlier guard may have made where this one would.
    pub(crate) fn leaves_of_earlier(&self, place: &Place) -> io::Result<Vec<Leaf>> {
        self.paths(place).iter().filter_map(|path| self.leaf_of_earlier(path).transpose()).collect()
    }

    /// Sets what a service may use. Says what the kernel enforces. Programs that run in folders by themselves, because there
    /// were no limits when they began, get each the whole of it.
    pub(crate) fn limit(&self, service: &str, limits: &Limits, leaves: &[&Leaf]) -> Enforced {
        if *limits == Limits::default() {
            self.limits.borrow_mut().remove(service);
        } else {
            self.limits.borrow_mut().insert(service.to_owned(), *limits);
        }
        let or = |limit: Option<String>, none: &str| limit.unwrap_or_else(|| none.to_owned());
        let memory = limits.memory_bytes.map(|bytes| bytes.to_string());
        let quota = limits.cpu_cores.map(|cores| format!("{:.0}", cores * CPU_PERIOD_US));
        let tasks = or(limits.tasks.map(|tasks| tasks.to_string()), "max");
        let set = |limit: Limit| self.set(service, &limit, leaves);
        Enforced {
            memory: set(Limit {
                controller: "memory",
                is_wanted: memory.is_some(),
                new: ("memory.max", or(memory.clone(), "max")),
                old: ("memory.limit_in_bytes", or(memory, "-1")),
            }),
            cpu: set(Limit {
                controller: "cpu",
                is_wanted: quota.is_some(),
                new: ("cpu.max", format!("{} {CPU_PERIOD_US:.0}", or(quota.clone(), "max"))),
                old: ("cpu.cfs_quota_us", or(quota, "-1")),
            }),
            tasks: set(Limit {
                controller: "pids",
                is_wanted: limits.tasks.is_some(),
                new: ("pids.max", tasks.clone()),
                old: ("pids.max", tasks),
            }),
        }
    }

    /// Sets once more what a service may use if somebody has removed a folder of it: nothing lived there that would have been
    /// held to it.
    fn limit_again(&self, service: &str) {
        let Some(limits) = self.limits.borrow().get(service).copied() else { return };
        let new = self.is_grouped(service).then(|| self.folder(service));
        let old = self.old.values().filter_map(|controller| controller.folder(service));
        if new.into_iter().chain(old).any(|folder| !folder.exists()) {
            self.limit(service, &limits, &[]);
        }
    }

    /// Sets one limit of a service. Whether it is held to it, or need not be.
    fn set(&self, service: &str, limit: &Limit, leaves: &[&Leaf]) -> bool {
        self.set_new(service, limit, leaves)
            || self.set_old(service, limit, leaves).unwrap_or(false)
            || !limit.is_wanted
    }

    fn set_new(&self, service: &str, limit: &Limit, leaves: &[&Leaf]) -> bool {
        let (file, value) = &limit.new;
        let own = self.folder(service).join(file);
        let counts =
            (self.is_grouped(service) && own.exists()) || (limit.is_wanted && self.enable(service, limit.controller));
        // Also where its own folder is gone, as it is when a guard has left alone, what runs may have to be let off a limit.
        let others = leaves.iter().filter(|leaf| leaf.is_alone() || leaf.is_elsewhere());
        let others = others.filter_map(|leaf| leaf.counted_in()).filter(|folder| folder.exists());
        let files = counts.then_some(own).into_iter().chain(others.map(|folder| folder.join(file)));
        let failed = files.filter(|file| !file.exists() || fs::write(file, value).is_err()).count();
        counts && failed == 0
    }

    fn set_old(&self, service: &str, limit: &Limit, leaves: &[&Leaf]) -> Option<bool> {
        let (file, value) = &limit.old;
        let controller = self.old.get(limit.controller)?;
        let is_there = controller.folder(service).filter(|folder| folder.exists());
        let folder = is_there.clone().or_else(|| limit.is_wanted.then(|| controller.make(service))?)?;
        if is_there.is_none() {
            enter(&folder, leaves);
        }
        Some(fs::write(folder.join(file), value).is_ok())
    }

    /// Has a controller count for a service's folder. A guard that is alone with its holder in a folder delegated to it moves
    /// out of the way first: processes and controlled folders cannot be side by side.
    fn enable(&self, service: &str, controller: &str) -> bool {
        let Some(base) = self.root.parent() else { return false };
        let available = fs::read_to_string(base.join("cgroup.controllers")).unwrap_or_default();
        if !available.split_ascii_whitespace().any(|name| name == controller) {
            return false;
        }
        let wish = format!("+{controller}");
        let enable = |folder: &Path| fs::write(folder.join("cgroup.subtree_control"), &wish);
        let enabled = self.make_room(base).is_ok() && enable(base).is_ok() && enable(&self.root).is_ok();
        self.counts_memory.set(self.counts_memory.get() || (enabled && controller == "memory"));
        let made = enabled && fs::create_dir_all(self.folder(service)).is_ok();
        if made {
            self.grouped.borrow_mut().insert(service.to_owned());
        }
        made
    }

    /// Moves the guard one folder down, with its holder, if nobody else is where they are, and nobody has to be: a service
    /// manager that starts the next guard where this one was started could not do so any more.
    ///
    /// The kernel refuses controllers where processes are, but for some with which no process can be in a folder below. Only
    /// in the machine's own folder, which is of no kind, they can be side by side.
    fn make_room(&self, base: &Path) -> io::Result<()> {
        const UNIT: &str = "service";
        let procs = fs::read_to_string(base.join("cgroup.procs"))?;
        if procs.is_empty() || !base.join("cgroup.type").exists() {
            return Ok(());
        }
        let is_unit = base.extension().is_some_and(|extension| extension == UNIT);
        let own = [Some(std::process::id()), self.holder.get()].map(|pid| pid.map(|pid| pid.to_string()));
        let is_own = |pid: &str| own.iter().flatten().any(|own| own == pid);
        if is_unit || !procs.lines().all(is_own) {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "others are, or have to be, in the guard's cgroup",
            ));
        }
        let below = base.join(GUARD_FOLDER);
        fs::create_dir_all(&below)?;
        procs.lines().try_for_each(|pid| fs::write(below.join("cgroup.procs"), pid))
    }

    /// Version-1 folders a process of this service has to enter by itself before it is executed.
    pub(crate) fn old_entries(&self, service: &str) -> Vec<File> {
        self.limit_again(service);
        let folders = self.old.values().filter_map(|controller| controller.folder(service));
        folders.filter_map(|folder| OpenOptions::new().write(true).open(folder.join("cgroup.procs")).ok()).collect()
    }

    /// How often a memory limit has killed something of a tree's service.
    pub(crate) fn oom_kills(&self, service: &str, leaf: &Leaf) -> u64 {
        let new = leaf.counted_in().filter(|_| self.counts_memory.get()).map(|folder| folder.join("memory.events"));
        let old = self.old.get("memory").and_then(|controller| controller.folder(service));
        let old = old.map(|folder| folder.join("memory.oom_control"));
        let count = |path: &PathBuf| keyed(&fs::read_to_string(path).ok()?, "oom_kill");
        new.iter().chain(&old).find_map(count).unwrap_or(0)
    }

    /// Memory of a service where the kernel counts it.
    pub(crate) fn memory_bytes(&self, service: &str, leaves: &[&Leaf]) -> Option<u64> {
        let read = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let new = self.folders_counted(service, leaves).filter_map(|folder| read(&folder.join("memory.current")));
        let old = || read(&self.old.get("memory")?.folder(service)?.join("memory.usage_in_bytes"));
        new.reduce(|sum, bytes| sum + bytes).or_else(old)
    }

    /// Processor time of a service so far.
    pub(crate) fn cpu(&self, service: &str, leaves: &[&Leaf]) -> Option<Duration> {
        let spent = self.spent.borrow().get(service).copied();
        let used = self.folders_counted(service, leaves).filter_map(|folder| cpu_of(&folder));
        used.chain(spent).reduce(|sum, used| sum + used)
    }

    /// The folders in which the kernel counts what a service uses.
    fn folders_counted(&self, service: &str, leaves: &[&Leaf]) -> impl Iterator<Item = PathBuf> {
        let alone = leaves.iter().filter(|leaf| leaf.is_alone()).map(|leaf| leaf.path().to_owned());
        self.is_grouped(service).then(|| self.folder(service)).into_iter().chain(alone)
    }

    /// Removes the folders of a service, which has had these trees; those that are still in use stay.
    pub(crate) fn forget(&self, service: &str, leaves: &[&Leaf]) {
        let its = format!("{service}{ALONE}");
        let left = self.left.range(its.clone()..).take_while(|name| name.starts_with(&its));
        let left = left.map(|name| self.root.join(name));
        let own = leaves.iter().map(|leaf| leaf.path().to_owned());
        for folder in left.chain(own) {
            remove_tree(&folder);
        }
        if self.is_grouped(service) && remove_tree(&self.folder(service)) {
            self.grouped.borrow_mut().remove(service);
        }
        self.spent.borrow_mut().remove(service);
        self.limits.borrow_mut().remove(service);
        for controller in self.old.values() {
            controller.forget(service);
        }
    }

    /// Has the folders of a service removed of which nothing will run again. They may be there until [`Self::close`].
    pub(crate) fn sweep(&mut self, service: &str, leaves: Vec<Leaf>) {
        let grouped = self.is_grouped(service).then(|| self.folder(service));
        self.sweeper.give(grouped, leaves);
        self.limits.borrow_mut().remove(service);
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

/// What the folder of a tree is called that is by itself.
fn name_alone(place: &Place) -> String {
    format!("{}{ALONE}{}", place.service, place.role)
}

/// Whether a folder is that of a tree, by itself or in its service's, in one of these of guards.
fn is_of(folder: &Path, roots: &[String; 2], place: &Place) -> bool {
    let mut names = folder.iter().rev().filter_map(OsStr::to_str);
    let (Some(own), Some(above)) = (names.next(), names.next()) else { return false };
    if own == name_alone(place) {
        return roots.iter().any(|root| root == above);
    }
    own == place.role
        && names::service(above) == place.service
        && roots.iter().any(|root| names.clone().next() == Some(root.as_str()))
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

/// Has everything that lives in these folders enter another one, of version 1, too.
fn enter(folder: &Path, leaves: &[&Leaf]) {
    /// What is born while others enter is born where its parent is: in the second round nearly all are there.
    const ROUNDS: usize = 3;
    let procs = folder.join("cgroup.procs");
    for _ in 0..ROUNDS {
        for pid in leaves.iter().flat_map(|leaf| leaf.members()) {
            // It may have ended.
            let _ = fs::write(&procs, pid.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_tree_is_known_by_every_name_it_may_have() {
        let roots = ["menshen.shop@1", "menshen.shop"].map(str::to_owned);
        let place = Place { service: "tasks".to_owned(), role: "main".to_owned() };
        for own in ["tasks@main", "tasks/main", "_tasks/main"] {
            for root in &roots {
                assert!(is_of(&Path::new("/a").join(root).join(own), &roots, &place), "{root} {own}");
            }
            assert!(!is_of(&Path::new("/menshen.other").join(own), &roots, &place), "{own}");
        }
        for other in ["tasks@probe", "tasks/probe", "web/main", "main", "tasks"] {
            assert!(!is_of(&Path::new("/menshen.shop").join(other), &roots, &place), "{other}");
        }
    }

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
