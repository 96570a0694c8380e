//! The controllers of version 1, on machines that have both versions.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::folder::{names_in, remove_tree};
use super::{mount_point, names};

/// The guard's folder of a version-1 controller, and which services have one in it: those with a limit, which are few.
#[derive(Debug)]
pub(super) struct OldController {
    root: PathBuf,
    services: RefCell<BTreeSet<String>>,
}

impl OldController {
    /// The guard's folder of this name, if there is such a controller and it may be used. Services have folders there already
    /// where an earlier guard made them.
    pub(super) fn find(mounts: &str, controller: &str, folder: &str) -> Option<Self> {
        let mount = mounts.lines().find_map(|line| mount_point(line, "cgroup", Some(controller)))?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let controllers = parts.nth(1)?;
            controllers.split(',').any(|name| name == controller).then(|| parts.next())?
        })?;
        let root = mount.join(own.trim_start_matches('/')).join(folder);
        match fs::create_dir(&root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
            _ => {}
        }
        let services = RefCell::new(names_in(&root).map(|name| names::service(&name).to_owned()).collect());
        Some(Self { root, services })
    }

    /// The folder of a service, if it has one.
    pub(super) fn folder(&self, service: &str) -> Option<PathBuf> {
        self.services.borrow().contains(service).then(|| names::folder(&self.root, service))
    }

    /// The folder of a service, made if it has none.
    pub(super) fn make(&self, service: &str) -> Option<PathBuf> {
        let folder = names::folder(&self.root, service);
        fs::create_dir_all(&folder).ok()?;
        self.services.borrow_mut().insert(service.to_owned());
        Some(folder)
    }

    /// Removes the folder of a service. One that is still in use stays.
    pub(super) fn forget(&self, service: &str) {
        if self.folder(service).is_some_and(|folder| remove_tree(&folder)) {
            self.services.borrow_mut().remove(service);
        }
    }

    /// Removes all there is.
    pub(super) fn close(&self) {
        remove_tree(&self.root);
    }
}
