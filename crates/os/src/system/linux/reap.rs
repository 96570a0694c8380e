//! Waiting for processes: `waitid`, and what the kernel remembers of those that are not our children.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::event::Exit;

/// To look who has ended, without waiting for it and without reaping it.
const LOOK: i32 = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;

/// How a process has ended; `None` if it has not. Our own children are not reaped by this.
pub(super) fn end_of(pidfd: BorrowedFd<'_>, pid: u32) -> Option<Exit> {
    match waitid(libc::P_PIDFD, u32::try_from(pidfd.as_raw_fd()).ok()?, LOOK) {
        Ok(Some(ended)) => Some(ended.exit),
        Ok(None) => None,
        // Not our child: an earlier guard's, or one that the program put in its place.
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Some(exit_of_stranger(pidfd, pid)),
        // P_PIDFD needs Linux 5.4; before that the number is as good, since only we reap it.
        Err(_) => waitid(libc::P_PID, pid, LOOK).ok()?.map(|ended| ended.exit),
    }
}

/// Whether a process is not our child.
pub(super) fn is_stranger(pidfd: BorrowedFd<'_>) -> bool {
    let looked = u32::try_from(pidfd.as_raw_fd()).map(|number| waitid(libc::P_PIDFD, number, LOOK));
    looked.is_ok_and(|looked| looked.is_err_and(|error| error.raw_os_error() == Some(libc::ECHILD)))
}

/// Whether a process has ended, reaped or not.
pub(crate) fn is_over(pidfd: BorrowedFd<'_>) -> bool {
    let mut process = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    poll(&mut process, Some(&Timespec::default())).is_ok_and(|ended| ended > 0)
}

/// How a process ended that somebody else reaps: before that `/proc` tells, after that the pidfd does, and for a moment in
/// between neither.
pub(super) fn exit_of_stranger(pidfd: BorrowedFd<'_>, pid: u32) -> Exit {
    /// The moment is a few instructions of the kernel long.
    const TRIES_MAX: usize = 200;
    for _ in 0..TRIES_MAX {
        if let Some(exit) = remembered(pidfd).or_else(|| crate::tree::zombie_exit(pid)) {
            return exit;
        }
        std::thread::yield_now();
    }
    Exit::Unknown
}

/// A child that has ended and waits to be reaped.
pub(super) fn next_ended_child() -> Option<u32> {
    waitid(libc::P_ALL, 0, LOOK).ok()?.map(|ended| ended.pid)
}

/// Whether a child that nobody has reaped has ended.
pub(super) fn has_ended(pid: u32) -> bool {
    // One that is not there has.
    waitid(libc::P_PID, pid, LOOK).map_or(true, |ended| ended.is_some())
}

/// Reaps a child whose end interests nobody any more.
pub(super) fn discard(pid: u32) {
    // If it is not there, it has been reaped.
    let _ = waitid(libc::P_PID, pid, libc::WEXITED | libc::WNOHANG);
}

/// Kills a child that nobody has reaped, and that nobody could look after. Its end is reaped as an orphan's.
pub(super) fn end(pid: u32) {
    if let Some(child) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        // If it has ended already, that is what was wanted.
        let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
    }
}

struct Ended {
    pid: u32,
    exit: Exit,
}

#[expect(unsafe_code, reason = "no crate tells the process and real-time signals of waitid")]
fn waitid(kind: libc::idtype_t, id: u32, options: i32) -> io::Result<Option<Ended>> {
    // SAFETY: all bytes zero is a valid siginfo_t, and `waitid` writes to it only.
    let (result, info) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        (libc::waitid(kind, id, &raw mut info, options), info)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: after a successful `waitid` these fields are valid; the process is 0 when nothing had ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let exit = match info.si_code {
        libc::CLD_EXITED => Exit::Code(status),
        libc::CLD_KILLED | libc::CLD_DUMPED => Exit::Signal(status),
        _ => Exit::Unknown,
    };
    Ok(u32::try_from(pid).ok().filter(|pid| *pid != 0).map(|pid| Ended { pid, exit }))
}

/// `PIDFD_GET_INFO` (Linux 6.15 and later tell the exit of a process that has been reaped).
#[expect(unsafe_code, reason = "no crate wraps this ioctl")]
fn remembered(pidfd: BorrowedFd<'_>) -> Option<Exit> {
    /// `struct pidfd_info` of include/uapi/linux/pidfd.h, as far as the first version of it goes.
    #[repr(C)]
    #[derive(Default)]
    struct PidfdInfo {
        mask: u64,
        cgroup: u64,
        pid: u32,
        thread_group: u32,
        parent: u32,
        user_and_group_ids: [u32; 8],
        exit_code: i32,
    }
    const INFO_EXIT: u64 = 1 << 3;
    /// `_IOWR(0xFF, 11, struct pidfd_info)`, with the size of the struct above.
    const GET_INFO: libc::c_ulong = 3 << 30 | (size_of::<PidfdInfo>() as libc::c_ulong) << 16 | 0xFF << 8 | 11;

    let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the kernel writes at most the size that is part of the request, which is that of `info`.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO, &raw mut info) };
    if result != 0 || info.mask & INFO_EXIT == 0 {
        return None;
    }
    Some(Exit::from_wait_status(info.exit_code))
}

impl Exit {
    /// From what `wait` returns: the signal in the low seven bits, or else the exit code above them.
    pub(crate) const fn from_wait_status(status: i32) -> Self {
        let signal = status & 0x7f;
        if signal == 0 { Self::Code(status >> 8 & 0xff) } else { Self::Signal(signal) }
    }
}
