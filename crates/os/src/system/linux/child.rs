//! Birth: from the clone to the exec.
//!
//! Between the two the child shares nothing with the guard but has only one thread of it: it may not allocate, lock or
//! panic. Everything it needs was made ready in `prepare`; it makes system calls and nothing else.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

use super::prepare::{OWN_PID_DIGITS, Prepared};
use crate::error::{context, describe};
use crate::tree::Entry;

/// A process that has just been born.
#[derive(Debug)]
pub(super) struct Born {
    pub pid: u32,
    pub pidfd: OwnedFd,
    /// Ends when the program is executed; brings the reason if it cannot be.
    pub exec_pipe: OwnedFd,
    pub failure: ExecFailure,
}

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

    pub(super) fn describe(&self, message: [u8; Self::MESSAGE_BYTES]) -> String {
        let [step, number @ ..] = message;
        let error = describe(&io::Error::from_raw_os_error(i32::from_ne_bytes(number)));
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
        if let Some((_, doing)) = steps.iter().find(|(known, _)| *known as u8 == step) {
            return format!("{doing}: {error}");
        }
        if step == Step::Directory as u8 {
            return format!("changing to its directory {}: {error}", self.directory);
        }
        format!("executing {}: {error}", self.program)
    }
}

/// Bears a child in the cgroup of `folder` (where there is one), or lets it walk in, and has it execute the program.
pub(super) fn spawn(prepared: &Prepared, folder: Option<(BorrowedFd<'_>, Entry)>) -> io::Result<Born> {
    let (exec_pipe, child_end) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)?;
    let first_free = i32::try_from(prepared.descriptors.len()).unwrap_or(i32::MAX);
    let child_end = rustix::io::fcntl_dupfd_cloexec(&child_end, first_free)?;
    let arguments = pointers(&prepared.arguments);
    let environment = pointers(&prepared.environment);
    let plan = Birth {
        prepared,
        arguments: &arguments,
        environment: &environment,
        report: child_end.as_raw_fd(),
        enter: None,
    };
    let (pid, pidfd) = match folder {
        Some((folder, Entry::Walks)) => fork_and_enter(&plan, Some(folder))?,
        Some((_, Entry::Born)) | None => {
            let folder = folder.map(|(folder, _)| folder);
            match clone_into(&plan, folder) {
                Err(error) if is_unknown_call(&error) => fork_and_enter(&plan, folder)?,
                result => result.map_err(context("starting a process"))?,
            }
        }
    };
    Ok(Born { pid, pidfd, exec_pipe, failure: prepared.failure.clone() })
}

/// Kernels before 5.7, and containers that do not let `clone3` through.
fn is_unknown_call(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EINVAL | libc::E2BIG))
}

/// What the child works with.
struct Birth<'a> {
    prepared: &'a Prepared,
    arguments: &'a [*const libc::c_char],
    environment: &'a [*const libc::c_char],
    report: RawFd,
    /// The folder of its cgroup, if it was not born there.
    enter: Option<RawFd>,
}

fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// See clone(2); libc's own constants have a type too small for them.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `clone3`: born in its cgroup, with a pidfd, in one call.
#[expect(unsafe_code, reason = "no crate wraps clone3")]
fn clone_into(birth: &Birth<'_>, folder: Option<BorrowedFd<'_>>) -> io::Result<(u32, OwnedFd)> {
    let mut pidfd: RawFd = -1;
    // SAFETY: all bytes zero are valid arguments.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    // No handler of the guard's runs in the child, whatever signal comes before the exec.
    arguments.flags = CLONE_CLEAR_SIGHAND | u64::try_from(libc::CLONE_PIDFD).unwrap_or(0);
    arguments.pidfd = &raw mut pidfd as u64;
    arguments.exit_signal = u64::try_from(libc::SIGCHLD).unwrap_or(0);
    if let Some(folder) = folder {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::try_from(folder.as_raw_fd()).unwrap_or(0);
    }
    // SAFETY: without CLONE_VM the child has a copy of everything, as after `fork`; it calls `live`, which keeps to what is
    // allowed there and never returns.
    unsafe {
        match libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) {
            0 => live(birth),
            -1 => Err(io::Error::last_os_error()),
            pid => Ok((u32::try_from(pid).unwrap_or(0), OwnedFd::from_raw_fd(pidfd))),
        }
    }
}

/// The child enters its cgroup by itself.
#[expect(unsafe_code, reason = "fork is unsafe by nature")]
fn fork_and_enter(birth: &Birth<'_>, folder: Option<BorrowedFd<'_>>) -> io::Result<(u32, OwnedFd)> {
    let birth = Birth { enter: folder.map(|folder| folder.as_raw_fd()), ..*birth };
    // SAFETY: the child calls `live`, which keeps to what is allowed after `fork` and never returns.
    let pid = unsafe {
        match libc::fork() {
            0 => live(&birth),
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
    Ok((pid, pidfd))
}

/// The child's life until the exec.
///
/// # Safety
/// To be called right after `clone` or `fork` in the child.
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn live(birth: &Birth<'_>) -> ! {
    // SAFETY: see the functions; all of them make system calls with what was made ready before.
    unsafe {
        let step = become_ready(birth);
        let (step, error) = match step {
            Err(step) => (step, *libc::__errno_location()),
            Ok(()) => (Step::Execute, execute(birth)),
        };
        let mut message = [0; ExecFailure::MESSAGE_BYTES];
        message[0] = step as u8;
        message[1..].copy_from_slice(&error.to_ne_bytes());
        libc::write(birth.report, message.as_ptr().cast(), message.len());
        libc::_exit(127)
    }
}

/// Becomes what the program is to be started as. The order matters: what needs privileges comes before they are given up.
///
/// # Safety
/// See [`live`].
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn become_ready(birth: &Birth<'_>) -> Result<(), Step> {
    let prepared = birth.prepared;
    let check = |result: libc::c_long, step: Step| if result < 0 { Err(step) } else { Ok(()) };
    // SAFETY: all pointers are into memory that was made ready before the birth and that nobody changes.
    unsafe {
        reset_signals(&prepared.ignored_signals);
        check(libc::setsid().into(), Step::Session)?;
        enter_cgroups(birth)?;
        if let Some(mask) = prepared.umask {
            libc::umask(mask);
        }
        let limit = libc::rlimit { rlim_cur: prepared.files.0, rlim_max: prepared.files.1 };
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit).into(), Step::Limits)?;
        let (mark, highest) = prepared.mark;
        let mark = mark + libc::getpid().unsigned_abs() as u64;
        // Where that is not allowed, the environment has to do.
        let limit = libc::rlimit { rlim_cur: mark, rlim_max: highest };
        libc::setrlimit(libc::RLIMIT_RTTIME, &raw const limit);
        if let Some(nice) = prepared.nice {
            check(libc::setpriority(libc::PRIO_PROCESS, 0, nice).into(), Step::Priority)?;
        }
        if let Some(identity) = &prepared.identity {
            // The system calls themselves: the library's functions would look for the guard's other threads.
            let groups = &identity.groups;
            check(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()), Step::Groups)?;
            check(libc::syscall(libc::SYS_setresgid, identity.gid, identity.gid, identity.gid), Step::Group)?;
            check(libc::syscall(libc::SYS_setresuid, identity.uid, identity.uid, identity.uid), Step::User)?;
        }
        check(libc::chdir(prepared.directory.as_ptr()).into(), Step::Directory)?;
        for (number, descriptor) in (0..).zip(&prepared.descriptors) {
            check(libc::dup2(*descriptor, number).into(), Step::Descriptors)?;
        }
        // What the guard itself inherited without the close-on-exec mark is not the program's. Kernels before 5.11 do
        // without.
        let first = prepared.descriptors.len();
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    Ok(())
}

/// A program starts with no signal blocked and none ignored.
///
/// # Safety
/// See [`live`].
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn reset_signals(ignored: &[i32]) {
    /// The kernel's own `struct sigaction` is at most this long, and all zeros of it mean the default action; its set of
    /// signals is eight bytes. The system calls themselves are made because the library keeps two signals to itself.
    const DEFAULT_ACTION: [u64; 8] = [0; 8];
    const SET_BYTES: usize = 8;
    // SAFETY: the default action and an empty set are valid for every signal that can be ignored.
    unsafe {
        for signal in ignored {
            libc::syscall(libc::SYS_rt_sigaction, *signal, DEFAULT_ACTION.as_ptr(), ptr::null_mut::<u64>(), SET_BYTES);
        }
        let none = 0_u64;
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, ptr::null_mut::<u64>(), SET_BYTES);
    }
}

/// # Safety
/// See [`live`].
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn enter_cgroups(birth: &Birth<'_>) -> Result<(), Step> {
    // SAFETY: the descriptors are open, and one byte is read from a constant.
    unsafe {
        if let Some(folder) = birth.enter {
            let file = libc::openat(folder, c"cgroup.procs".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            if file < 0 || libc::write(file, c"0".as_ptr().cast(), 1) != 1 {
                return Err(Step::Cgroup);
            }
        }
        for entry in &birth.prepared.entries {
            if libc::write(entry.as_raw_fd(), c"0".as_ptr().cast(), 1) != 1 {
                return Err(Step::Cgroup);
            }
        }
    }
    Ok(())
}

/// Tries every file the name may mean. Returns only when none could be executed, with the error that says most.
///
/// # Safety
/// See [`live`].
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn execute(birth: &Birth<'_>) -> i32 {
    let prepared = birth.prepared;
    // SAFETY: the arrays end with null, and what they point to outlives the exec.
    unsafe {
        for index in &prepared.own_pid {
            write_own_pid(&prepared.environment[*index]);
        }
        let mut telling = libc::ENOENT;
        for candidate in &prepared.candidates {
            libc::execve(candidate.as_ptr(), birth.arguments.as_ptr(), birth.environment.as_ptr());
            let error = *libc::__errno_location();
            if error != libc::ENOENT && error != libc::ENOTDIR && telling == libc::ENOENT {
                telling = error;
            }
        }
        telling
    }
}

/// Writes the child's own number in the place of the zeros at the end of the variable. It begins with no zero: C reads a
/// number that does as an octal one.
///
/// # Safety
/// See [`live`]: the memory is the child's own copy.
#[expect(unsafe_code, reason = "what a child does before its exec is system calls")]
unsafe fn write_own_pid(variable: &CStr) {
    // SAFETY: the variable ends with that many digits, no process has a number of more, and nobody else sees this copy.
    unsafe {
        let number = libc::getpid();
        let mut digits = 1;
        let mut left = number / 10;
        while left > 0 {
            digits += 1;
            left /= 10;
        }
        let begin = variable.as_ptr().cast_mut().add(variable.count_bytes() - OWN_PID_DIGITS);
        let mut left = number;
        for place in (0..digits).rev() {
            let digit = u8::try_from(left % 10).unwrap_or(0);
            begin.add(place).write((b'0' + digit).cast_signed());
            left /= 10;
        }
        begin.add(digits).write(0);
    }
}
