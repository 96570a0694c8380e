//! Birth: how a child comes to be, and what it shares with the guard until its exec.
//!
//! A copy of a large guard is dear: each page of its memory and each of its descriptors is looked at, and each page is copied
//! when the guard next writes to it. So a child shares what it can for the moment until its exec:
//!
//! - **Memory**, on a stack of its own, unless it is to become another user: whoever may look into that user's processes
//!   could look into the guard's memory through it. Unlike after `vfork`, the guard goes on at once: an exec may take as long
//!   as a file system likes.
//! - **The table of descriptors**, for its first system call only, which makes it a table of the few it needs. They lie in a
//!   window of low numbers that is kept free for them. The guard waits for this one call before it uses the window again.
//!
//! Where the kernel does not have this, or there are too many descriptors, the child gets copies.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;

use super::child::{Birth, ExecFailure, live};
use super::prepare::{Given, Prepared, above};
use super::window::{Stuck, Windows};
use crate::clone3;
use crate::error::context;
use crate::holder::platform::{Entered, Row};
use crate::tree::{Entry, boot_ns, start_between};

#[cfg(not(target_arch = "x86_64"))]
#[path = "spawn/clone/other.rs"]
mod clone;
#[cfg(target_arch = "x86_64")]
#[path = "spawn/clone/x86_64.rs"]
mod clone;
mod stack;

use stack::Stack;

/// A process that has just been born.
#[derive(Debug)]
pub(super) struct Born {
    pub pid: u32,
    pub pidfd: Entered,
    /// When it was born, in clock ticks since boot, if that is certain.
    pub start_time: Option<u64>,
    /// Ends when the program is executed; brings the reason if it cannot be.
    pub exec_pipe: OwnedFd,
    pub failure: ExecFailure,
}

/// What a child comes into.
#[derive(Debug, Clone, Copy)]
struct Cradle<'a> {
    row: &'a Row,
    /// The descriptors that it is to get.
    handed: &'a [BorrowedFd<'a>],
    /// Its cgroup.
    folder: Option<BorrowedFd<'a>>,
}

impl Cradle<'_> {
    fn numbers(&self) -> Vec<RawFd> {
        self.handed.iter().map(AsRawFd::as_raw_fd).collect()
    }
}

/// Bears children.
#[derive(Debug)]
pub(super) struct Spawner {
    /// None where a table of descriptors cannot be shared.
    windows: Option<Windows>,
    /// Children that were given up, and nobody was told of.
    given_up: Vec<u32>,
    /// What children in the guard's memory still work with.
    births: Vec<(Box<Birth>, Stack)>,
    /// Stacks nobody is on.
    stacks: Vec<Stack>,
}

impl Spawner {
    /// `null` is what rests in the windows.
    pub(super) fn new(null: &Arc<OwnedFd>) -> Self {
        // Without windows every child gets copies.
        Self { windows: Windows::new(null).ok(), given_up: Vec::new(), births: Vec::new(), stacks: Vec::new() }
    }

    /// Bears a child in the cgroup of `folder` (where there is one), or lets it walk in, and has it execute the program. It
    /// is entered in `row` at its birth.
    pub(super) fn spawn(
        &mut self,
        row: Row,
        prepared: Prepared,
        given: &Given,
        folder: Option<(BorrowedFd<'_>, Entry)>,
    ) -> io::Result<Born> {
        self.reclaim();
        let (exec_pipe, report) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)?;
        let report = above(report, given.first_free())?;
        let failure = prepared.failure.clone();
        let handed: Vec<BorrowedFd<'_>> = given.all().chain([report.as_fd()]).collect();
        let birth = Box::new(Birth::new(prepared, given.descriptors.len()));
        let cradle = Cradle { row: &row, handed: &handed, folder: folder.map(|(folder, _)| folder) };
        let before = boot_ns();
        let (pid, pidfd) = match folder {
            Some((_, Entry::Walks)) => self.fork(cradle, birth)?,
            Some((_, Entry::Born)) | None => self.bear(cradle, birth)?,
        };
        let start_time = start_between(before, boot_ns());
        Ok(Born { pid, pidfd: Entered::as_written(row, pidfd), start_time, exec_pipe, failure })
    }

    /// Lets go of what children worked with that have executed their programs since.
    pub(super) fn collect(&mut self) {
        /// More stacks than this are needed for a moment only.
        const STACKS_MAX: usize = 4;
        self.reclaim();
        self.stacks.truncate(STACKS_MAX);
    }

    /// The same, but keeps the stacks for the next children.
    fn reclaim(&mut self) {
        let gone = |birth: &mut (Box<Birth>, Stack)| !birth.0.is_used();
        self.stacks.extend(self.births.extract_if(.., gone).map(|(_, stack)| stack));
    }

    /// Waits until all children have tables of descriptors of their own. To be called before the guard waits for them to
    /// execute their programs. Says which do not get there: they are ended, and nothing has happened in them yet.
    pub(super) fn settle(&mut self) -> Vec<u32> {
        self.empty_windows();
        std::mem::take(&mut self.given_up)
    }

    fn empty_windows(&mut self) {
        if let Some(windows) = &mut self.windows {
            self.given_up.extend(windows.empty().map(give_up));
        }
    }

    /// Bears a child by the cheapest way there is.
    fn bear(&mut self, cradle: Cradle<'_>, birth: Box<Birth>) -> io::Result<(u32, OwnedFd)> {
        let mut birth = match self.bear_sharing(cradle, birth)? {
            Way::Born(pid, pidfd) => return Ok((pid, pidfd)),
            Way::Closed(birth) => birth,
        };
        self.empty_windows();
        birth.hand(cradle.numbers(), None);
        match Way::taken(clone_copying(cradle, &birth, 0), birth)? {
            Way::Born(pid, pidfd) => Ok((pid, pidfd)),
            Way::Closed(birth) => self.fork(cradle, birth),
        }
    }

    /// The child has a copy of everything, be it meant for another. So the others take theirs first.
    fn fork(&mut self, cradle: Cradle<'_>, birth: Box<Birth>) -> io::Result<(u32, OwnedFd)> {
        self.empty_windows();
        fork(cradle, birth)
    }

    /// The child begins with the guard's table of descriptors, and where that is safe with its memory.
    fn bear_sharing(&mut self, cradle: Cradle<'_>, mut birth: Box<Birth>) -> io::Result<Way> {
        let Some(window) = self.windows.as_mut().and_then(|windows| windows.next(cradle.handed.len())) else {
            return Ok(Way::Closed(birth));
        };
        self.given_up.extend(window.empty().err().map(give_up));
        let numbers = window.fill(cradle.handed)?;
        birth.hand(numbers, Some(window.table()));
        let way = if clone::SHARES_MEMORY && !birth.changes_user() {
            let stack = self.stacks.pop().map_or_else(Stack::new, Ok)?;
            match clone_sharing(cradle, &birth, &stack) {
                Ok((pid, pidfd)) => {
                    self.births.push((birth, stack));
                    Way::Born(pid, pidfd)
                }
                failed @ Err(_) => Way::taken(failed, birth)?,
            }
        } else {
            Way::taken(clone_copying(cradle, &birth, libc::CLONE_FILES), birth)?
        };
        if let Way::Born(pid, _) = &way {
            window.give_to(*pid);
        }
        Ok(way)
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.collect();
        for birth in self.births.drain(..) {
            // A child still works with it.
            Box::leak(Box::new(birth));
        }
    }
}

fn give_up(Stuck(child): Stuck) -> u32 {
    super::reap::end(child);
    child
}

/// How a way of bearing a child ended.
enum Way {
    Born(u32, OwnedFd),
    /// The kernel, or who rules over it, does not have it.
    Closed(Box<Birth>),
}

impl Way {
    fn taken(result: io::Result<(u32, OwnedFd)>, birth: Box<Birth>) -> io::Result<Self> {
        match result {
            Ok((pid, pidfd)) => Ok(Self::Born(pid, pidfd)),
            // Kernels before 5.7, and containers that do not let `clone3` through.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EINVAL | libc::E2BIG)) =>
            {
                Ok(Self::Closed(birth))
            }
            Err(error) => Err(context("starting a process")(error)),
        }
    }
}

/// `clone3`: born in its cgroup, with a pidfd, and entered in its row, in one call.
fn clone_arguments(cradle: Cradle<'_>, flags: libc::c_int) -> libc::clone_args {
    let mut arguments = clone3::arguments(libc::CLONE_PARENT_SETTID | flags, cradle.row.pidfd());
    arguments.parent_tid = cradle.row.pid() as u64;
    if let Some(folder) = cradle.folder {
        arguments.flags |= clone3::INTO_CGROUP;
        arguments.cgroup = u64::from(folder.as_raw_fd().cast_unsigned());
    }
    arguments
}

/// The child has a copy of the guard's memory.
#[expect(unsafe_code, reason = "no crate wraps clone3")]
fn clone_copying(cradle: Cradle<'_>, birth: &Birth, flags: libc::c_int) -> io::Result<(u32, OwnedFd)> {
    // SAFETY: the row is there, and `live` keeps to what is allowed.
    unsafe {
        let pid = clone3::copy(clone_arguments(cradle, flags), live, birth)?;
        Ok((pid, OwnedFd::from_raw_fd(cradle.row.pidfd().read())))
    }
}

/// The child is in the guard's memory, on its own stack.
#[expect(unsafe_code, reason = "no crate wraps clone3")]
fn clone_sharing(cradle: Cradle<'_>, birth: &Birth, stack: &Stack) -> io::Result<(u32, OwnedFd)> {
    let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_CHILD_CLEARTID;
    let mut arguments = clone_arguments(cradle, flags);
    (arguments.stack, arguments.stack_size) = stack.range();
    arguments.child_tid = birth.mark_as_used() as u64;
    // SAFETY: the caller keeps the birth and the stack until the kernel says that the child is gone from this memory; `live`
    // allocates nothing, keeps nothing for its thread, and never returns.
    unsafe {
        match clone::clone_on_stack(&mut arguments, live, birth) {
            Err(error) => {
                birth.mark_as_unused();
                Err(io::Error::from_raw_os_error(error.into_raw()))
            }
            Ok(pid) => Ok((u32::try_from(pid).unwrap_or(0), OwnedFd::from_raw_fd(cradle.row.pidfd().read()))),
        }
    }
}

/// The child has a copy of everything, and enters its cgroup by itself.
#[expect(unsafe_code, reason = "fork is unsafe by nature")]
fn fork(cradle: Cradle<'_>, mut birth: Box<Birth>) -> io::Result<(u32, OwnedFd)> {
    birth.hand(cradle.numbers(), None);
    birth.enter(cradle.folder);
    // SAFETY: the child calls `live`, which keeps to what is allowed after `fork` and never returns.
    let pid = unsafe {
        match libc::fork() {
            0 => live(&raw const *birth),
            -1 => return Err(context("starting a process")(io::Error::last_os_error())),
            pid => pid,
        }
    };
    let pid = u32::try_from(pid).unwrap_or(0);
    // It is our child and nobody else reaps it, so the number is still its own.
    let Ok(Some(pidfd)) = super::process::open(pid) else {
        super::reap::end(pid);
        return Err(io::Error::other("opening a descriptor for the new process"));
    };
    cradle.row.set(pid, pidfd.as_raw_fd());
    Ok((pid, pidfd))
}
