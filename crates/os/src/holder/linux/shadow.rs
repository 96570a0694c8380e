//! The holder as long as the guard lives: a copy of it that shares its table of descriptors, has forgotten its memory, and
//! sleeps. At the guard's death it executes itself anew with what is to be kept.
//!
//! What runs in the copy makes system calls and nothing else: what it works with was made ready before, as for a child (see
//! `system/linux/child.rs`).

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use syscalls::{Errno, Sysno, syscall};

use super::ledger::Ledger;
use crate::clone3;
use crate::error::context;
use crate::fail_point::{FailPoint, reach};
use crate::memory::platform::{Shared, parse_range};

/// What the copy is called in lists of processes.
pub(super) const NAME: &std::ffi::CStr = c"menshen-holder";
/// How many guards may wait in the socket for an answer.
const BACKLOG: i32 = 8;
/// So many ranges of memory are given back, at most.
const RANGES_MAX: usize = 512;
/// The longest path of a socket, in bytes.
const PATH_BYTES_MAX: usize = 107;

/// The guard's end of it.
#[derive(Debug)]
pub(crate) struct Holder {
    pid: u32,
    pidfd: OwnedFd,
    socket: PathBuf,
    began: Instant,
    ledger: Arc<Ledger>,
    /// Tells it to make the table of descriptors its own.
    leave: OwnedFd,
    will: Shared<Will>,
    listener: OwnedFd,
    guard: OwnedFd,
}

impl Holder {
    /// Begins to hold. An earlier holder that listens at this path ends.
    pub(crate) fn begin(socket: &Path, ledger: &Arc<Ledger>) -> io::Result<Self> {
        let mut beside = socket.as_os_str().to_owned();
        beside.push("~");
        let beside = PathBuf::from(beside);
        let listener = listen(&beside).map_err(context(format!("listening on {}", beside.display())))?;
        let guard = pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        let leave = eventfd(0, EventfdFlags::CLOEXEC)?;
        let inode = fs::symlink_metadata(&beside)?.ino();
        let kept = [ledger.as_fd().as_raw_fd(), listener.as_raw_fd()];
        let numbers = [number(kept[0].into()), number(kept[1].into()), number(inode.cast_signed())];
        let awaited = [guard.as_raw_fd(), leave.as_raw_fd()];
        let will = Shared::new(Will { awaited, kept, ledger: ledger.rows(), numbers, ..Will::of(socket)? })?;
        let (pid, pidfd) = copy(&will).map_err(context("starting the process that holds"))?;
        reach(FailPoint::HolderBegun);
        if let Err(error) = fs::rename(&beside, socket) {
            // Nobody could find it. If it has ended, that is what is wanted.
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            return Err(context(format!("renaming {}", beside.display()))(error));
        }
        reach(FailPoint::HolderNamed);
        let socket = socket.to_owned();
        let began = Instant::now();
        let ledger = Arc::clone(ledger);
        Ok(Self { pid, pidfd, socket, began, ledger, leave, will, listener, guard })
    }

    /// Its process.
    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    /// The guard is about to end, and what it closes from now on is to be kept. One that does not hear it keeps what is open
    /// at the very end. Returns the descriptor of the process that holds.
    pub(crate) fn keep_all(self) -> OwnedFd {
        const HEARD_WITHIN: Duration = Duration::from_secs(1);
        const LOOK_AGAIN: Duration = Duration::from_millis(1);
        let end = Instant::now() + HEARD_WITHIN;
        if rustix::io::write(&self.leave, &1_u64.to_ne_bytes()).is_err() {
            return self.stay();
        }
        while !self.will.has_all.load(Ordering::Acquire) && Instant::now() < end {
            std::thread::sleep(LOOK_AGAIN);
        }
        self.ledger.close();
        self.stay()
    }

    /// One that has not heard finds these by their numbers when the guard is gone.
    fn stay(self) -> OwnedFd {
        let _ = [self.listener, self.guard, self.leave].map(OwnedFd::into_raw_fd);
        self.pidfd
    }

    /// Nothing is to be held any more.
    pub(crate) fn end(self) {
        // If it has ended already, that is what was wanted; so it is with the socket.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = fs::remove_file(&self.socket);
    }
}

fn listen(path: &Path) -> io::Result<OwnedFd> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// What the copy works with.
#[derive(Debug)]
#[repr(C)]
struct Will {
    /// The guard, readable when that is gone, and what it says before it leaves.
    awaited: [RawFd; 2],
    /// The table of descriptors is the copy's own.
    has_all: AtomicBool,
    /// The ledger and the socket.
    kept: [RawFd; 2],
    ledger: super::ledger::Rows,
    /// Their numbers and that of the socket's inode, as arguments.
    numbers: [[u8; 24]; 3],
    path: [u8; PATH_BYTES_MAX + 1],
    /// Memory to forget, each from an address and so many bytes long.
    ranges: [(usize, usize); RANGES_MAX],
}

impl Will {
    fn of(socket: &Path) -> io::Result<Self> {
        let bytes = socket.as_os_str().as_bytes();
        let mut path = [0; PATH_BYTES_MAX + 1];
        let begin = path.get_mut(..bytes.len()).filter(|begin| begin.len() <= PATH_BYTES_MAX);
        begin.ok_or(io::ErrorKind::InvalidFilename)?.copy_from_slice(bytes);
        let mut ranges = [(0, 0); RANGES_MAX];
        let here = 0_u8;
        let maps = fs::read_to_string("/proc/self/maps")?;
        for (place, range) in ranges.iter_mut().zip(forgettable(&maps, &raw const here as usize)) {
            *place = range;
        }
        let rows = super::ledger::Rows::NONE;
        Ok(Self {
            awaited: [-1; 2],
            has_all: AtomicBool::new(false),
            kept: [-1; 2],
            ledger: rows,
            numbers: [[0; 24]; 3],
            path,
            ranges,
        })
    }
}

/// A number as an argument.
fn number(number: i64) -> [u8; 24] {
    let mut text = [0; 24];
    let digits = number.to_string();
    text[..digits.len()].copy_from_slice(digits.as_bytes());
    text
}

/// The guard's own memory, but for the stack that holds `here`: what a copy of it need not have. What lies right behind a file
/// is the rest of its variables, among them what the C library knows of the processor and chooses its ways by.
fn forgettable(maps: &str, here: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut behind_file = 0;
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(range) = fields.next().and_then(parse_range) else { continue };
        let is_own = fields.next() == Some("rw-p");
        let is_of_file = fields.nth(2) != Some("0");
        if is_of_file || range.start == behind_file && fields.next().is_none() {
            behind_file = range.end;
        } else if is_own && !range.contains(&here) {
            found.push((range.start, range.len()));
        }
    }
    found
}

/// Makes the copy. Its memory is its own, its table of descriptors is the guard's.
#[expect(unsafe_code, reason = "no crate wraps clone3")]
fn copy(will: &Will) -> io::Result<(u32, OwnedFd)> {
    let mut pidfd: RawFd = -1;
    let arguments = clone3::arguments(libc::CLONE_FILES, &raw mut pidfd);
    // SAFETY: the kernel writes to `pidfd`, which is here, and `sleep` keeps to what is allowed.
    unsafe {
        let pid = clone3::copy(arguments, sleep, will)?;
        Ok((pid, OwnedFd::from_raw_fd(pidfd)))
    }
}

/// The copy's life.
///
/// # Safety
/// To be called right after the birth, in the copy.
#[expect(unsafe_code, reason = "what the copy does is system calls")]
unsafe extern "C" fn sleep(will: *const Will) -> ! {
    const SET_BYTES: usize = 8;
    // SAFETY: the will is shared memory that stays; all else are system calls with what lies there or is constant.
    unsafe {
        let will = &*will;
        let none = 0_u64;
        let _ = syscall!(Sysno::rt_sigprocmask, libc::SIG_SETMASK, &raw const none, ptr::null_mut::<u64>(), SET_BYTES);
        let _ = syscall!(Sysno::setsid);
        let _ = syscall!(Sysno::chdir, c"/".as_ptr());
        let _ = syscall!(Sysno::prctl, libc::PR_SET_NAME, NAME.as_ptr(), 0, 0, 0);
        for (begin, bytes) in will.ranges.iter().take_while(|(_, bytes)| *bytes > 0) {
            let _ = syscall!(Sysno::madvise, *begin, *bytes, libc::MADV_DONTNEED);
        }
        let mut awaited = will.awaited.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        while awaited[0].revents == 0 {
            let waited =
                syscall!(Sysno::ppoll, awaited.as_mut_ptr(), 2, ptr::null::<u8>(), ptr::null::<u8>(), SET_BYTES);
            if waited.is_err_and(|error| error != Errno::EINTR) {
                break;
            }
            if awaited[1].revents != 0 {
                if syscall!(Sysno::unshare, libc::CLONE_FILES).is_ok() {
                    will.has_all.store(true, Ordering::Release);
                }
                // What is negative is not waited for.
                awaited[1] = libc::pollfd { fd: -1, events: 0, revents: 0 };
            }
        }
        inherit(will);
        loop {
            let _ = syscall!(Sysno::exit_group, 1);
        }
    }
}

/// The guard is gone: executes the program anew, with what is to be kept.
///
/// # Safety
/// See [`sleep`].
#[expect(unsafe_code, reason = "what the copy does is system calls")]
unsafe fn inherit(will: &Will) {
    // SAFETY: as in `sleep`; the arguments end with null.
    unsafe {
        // Where there are no descriptors left, this makes room for the one that is needed below.
        let _ = syscall!(Sysno::close, will.awaited[0]);
        for kept in will.kept {
            keep(kept);
        }
        for pidfd in will.ledger.pidfds() {
            keep(pidfd);
        }
        keep_rest();
        let [ledger, socket, inode] = &will.numbers;
        let arguments = [
            c"menshen".as_ptr().cast(),
            c"hold".as_ptr().cast(),
            ledger.as_ptr(),
            socket.as_ptr(),
            inode.as_ptr(),
            will.path.as_ptr(),
            ptr::null(),
        ];
        let environment = [ptr::null::<u8>()];
        let _ = syscall!(Sysno::execve, c"/proc/self/exe".as_ptr(), arguments.as_ptr(), environment.as_ptr());
    }
}

/// # Safety
/// See [`sleep`].
#[expect(unsafe_code, reason = "what the copy does is system calls")]
unsafe fn keep(number: RawFd) {
    // SAFETY: nobody else uses the table any more.
    unsafe {
        let _ = syscall!(Sysno::fcntl, number, libc::F_SETFD, 0);
    }
}

/// Keeps every pipe and every datagram socket there is, whatever the guard had it for: they are sorted later.
///
/// # Safety
/// See [`sleep`].
#[expect(unsafe_code, reason = "what the copy does is system calls")]
unsafe fn keep_rest() {
    /// Where an entry of a folder has its length, its name, and how much is read at once.
    const LENGTH_AT: usize = 16;
    const NAME_AT: usize = 19;
    const BYTES: usize = 4096;
    // SAFETY: the kernel writes at most so many bytes, and as many as it says.
    unsafe {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let Ok(folder) = syscall!(Sysno::openat, libc::AT_FDCWD, c"/proc/self/fd".as_ptr(), flags, 0) else { return };
        let mut entries = [0_u8; BYTES];
        while let Ok(read @ 1..) = syscall!(Sysno::getdents64, folder, entries.as_mut_ptr(), BYTES) {
            let mut at = 0;
            while at + NAME_AT < read {
                let number = digits(&entries[at + NAME_AT..read]);
                if number > libc::STDERR_FILENO && (is_of_type(number, libc::S_IFIFO) || is_of_datagrams(number)) {
                    keep(number);
                }
                at += usize::from(u16::from_ne_bytes([entries[at + LENGTH_AT], entries[at + LENGTH_AT + 1]])).max(1);
            }
        }
    }
}

/// The number a text begins with.
fn digits(text: &[u8]) -> RawFd {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: RawFd, digit| number.wrapping_mul(10).wrapping_add(RawFd::from(*digit - b'0')))
}

/// # Safety
/// See [`sleep`].
#[expect(unsafe_code, reason = "what the copy does is system calls")]
unsafe fn is_of_type(number: RawFd, of_type: libc::mode_t) -> bool {
    // SAFETY: all bytes zero are a valid `statx`, and the kernel writes one.
    unsafe {
        let mut about: libc::statx = std::mem::zeroed();
        let (flags, mask) = (libc::AT_EMPTY_PATH, libc::STATX_TYPE);
        let asked = syscall!(Sysno::statx, number, c"".as_ptr(), flags, mask, &raw mut about);
        asked.is_ok() && libc::mode_t::from(about.stx_mode) & libc::S_IFMT == of_type
    }
}

/// # Safety
/// See [`sleep`].
#[expect(unsafe_code, reason = "what the copy does is system calls")]
unsafe fn is_of_datagrams(number: RawFd) -> bool {
    // SAFETY: the kernel writes at most so many bytes.
    unsafe {
        let mut kind: libc::c_int = 0;
        let mut length: libc::socklen_t = 4;
        let (option, kind_at) = (libc::SO_TYPE, &raw mut kind);
        let asked = syscall!(Sysno::getsockopt, number, libc::SOL_SOCKET, option, kind_at, &raw mut length);
        asked.is_ok() && kind == libc::SOCK_DGRAM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_and_the_stacks_of_threads_are_forgotten_but_no_variables() {
        let maps = "1000-3000 r-xp 00000000 08:01 12 /usr/bin/menshen\n\
                    3000-4000 rw-p 00002000 08:01 12 /usr/bin/menshen\n\
                    4000-5000 rw-p 00000000 00:00 0 \n\
                    5000-9000 rw-p 00000000 00:00 0 [heap]\n\
                    a000-b000 ---p 00000000 00:00 0 \n\
                    b000-d000 rw-p 00000000 00:00 0 \n\
                    e000-f000 rw-p 00004000 08:01 13 /usr/lib/libc.so.6\n\
                    f000-10000 rw-p 00000000 00:00 0 \n\
                    20000-30000 rw-p 00000000 00:00 0 [stack]\n\
                    40000-41000 rw-s 00000000 00:01 7 /memfd:ledger (deleted)\n";
        assert_eq!(forgettable(maps, 0x2f000), [(0x5000, 0x4000), (0xb000, 0x2000)]);
    }
}
