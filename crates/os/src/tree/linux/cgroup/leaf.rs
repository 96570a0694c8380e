//! The folder of one tree.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::super::procfs;
use super::super::send::send;
use super::folder::{collect_members, cpu_of, keyed, open, read_members, remove};
use super::is_alone;
use crate::error::{context, is_shortage};

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

impl Leaf {
    /// A folder in which whatever is born has all that is its.
    pub(super) fn new(path: PathBuf, name: String, entry: Entry) -> io::Result<Self> {
        let folder = open(&path)?;
        Ok(Self { path, name, folder, entry, spent: Cell::new(false), elsewhere: false })
    }

    /// A folder that an earlier guard made. Nothing is born in it any more: nobody knows what has happened there.
    pub(super) fn of_earlier(path: PathBuf, name: String, elsewhere: bool) -> io::Result<Self> {
        let folder = open(&path)?;
        Ok(Self { path, name, folder, entry: Entry::Walks, spent: Cell::new(true), elsewhere })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn folder(&self) -> (BorrowedFd<'_>, Entry) {
        (self.folder.as_fd(), self.entry)
    }

    /// Whether nothing more may be born in it, or can be: anybody who may can remove a folder in which nothing lives.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.get() || self.is_gone()
    }

    /// Whether somebody has removed it. The kernel's files are in it to the end.
    fn is_gone(&self) -> bool {
        let found = rustix::fs::accessat(&self.folder, "cgroup.procs", Access::EXISTS, AtFlags::empty());
        found.is_err_and(|error| matches!(error, Errno::NOENT | Errno::NODEV))
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

    /// Whether somebody froze it, and it is not to go on yet; `None` if that cannot be told.
    pub(crate) fn is_told_to_freeze(&self) -> Option<bool> {
        let told = fs::read_to_string(self.path.join("cgroup.freeze")).ok()?;
        Some(told.trim() == "1")
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

    /// Whether it is not in a folder of its service.
    pub(super) fn is_alone(&self) -> bool {
        self.path.file_name().and_then(OsStr::to_str).is_some_and(is_alone)
    }

    /// The folder in which the kernel counts what it uses.
    pub(super) fn counted_in(&self) -> Option<&Path> {
        if self.is_alone() { Some(&self.path) } else { self.path.parent() }
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

impl Drop for Leaf {
    /// Nobody else removes what an earlier guard made elsewhere: the tree's folder, its service's if it is in one, and that
    /// guard's own.
    fn drop(&mut self) {
        let own = if self.is_alone() { 2 } else { 3 };
        let folders = self.path.ancestors().take(if self.elsewhere { own } else { 0 });
        for folder in folders {
            // One that is in use stays, and so do those above it.
            if !remove(folder) {
                return;
            }
        }
    }
}
