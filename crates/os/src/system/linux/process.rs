//! One process the guard looks after, with its tree.

use std::cell::Cell;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::child::ExecFailure;
use super::spawn::Born;
use crate::error::{describe, is_shortage};
use crate::event::{OsEvent, Token};
use crate::holder::platform::Entered;
use crate::program::Place;
use crate::tree::Tree;

/// How much of a program's last output is kept where it is asked for, in bytes.
const TAIL_BYTES_MAX: usize = 2048;

/// How far a main process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is there; whether its file can be executed is not known yet.
    Born,
    /// It runs the program.
    Running,
    /// It has ended; its tree may not have.
    Ended,
}

#[derive(Debug)]
pub(super) struct Process {
    pub token: Token,
    pub place: Place,
    /// The how manieth run of its service it is; 0 if it is none.
    pub run: u64,
    pub pid: u32,
    /// What it was started as, with its start time, if it has named another main process since.
    pub first: Option<(u32, u64)>,
    pub stage: Stage,
    pub tree: Rc<Tree>,
    pub awaits_frost: bool,
    pub awaits_empty: bool,
    /// How often the memory limit of the service had killed before this started.
    pub oom_kills: u64,
    pidfd: Entered,
    /// What its tree had used before this run, once that was asked for.
    cpu_before: Cell<Option<Duration>>,
    /// When the main process started, if that was certain at its birth or once it was asked for.
    start_time: Cell<Option<u64>>,
    exec_pipe: Option<OwnedFd>,
    start_error: Option<io::Error>,
    /// What the program is called in the error.
    failure: Option<ExecFailure>,
    tail_pipe: Option<std::fs::File>,
    tail: Vec<u8>,
    tree_watch: Option<OwnedFd>,
}

impl Process {
    pub(super) fn new(
        token: Token,
        (place, run): (Place, u64),
        tree: Rc<Tree>,
        born: Born,
        tail_pipe: Option<OwnedFd>,
        oom_kills: u64,
    ) -> Self {
        Self {
            token,
            place,
            run,
            pid: born.pid,
            first: None,
            stage: Stage::Born,
            tree,
            awaits_frost: false,
            awaits_empty: false,
            oom_kills,
            cpu_before: Cell::new(None),
            pidfd: born.pidfd,
            start_time: Cell::new(born.start_time),
            exec_pipe: Some(born.exec_pipe),
            start_error: None,
            failure: Some(born.failure),
            tail_pipe: tail_pipe.map(Into::into),
            tail: Vec::new(),
            tree_watch: None,
        }
    }

    pub(super) fn adopted(token: Token, (place, run): (Place, u64), tree: Rc<Tree>, pid: u32, pidfd: Entered) -> Self {
        Self {
            token,
            place,
            run,
            pid,
            first: None,
            stage: Stage::Running,
            tree,
            awaits_frost: false,
            awaits_empty: false,
            oom_kills: 0,
            cpu_before: Cell::new(None),
            pidfd,
            start_time: Cell::new(None),
            exec_pipe: None,
            start_error: None,
            failure: None,
            tail_pipe: None,
            tail: Vec::new(),
            tree_watch: None,
        }
    }

    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub(super) fn exec_pipe(&self) -> Option<BorrowedFd<'_>> {
        self.exec_pipe.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn tail(&self) -> Option<BorrowedFd<'_>> {
        self.tail_pipe.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn tree_watch(&self) -> Option<BorrowedFd<'_>> {
        self.tree_watch.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn replace_main(&mut self, pid: u32, pidfd: Entered) {
        if self.first.is_none() {
            self.first = crate::tree::start_time(self.pid).map(|start| (self.pid, start));
        }
        self.pid = pid;
        self.pidfd = pidfd;
        self.start_time.set(None);
    }

    /// Processor time of this run, where the system counts it. What its tree has used before this is first asked for is that of
    /// earlier runs, but for what its processes, and their children, have: nothing is read for those who never ask.
    pub(super) fn cpu(&self) -> Option<Duration> {
        let all = self.tree.cpu()?;
        let before = self.cpu_before.get().unwrap_or_else(|| {
            let own: Duration = self.tree.members().into_iter().map(crate::tree::cpu_with_children).sum();
            all.saturating_sub(own)
        });
        self.cpu_before.set(Some(before));
        Some(all.saturating_sub(before))
    }

    /// When the main process started; `None` if it has ended.
    pub(super) fn start_time(&self) -> Option<u64> {
        if self.stage == Stage::Ended {
            return crate::tree::start_time(self.pid);
        }
        if self.start_time.get().is_none() {
            self.start_time.set(crate::tree::start_time(self.pid));
        }
        self.start_time.get()
    }

    /// Reads what the child says of its exec. The outer `None` while it says nothing; then whether the program started: a
    /// failure is reported only when the process has ended.
    pub(super) fn read_exec_pipe(&mut self) -> Option<Option<OsEvent>> {
        let pipe = self.exec_pipe.as_ref()?;
        let mut message = [0; ExecFailure::MESSAGE_BYTES];
        match rustix::io::read(pipe, &mut message) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => None,
            Ok(ExecFailure::MESSAGE_BYTES) => {
                self.start_error = self.failure.take().map(|failure| failure.error(message));
                self.exec_pipe = None;
                Some(None)
            }
            // The end: the exec closed the child's side.
            Ok(_) | Err(_) => {
                self.exec_pipe = None;
                self.failure = None;
                self.stage = Stage::Running;
                Some(Some(OsEvent::Started { token: self.token, pid: self.pid }))
            }
        }
    }

    /// All that is left of it: its service, and the descriptor by which a next guard would learn of its end.
    pub(super) fn into_unnoted(self) -> (String, Entered) {
        (self.place.service, self.pidfd)
    }

    /// Its program is not going to be executed; that is reported when the process has ended.
    pub(super) fn cannot_start(&mut self, error: io::Error) {
        self.exec_pipe = None;
        self.start_error = Some(error);
    }

    pub(super) fn take_start_error(&mut self) -> Option<io::Error> {
        self.start_error.take()
    }

    /// Reads what is in the tail's pipe and keeps the last of it.
    pub(super) fn read_tail(&mut self) {
        /// More than a pipe holds. One that is filled again meanwhile waits for its next turn.
        const READS_MAX: usize = 32;
        let Some(pipe) = &mut self.tail_pipe else { return };
        let mut buffer = [0; 4096];
        for _ in 0..READS_MAX {
            match pipe.read(&mut buffer) {
                Ok(0) => {
                    self.tail_pipe = None;
                    return;
                }
                Ok(count) => {
                    self.tail.extend_from_slice(&buffer[..count]);
                    let surplus = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
                    self.tail.drain(..surplus);
                }
                Err(_) => return,
            }
        }
    }

    pub(super) fn take_tail(&mut self) -> Vec<u8> {
        self.tail_pipe = None;
        std::mem::take(&mut self.tail)
    }

    /// Opens the file that tells of the tree, unless it is open. Whether it was opened now.
    pub(super) fn watch_tree(&mut self) -> bool {
        if self.tree_watch.is_some() {
            return false;
        }
        self.tree_watch = self.tree.events();
        self.tree_watch.is_some()
    }

    /// Has the tree looked at, because its file cannot be watched.
    pub(super) fn look_at_tree(&mut self) {
        self.tree_watch = None;
    }

    /// Reads the file, so that it tells of the next change.
    pub(super) fn clear_tree_watch(&self) {
        if let Some(watch) = &self.tree_watch {
            // What it says is read by those who ask; here it only has to be read.
            let _ = rustix::io::pread(watch, &mut [0; 128], 0);
        }
    }

    /// Whether something is to happen to its tree.
    pub(super) const fn awaits_tree(&self) -> bool {
        self.awaits_empty || self.awaits_frost
    }

    /// How long its tree may go without being looked at while something is to happen to it; `None` if nothing is.
    pub(super) fn look_interval(&self) -> Option<Duration> {
        /// The kernel does not tell.
        const UNWATCHED: Duration = Duration::from_millis(50);
        /// The kernel tells, but not of a folder that somebody else removes within ten milliseconds of the change: it
        /// holds changes back for so long, and forgets them with the folder.
        const WATCHED: Duration = Duration::from_millis(500);
        self.awaits_tree().then_some(if self.tree_watch.is_some() { WATCHED } else { UNWATCHED })
    }
}

/// A descriptor for a process, if it is there. An error if one cannot look now: that must not be taken for its being gone.
pub(super) fn open(pid: u32) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from) {
        Err(error) if is_shortage(&error) => Err(error),
        opened => Ok(opened.ok()),
    }
}

/// What lives of a tree, for people.
pub(super) fn describe_members(tree: &Tree) -> String {
    /// So many are named; the rest is counted.
    const NAMED_MAX: usize = 5;
    // What was seen last, or nothing, is not what is there.
    if let Err(error) = std::fs::read_dir("/proc") {
        return format!("its processes cannot be looked at: {}", describe(&error));
    }
    let members = tree.members();
    let named: Vec<String> =
        members.iter().take(NAMED_MAX).map(|pid| format!("pid {pid} ({})", crate::tree::describe(*pid))).collect();
    let rest = members.len().saturating_sub(NAMED_MAX);
    if rest == 0 { named.join(", ") } else { format!("{} and {rest} more", named.join(", ")) }
}
