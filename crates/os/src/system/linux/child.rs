//! What a child does from its birth to the exec.
//!
//! It has only one thread of the guard, and perhaps the guard's own memory (see `spawn`): it may not allocate, lock or panic,
//! nor call what keeps something for its thread, as the C library does with `errno`. Everything it needs was made ready in
//! `prepare`; it makes system calls and nothing else.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use syscalls::{Errno, Sysno, syscall};

use super::prepare::{OwnPid, Prepared, ending_with_null, pointers};
use super::window::{FIRST, SharedTable, table_state};
use crate::error::context;

/// How to put the reason why a program could not be executed.
#[derive(Debug, Clone)]
pub(super) struct ExecFailure {
    pub program: String,
    pub directory: String,
}

/// What the child was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Step {
    Session = 1,
    Cgroup,
    Limits,
    Priority,
    Groups,
    Group,
    User,
    Directory,
    Descriptors,
    Execute,
}

impl ExecFailure {
    /// The step in one byte, the error's number in four.
    pub(super) const MESSAGE_BYTES: usize = 5;

    pub(super) fn error(&self, message: [u8; Self::MESSAGE_BYTES]) -> io::Error {
        let [step, number @ ..] = message;
        let steps = [
            (Step::Session, "beginning a session"),
            (Step::Cgroup, "entering its cgroup"),
            (Step::Limits, "setting its limit of open files"),
            (Step::Priority, "setting its priority"),
            (Step::Groups, "setting its supplementary groups"),
            (Step::Group, "changing to its group"),
            (Step::User, "changing to its user"),
            (Step::Descriptors, "passing its file descriptors"),
        ];
        let doing = match steps.iter().find(|(known, _)| *known as u8 == step) {
            Some((_, doing)) => (*doing).to_owned(),
            None if step == Step::Directory as u8 => format!("changing to its directory {}", self.directory),
            None => format!("executing {}", self.program),
        };
        context(doing)(io::Error::from_raw_os_error(i32::from_ne_bytes(number)))
    }
}

/// What a child works with: made by the guard, read by the child, dropped when the child is gone from the guard's memory.
#[derive(Debug)]
pub(super) struct Birth {
    prepared: Prepared,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    /// The descriptors the child is given, under the numbers it finds them: the program's, the files of version-1 cgroups to
    /// write `0` into, and where to say why the program could not be executed.
    handed: Vec<RawFd>,
    /// So many of them become 0, 1, 2, 3, … in the child; all are higher than the last of these.
    program_descriptors: usize,
    /// The folder of its cgroup, if it is not born there.
    enter: Option<RawFd>,
    /// Set where the child begins with the guard's table of descriptors.
    table: Option<SharedTable>,
    /// Not 0 while a child in the guard's memory uses this. The kernel makes it 0.
    user: AtomicU32,
}

impl Birth {
    pub(super) fn new(prepared: Prepared, program_descriptors: usize) -> Self {
        Self {
            arguments: pointers(&prepared.arguments),
            environment: ending_with_null(
                prepared
                    .environment
                    .iter()
                    .map(|variable| variable.as_ptr())
                    .chain(prepared.own_pid.iter().map(OwnPid::as_ptr)),
            ),
            prepared,
            handed: Vec::new(),
            program_descriptors,
            enter: None,
            table: None,
            user: AtomicU32::new(0),
        }
    }

    /// The child finds its descriptors under these numbers, in the guard's table or in a copy of it.
    pub(super) fn hand(&mut self, handed: Vec<RawFd>, table: Option<SharedTable>) {
        self.handed = handed;
        self.table = table;
    }

    /// The child enters this folder of a cgroup.
    pub(super) fn enter(&mut self, folder: Option<BorrowedFd<'_>>) {
        self.enter = folder.map(|folder| folder.as_raw_fd());
    }

    pub(super) const fn changes_user(&self) -> bool {
        self.prepared.identity.is_some()
    }

    /// A child in the guard's memory is about to use it. Returns what the kernel is to clear when it does so no more.
    pub(super) fn mark_as_used(&self) -> *const AtomicU32 {
        self.user.store(1, Ordering::Release);
        &raw const self.user
    }

    pub(super) fn mark_as_unused(&self) {
        self.user.store(0, Ordering::Release);
    }

    pub(super) fn is_used(&self) -> bool {
        self.user.load(Ordering::Acquire) != 0
    }
}

/// The child's life until the exec.
///
/// # Safety
/// To be called right after the birth, in the child.
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
pub(super) unsafe extern "C" fn live(birth: *const Birth) -> ! {
    // SAFETY: the guard keeps it until the child is gone from its memory; see the functions: all of them make system calls
    // with what was made ready before.
    unsafe {
        let birth = &*birth;
        let failed = match become_ready(birth) {
            Err((step, error)) => Some((step, error)),
            Ok(()) => execute(birth).map(|error| (Step::Execute, error)),
        };
        if let (Some((step, error)), Some(report)) = (failed, birth.handed.last()) {
            let mut message = [0; ExecFailure::MESSAGE_BYTES];
            message[0] = step as u8;
            message[1..].copy_from_slice(&error.into_raw().to_ne_bytes());
            let _ = syscall!(Sysno::write, *report, message.as_ptr(), message.len());
        }
        loop {
            let _ = syscall!(Sysno::exit_group, 127);
        }
    }
}

/// Becomes what the program is to be started as. The order matters: what needs privileges comes before they are given up.
///
/// # Safety
/// See [`live`].
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn become_ready(birth: &Birth) -> Result<(), (Step, Errno)> {
    let prepared = &birth.prepared;
    let at = |step: Step| move |error: Errno| (step, error);
    // SAFETY: all pointers are into memory that was made ready before the birth and that nobody changes.
    unsafe {
        own_table(birth).map_err(at(Step::Descriptors))?;
        reset_signals(&prepared.ignored_signals);
        syscall!(Sysno::setsid).map_err(at(Step::Session))?;
        enter_cgroups(birth).map_err(at(Step::Cgroup))?;
        if let Some(mask) = prepared.umask {
            let _ = syscall!(Sysno::umask, mask);
        }
        limit(libc::RLIMIT_NOFILE, prepared.files).map_err(at(Step::Limits))?;
        let (mark, highest) = prepared.mark;
        let own_pid = syscall!(Sysno::getpid).map_err(at(Step::Limits))? as u64;
        // Where that is not allowed, the environment has to do.
        let _ = limit(libc::RLIMIT_RTTIME, (mark + own_pid, highest));
        if let Some(nice) = prepared.nice {
            syscall!(Sysno::setpriority, libc::PRIO_PROCESS, 0, nice).map_err(at(Step::Priority))?;
        }
        if let Some(identity) = &prepared.identity {
            let groups = &identity.groups;
            syscall!(Sysno::setgroups, groups.len(), groups.as_ptr()).map_err(at(Step::Groups))?;
            syscall!(Sysno::setresgid, identity.gid, identity.gid, identity.gid).map_err(at(Step::Group))?;
            syscall!(Sysno::setresuid, identity.uid, identity.uid, identity.uid).map_err(at(Step::User))?;
        }
        syscall!(Sysno::chdir, prepared.directory.as_ptr()).map_err(at(Step::Directory))?;
        for (number, descriptor) in birth.handed.iter().take(birth.program_descriptors).enumerate() {
            syscall!(Sysno::dup3, *descriptor, number, 0).map_err(at(Step::Descriptors))?;
        }
        // What the guard itself inherited without the close-on-exec mark is not the program's. Kernels before 5.11 do
        // without.
        let _ = syscall!(Sysno::close_range, birth.program_descriptors, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    Ok(())
}

/// Makes a table of its own, of what is needed, where the child began with the guard's: until then nothing may be changed of
/// what it needs, and the guard waits before it does.
///
/// # Safety
/// See [`live`].
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn own_table(birth: &Birth) -> Result<(), Errno> {
    let Some(table) = birth.table else { return Ok(()) };
    // SAFETY: the guard keeps what it waits for.
    unsafe {
        let made = syscall!(Sysno::close_range, table.end, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE)
            // Kernels before 5.9.
            .or_else(|_| syscall!(Sysno::unshare, libc::CLONE_FILES));
        let state = if made.is_ok() { table_state::OWN } else { table_state::REFUSED };
        if (*table.state).swap(state, Ordering::AcqRel) == table_state::AWAITED {
            let _ = syscall!(Sysno::futex, table.state, libc::FUTEX_WAKE, 1);
        }
        // What other children are to get is not to stay open for as long as an exec may take.
        if made.is_ok() && table.begin > FIRST.cast_unsigned() {
            let _ = syscall!(Sysno::close_range, FIRST, table.begin - 1, 0);
        }
        made.map(|_| ())
    }
}

/// # Safety
/// See [`live`].
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn limit(resource: libc::__rlimit_resource_t, (current, highest): (u64, u64)) -> Result<(), Errno> {
    let limit = libc::rlimit64 { rlim_cur: current, rlim_max: highest };
    // SAFETY: the limit is read, and nothing is written.
    unsafe { syscall!(Sysno::prlimit64, 0, resource, &raw const limit, ptr::null_mut::<libc::rlimit64>()).map(|_| ()) }
}

/// A program starts with no signal blocked and none ignored.
///
/// # Safety
/// See [`live`].
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn reset_signals(ignored: &[i32]) {
    /// The kernel's own `struct sigaction` is at most this long, and all zeros of it mean the default action; its set of
    /// signals is eight bytes.
    const DEFAULT_ACTION: [u64; 8] = [0; 8];
    const SET_BYTES: usize = 8;
    // SAFETY: the default action and an empty set are valid for every signal that can be ignored.
    unsafe {
        for signal in ignored {
            let _ = syscall!(Sysno::rt_sigaction, *signal, DEFAULT_ACTION.as_ptr(), ptr::null_mut::<u64>(), SET_BYTES);
        }
        let none = 0_u64;
        let _ = syscall!(Sysno::rt_sigprocmask, libc::SIG_SETMASK, &raw const none, ptr::null_mut::<u64>(), SET_BYTES);
    }
}

/// # Safety
/// See [`live`].
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn enter_cgroups(birth: &Birth) -> Result<(), Errno> {
    // SAFETY: the descriptors are open, and one byte is read from a constant.
    unsafe {
        if let Some(folder) = birth.enter {
            let flags = libc::O_WRONLY | libc::O_CLOEXEC;
            let file = syscall!(Sysno::openat, folder, c"cgroup.procs".as_ptr(), flags, 0)?;
            syscall!(Sysno::write, file, c"0".as_ptr(), 1)?;
        }
        let last = birth.handed.len().saturating_sub(1);
        for entry in birth.handed.iter().take(last).skip(birth.program_descriptors) {
            syscall!(Sysno::write, *entry, c"0".as_ptr(), 1)?;
        }
    }
    Ok(())
}

/// Tries every file the name may mean. Returns only when none could be executed, with the error that says most.
///
/// # Safety
/// See [`live`].
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn execute(birth: &Birth) -> Option<Errno> {
    let prepared = &birth.prepared;
    // SAFETY: the arrays end with null, and what they point to outlives the exec.
    unsafe {
        if let Ok(number) = syscall!(Sysno::getpid) {
            prepared.own_pid.iter().for_each(|variable| variable.set(number));
        }
        let mut telling = Errno::ENOENT;
        for candidate in &prepared.candidates {
            let executed =
                syscall!(Sysno::execve, candidate.as_ptr(), birth.arguments.as_ptr(), birth.environment.as_ptr());
            let Err(error) = executed else { return None };
            if error != Errno::ENOENT && error != Errno::ENOTDIR && telling == Errno::ENOENT {
                telling = error;
            }
        }
        Some(telling)
    }
}
