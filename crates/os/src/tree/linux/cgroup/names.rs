//! What the folder of a service is called where it has one. The kernel has files beside it, with names that a service may have,
//! too, and more of them with each controller: a folder that could get into their way has another name.

use std::path::{Path, PathBuf};

/// Files of version 1 that belong to no controller.
const FILES: [&str; 3] = ["tasks", "notify_on_release", "release_agent"];
/// What stands before the first dot in the names of all other files: the controllers of both versions, and cgroups themselves.
const CONTROLLERS: [&str; 19] = [
    "blkio",
    "cgroup",
    "cpu",
    "cpuacct",
    "cpuset",
    "debug",
    "devices",
    "dmem",
    "freezer",
    "hugetlb",
    "io",
    "irq",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];
/// No service's name begins with it, and no file's.
const ESCAPE: char = '_';

/// The folder of a service, below this one. A guard of before may have made it by the name of the service; then it stays that.
pub(super) fn folder(root: &Path, service: &str) -> PathBuf {
    let plain = root.join(service);
    if !may_be_file(service) || plain.is_dir() { plain } else { root.join(format!("{ESCAPE}{service}")) }
}

/// Whose folder of a guard one of this name is.
pub(super) fn service(folder: &str) -> &str {
    folder.strip_prefix(ESCAPE).unwrap_or(folder)
}

/// Whether the kernel has, or may come to have, a file of this name.
fn may_be_file(name: &str) -> bool {
    let controller = name.split_once('.').map(|(controller, _)| controller);
    FILES.contains(&name) || controller.is_some_and(|controller| CONTROLLERS.contains(&controller))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_never_called_like_a_file_of_the_kernel() {
        let root = tempfile::tempdir().unwrap();
        let name = |service: &str| folder(root.path(), service).file_name().unwrap().to_str().unwrap().to_owned();
        for (of, called) in [
            ("web", "web"),
            ("web.1", "web.1"),
            ("memory", "memory"),
            ("tasks", "_tasks"),
            ("cgroup.procs", "_cgroup.procs"),
            ("memory.limit_in_bytes", "_memory.limit_in_bytes"),
        ] {
            assert_eq!((name(of).as_str(), service(called)), (called, of));
        }
    }

    #[test]
    fn a_folder_that_was_made_by_the_name_of_its_service_keeps_it() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("tasks")).unwrap();
        std::fs::write(root.path().join("cgroup.procs"), "").unwrap();
        assert_eq!(folder(root.path(), "tasks"), root.path().join("tasks"));
        assert_eq!(folder(root.path(), "cgroup.procs"), root.path().join("_cgroup.procs"));
    }
}
