//! The folders of Linux (and of macOS, which has its own system folders).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Paths;

/// The path whose encoded bytes (`OsStr::as_encoded_bytes`) these are; `None` if they are of none.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> Option<PathBuf> {
    Some(OsStr::from_bytes(bytes).into())
}

pub(super) fn of_system() -> Paths {
    Paths {
        definitions: "/etc/menshen".into(),
        run: "/run/menshen".into(),
        state: "/var/lib/menshen".into(),
        logs: "/var/log/menshen".into(),
    }
}

/// What tells the processes this one can see from those of the whole machine: the number of its namespace of process numbers,
/// if that is another than the machine's own.
pub(super) fn container() -> Option<u64> {
    /// `PROC_PID_INIT_INO` of Linux's include/linux/proc_ns.h.
    const OF_THE_MACHINE: u64 = 0xEFFF_FFFC;
    let number = std::fs::metadata("/proc/self/ns/pid").ok()?.ino();
    (number != OF_THE_MACHINE).then_some(number)
}

pub(super) fn of_caller(environment: &dyn Fn(&str) -> Option<String>) -> Paths {
    // Root's entry is not looked for: that asks every service the machine has for accounts.
    if rustix::process::geteuid().is_root() {
        return of_system();
    }
    let user = crate::account::current();
    let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    of_user(&absolute("HOME").unwrap_or(user.home), &absolute)
}

/// A manager of the system's gives its services no session, and nothing of one.
pub(super) fn of_account(account: &str) -> Option<Paths> {
    let user = crate::account::find(account)?;
    Some(if user.uid == 0 { of_system() } else { of_user(&user.home, &|_| None) })
}

fn of_user(home: &Path, absolute: &dyn Fn(&str) -> Option<PathBuf>) -> Paths {
    let state = absolute("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state")).join("menshen");
    Paths {
        definitions: absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("menshen"),
        // Without a session there is no runtime directory; the state folder is as private, and survives a boot harmlessly.
        run: absolute("XDG_RUNTIME_DIR").map_or_else(|| state.join("run"), |folder| folder.join("menshen")),
        logs: state.join("logs"),
        state,
    }
}

pub(super) fn control(run: &Path, instance: &str) -> PathBuf {
    run.join(format!("{instance}.sock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_moves_everything_below_it() {
        let paths = Paths::of_caller(Some(Path::new("/tmp/x")), &|_| None);
        for path in [&paths.definitions, &paths.run, &paths.state, &paths.logs] {
            assert!(path.starts_with("/tmp/x"), "{}", path.display());
        }
    }

    #[test]
    fn a_guard_of_an_account_has_the_folders_of_a_user_without_a_session() {
        assert_eq!(of_account("root"), Some(of_system()));
        assert_eq!(of_account("nobody-of-this-name"), None);
        let nobody = of_account("nobody").unwrap();
        let home = crate::account::find("nobody").unwrap().home;
        assert_eq!(nobody, of_user(&home, &|_| None));
        assert!(nobody.run.starts_with(&nobody.state) && nobody.state.starts_with(home), "{nobody:?}");
    }

    #[test]
    fn no_two_paths_of_a_guard_are_the_same() {
        let paths = of_system();
        let all = [
            paths.control("a"),
            paths.lock("a"),
            paths.pipes("a"),
            paths.memory("a"),
            paths.memory_lock("a"),
            paths.service_logs("a", "b"),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    /// A place with a guard named `shop`.
    fn place(folder: &Path) -> Paths {
        let paths = Paths::below(folder);
        std::fs::create_dir_all(paths.memory("shop")).unwrap();
        paths
    }

    #[test]
    fn guards_of_one_name_are_marked_by_where_what_they_remember_is() {
        let folder = tempfile::tempdir().unwrap();
        let one = place(&folder.path().join("one")).mark("shop").unwrap();
        let other = place(&folder.path().join("other")).mark("shop").unwrap();
        assert!(one.starts_with("shop@") && other.starts_with("shop@") && one != other, "{one} {other}");
    }

    #[test]
    fn every_way_to_one_folder_is_the_same_mark() {
        let folder = tempfile::tempdir().unwrap();
        let mark = place(&folder.path().join("one")).mark("shop").unwrap();
        std::os::unix::fs::symlink(folder.path().join("one"), folder.path().join("link")).unwrap();
        for way in ["link", "one/", "one/etc/..", "./one"] {
            std::fs::create_dir_all(folder.path().join("one/etc")).unwrap();
            assert_eq!(Paths::below(&folder.path().join(way)).mark("shop").unwrap(), mark, "{way}");
        }
    }

    #[test]
    fn the_guards_of_the_system_are_marked_by_their_names_alone_but_for_those_in_a_container() {
        // It has no folder in one.
        let mark = of_system().mark("shop").ok();
        assert_eq!(mark.as_deref() == Some("shop"), container().is_none(), "{mark:?}");
    }
}
