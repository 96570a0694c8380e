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
use crate::error::context;
use crate::holder::{Entered, Row};
use crate::tree::Entry;

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
    /// Ends when the program is executed; brings the reason if it cannot be.
    pub exec_pipe: OwnedFd,
    pub failure: ExecFailure,
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
        let (pid, pidfd) = match folder {
            Some((folder, Entry::Walks)) => self.fork(&row, birth, &handed, Some(folder))?,
            Some((_, Entry::Born)) | None => self.bear(&row, birth, &handed, folder.map(|(folder, _)| folder))?,
        };
        Ok(Born { pid, pidfd: Entered::as_written(row, pidfd), exec_pipe, failure })
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
        if let Some(windows) = &mut self.windows {
            self.given_up.extend(windows.empty().map(give_up));
        }
        std::mem::take(&mut self.given_up)
    }

    /// Bears a child by the cheapest way there is.
    fn bear(
        &mut self,
        row: &Row,
        birth: Box<Birth>,
        handed: &[BorrowedFd<'_>],
        folder: Option<BorrowedFd<'_>>,
    ) -> io::Result<(u32, OwnedFd)> {
        let mut birth = match self.bear_sharing(row, birth, handed, folder)? {
            Way::Born(pid, pidfd) => return Ok((pid, pidfd)),
            Way::Closed(birth) => birth,
        };
        self.given_up = self.settle();
        birth.hand(numbers(handed), None);
        match Way::taken(clone_copying(row, &birth, folder, 0), birth)? {
            Way::Born(pid, pidfd) => Ok((pid, pidfd)),
            Way::Closed(birth) => self.fork(row, birth, handed, folder),
        }
    }

    /// The child has a copy of everything, be it meant for another. So the others take theirs first.
    fn fork(
        &mut self,
        row: &Row,
        birth: Box<Birth>,
        handed: &[BorrowedFd<'_>],
        folder: Option<BorrowedFd<'_>>,
    ) -> io::Result<(u32, OwnedFd)> {
        self.given_up = self.settle();
        fork(row, birth, handed, folder)
    }

    /// The child begins with the guard's table of descriptors, and where that is safe with its memory.
    fn bear_sharing(
        &mut self,
        row: &Row,
        mut birth: Box<Birth>,
        handed: &[BorrowedFd<'_>],
        folder: Option<BorrowedFd<'_>>,
    ) -> io::Result<Way> {
        let Some(window) = self.windows.as_mut().and_then(|windows| windows.next(handed.len())) else {
            return Ok(Way::Closed(birth));
        };
        self.given_up.extend(window.empty().err().map(give_up));
        let numbers = window.fill(handed)?;
        birth.hand(numbers, Some(window.table()));
        let way = if clone::SHARES_MEMORY && !birth.changes_user() {
            let stack = self.stacks.pop().map_or_else(Stack::new, Ok)?;
            match clone_sharing(row, &birth, &stack, folder) {
                Ok((pid, pidfd)) => {
                    self.births.push((birth, stack));
                    Way::Born(pid, pidfd)
                }
                failed @ Err(_) => Way::taken(failed, birth)?,
            }
        } else {
            Way::taken(clone_copying(row, &birth, folder, libc::CLONE_FILES), birth)?
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

fn numbers(handed: &[BorrowedFd<'_>]) -> Vec<RawFd> {
    handed.iter().map(AsRawFd::as_raw_fd).collect()
}

/// See clone(2); libc's own constants have a type too small for them.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `clone3`: born in its cgroup, with a pidfd, and entered in its row, in one call.
#[expect(unsafe_code, reason = "a C structure that is all zeros at first")]
fn clone_arguments(row: &Row, folder: Option<BorrowedFd<'_>>, flags: libc::c_int) -> libc::clone_args {
    // SAFETY: all bytes zero are valid arguments.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    // No handler of the guard's runs in the child, whatever signal comes before the exec.
    arguments.flags =
        CLONE_CLEAR_SIGHAND | u64::from((libc::CLONE_PIDFD | libc::CLONE_PARENT_SETTID | flags).cast_unsigned());
    arguments.pidfd = row.pidfd() as u64;
    arguments.parent_tid = row.pid() as u64;
    arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    if let Some(folder) = folder {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(folder.as_raw_fd().cast_unsigned());
    }
    arguments
}

/// The child has a copy of the guard's memory.
#[expect(unsafe_code, reason = "no crate wraps clone3")]
fn clone_copying(
    row: &Row,
    birth: &Birth,
    folder: Option<BorrowedFd<'_>>,
    flags: libc::c_int,
) -> io::Result<(u32, OwnedFd)> {
    let mut arguments = clone_arguments(row, folder, flags);
    // SAFETY: without CLONE_VM the child has a copy of everything, as after `fork`; it calls `live`, which keeps to what is
    // allowed there and never returns.
    unsafe {
        match libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) {
            0 => live(birth),
            -1 => Err(io::Error::last_os_error()),
            pid => Ok((u32::try_from(pid).unwrap_or(0), OwnedFd::from_raw_fd(row.pidfd().read()))),
        }
    }
}

/// The child is in the guard's memory, on its own stack.
#[expect(unsafe_code, reason = "no crate wraps clone3")]
fn clone_sharing(
    row: &Row,
    birth: &Birth,
    stack: &Stack,
    folder: Option<BorrowedFd<'_>>,
) -> io::Result<(u32, OwnedFd)> {
    let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_CHILD_CLEARTID;
    let mut arguments = clone_arguments(row, folder, flags);
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
            Ok(pid) => Ok((u32::try_from(pid).unwrap_or(0), OwnedFd::from_raw_fd(row.pidfd().read()))),
        }
    }
}

/// The child has a copy of everything, and enters its cgroup by itself.
#[expect(unsafe_code, reason = "fork is unsafe by nature")]
fn fork(
    row: &Row,
    mut birth: Box<Birth>,
    handed: &[BorrowedFd<'_>],
    folder: Option<BorrowedFd<'_>>,
) -> io::Result<(u32, OwnedFd)> {
    birth.hand(numbers(handed), None);
    birth.enter(folder);
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
    let Some(pidfd) = super::process::open(pid) else {
        super::reap::end(pid);
        return Err(io::Error::other("opening a descriptor for the new process"));
    };
    row.set(pid, pidfd.as_raw_fd());
    Ok((pid, pidfd))
}
