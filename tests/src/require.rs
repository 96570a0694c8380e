//! What a test needs of the machine. A test that cannot have it says so and is skipped; where `CI=true` it fails, because
//! there everything has been installed. There is no other reason to skip a test.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Folders of programs that are not in everybody's `PATH`.
const MORE_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
/// Where Debian and its like keep each version of PostgreSQL.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

/// The path of a program.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(MORE_FOLDERS.map(PathBuf::from)).chain(postgres_folders());
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("there is no {name}"));
    }
    found
}

/// Whether the tests run as root.
#[must_use]
pub fn root() -> bool {
    let is_root = is_root();
    if !is_root {
        skip("it needs root");
    }
    is_root
}

/// A bed that `cargo xtask testbed` makes.
#[must_use]
pub fn testbed(name: &str) -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")));
    let folder = cache.map(|cache| cache.join("menshen-testbed"));
    // It is there whole once its recipe is.
    let found = folder.filter(|folder| folder.join(format!("{name}.recipe")).is_file()).map(|folder| folder.join(name));
    if found.is_none() {
        skip(&format!("there is no test bed '{name}'; `cargo xtask testbed` makes it"));
    }
    found
}

/// An example's program that was built together with the tests, as all of the workspace's are.
#[must_use]
pub fn example(name: &str) -> Option<PathBuf> {
    let found = Some(crate::command::beside("examples").join(name)).filter(|path| path.is_file());
    if found.is_none() {
        skip(&format!("there is no {name} among the examples; `cargo build --workspace --examples` makes it"));
    }
    found
}

/// A program of the workspace, built for Windows.
#[must_use]
pub fn for_windows(name: &str) -> Option<PathBuf> {
    let path = built_for_windows().map(|folder| folder.join(format!("{name}.exe")));
    let found = path.filter(|path| path.is_file());
    if found.is_none() {
        skip(&format!("there is no {name}.exe; `cargo xtask windows` builds it"));
    }
    found
}

/// The unit tests of a package that were built for Windows.
#[must_use]
pub fn unit_tests_for_windows(package: &str) -> Option<PathBuf> {
    for_windows(&format!("unit-tests/{package}"))
}

/// Where what is built for Windows goes.
fn built_for_windows() -> Option<PathBuf> {
    // target/PROFILE/deps/TEST, and target/windows/TARGET/PROFILE/PROGRAM.exe.
    let own = std::env::current_exe().ok()?;
    let target = own.ancestors().find(|folder| folder.ends_with("target"))?;
    Some(target.join("windows/x86_64-pc-windows-gnu/debug"))
}

/// Whether cgroups (version 2) can be made where the tests run.
#[must_use]
pub fn cgroup() -> bool {
    let can = can_make_cgroups();
    if !can {
        skip("no cgroup v2 can be written here");
    }
    can
}

/// Whether a file system of a test's own can be served (FUSE).
#[must_use]
pub fn fuse() -> bool {
    let can = fs::File::options().read(true).write(true).open("/dev/fuse").is_ok() && is_root();
    if !can {
        skip("it needs root and /dev/fuse");
    }
    can
}

/// Where control groups can be made in which a controller counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// The folder.
    pub folder: PathBuf,
    /// Of which version it is.
    pub version: Version,
}

/// The two versions of control groups, whose files have other names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller.
    One,
    /// One for all.
    Two,
}

/// Where the tests may make control groups in which a controller counts: those of version 2 where it is one of theirs.
#[must_use]
pub fn controller(name: &str) -> Option<Controller> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (mounts, own) = (read("/proc/self/mountinfo"), read("/proc/self/cgroup"));
    let second = second_controller(name, &mounts, &own).map(|folder| Controller { folder, version: Version::Two });
    let first = || Some(Controller { folder: first_controller(name, &mounts, &own)?, version: Version::One });
    let found = second.or_else(first).filter(|found| is_root() && found.folder.is_dir());
    if found.is_none() {
        skip(&format!("it needs root and the control group controller '{name}'"));
    }
    found
}

/// The nearest folder around the tests in which a controller counts for those who are made in it, or can be told to. Where
/// processes live beside them it cannot.
fn second_controller(name: &str, mounts: &str, own: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = Path::new(mount).join(own);
    let counts = |folder: &Path| {
        let counted = fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
        counted.split_ascii_whitespace().any(|known| known == name)
            || fs::write(folder.join("cgroup.subtree_control"), format!("+{name}")).is_ok()
    };
    own.ancestors().take_while(|folder| folder.starts_with(mount)).find(|folder| counts(folder)).map(Path::to_owned)
}

/// The folder of a version-1 controller in which the tests are.
fn first_controller(name: &str, mounts: &str, own: &str) -> Option<PathBuf> {
    let has = |names: &str| names.split(',').any(|known| known == name);
    let mount = mounts
        .lines()
        .find(|line| line.split_once(" - cgroup ").is_some_and(|(_, rest)| rest.split(' ').nth(1).is_some_and(has)));
    let mount = mount.and_then(|line| line.split(' ').nth(4));
    let own = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        parts.next().is_some_and(has).then(|| parts.next())?
    });
    Some(Path::new(mount?).join(own?.trim_start_matches('/')))
}

/// Whether a `menshen` with fail-points was built together with the tests, as `cargo xtask test` does.
#[must_use]
pub fn fail_points() -> bool {
    let is_there = crate::command::beside("menshen-with-fail-points").is_file();
    if !is_there {
        skip("there is no menshen-with-fail-points; `cargo xtask test` builds it");
    }
    is_there
}

/// A library with which a program is told another time than it is (libfaketime).
#[must_use]
pub fn other_time() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let library = |folder: PathBuf| folder.join("faketime/libfaketimeMT.so.1");
    let found = folders.chain(["/usr/lib".into()]).map(library).find(|path| path.is_file());
    if found.is_none() {
        skip("there is no libfaketime");
    }
    found
}

/// Whether the kernel remembers how a process ended that somebody else has reaped (Linux 6.15 and later).
#[must_use]
pub fn remembered_exits() -> bool {
    let remembers = exits_are_remembered();
    if !remembers {
        skip("the kernel does not remember how a process ended that has been reaped");
    }
    remembers
}

pub(crate) fn exits_are_remembered() -> bool {
    const SINCE: (u32, u32) = (6, 15);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= SINCE
}

pub(crate) fn is_root() -> bool {
    menshen_os::account::current().uid == 0
}

fn postgres_folders() -> Vec<PathBuf> {
    let versions = fs::read_dir(POSTGRES_VERSIONS).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}

/// Makes one below the tests' own, and removes it.
fn can_make_cgroups() -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let (Some(mount), Some(own)) = (mount, own) else { return false };
    let folder = Path::new(mount).join(own).join(format!("menshen.trial-{}", std::process::id()));
    let can = fs::create_dir(&folder).is_ok() && folder.join("cgroup.kill").exists();
    // If it was made, nothing was put into it.
    let _ = fs::remove_dir(&folder);
    can
}

fn skip(reason: &str) {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "{reason}, and in CI everything must be there");
    // If nobody listens, nobody wants to know.
    let _ = writeln!(std::io::stdout(), "skipped: {reason}");
}
