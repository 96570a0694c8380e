//! The guard's own signals: they arrive as data, not as interruptions.
//!
//! That a child ended comes with the end of every program: it does not even run a handler where all threads hold it, but is
//! read from a descriptor.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::fs::{Mode, OFlags};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::event::Ask;

/// Signals that set a flag and make a descriptor readable, and the one that is held and makes another one readable.
#[derive(Debug)]
pub(super) struct Signals {
    readable: UnixStream,
    held: SignalFd,
    child: Arc<AtomicBool>,
    asks: Vec<(Arc<AtomicBool>, Ask)>,
    /// Whether the guard was started in a terminal.
    in_terminal: bool,
}

/// The signals that ask something of the guard.
fn asking() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP].into_iter().collect()
}

/// The signal that a child ended.
fn child_ended() -> SigSet {
    Signal::SIGCHLD.into()
}

/// From now on, signals that ask something of the guard wait until [`System::wait`](super::System::wait) lets them through,
/// and that a child ended waits to be read. To be called before the first thread is started: the others inherit it, or call it
/// for themselves, and never take a signal that is the loop's.
pub fn hold_signals() {
    // The sets are valid, and that is all that could be wrong with them.
    let _ = asking().thread_block();
    let _ = child_ended().thread_block();
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Some child ended.
    pub child: bool,
    pub asked: Vec<Ask>,
}

/// Does something that may let another program take the place of this one, which finds the signal that a child ended as every
/// program does.
pub(super) fn with_children_let_through<T>(act: impl FnOnce() -> T) -> T {
    let _ = child_ended().thread_unblock();
    let result = act();
    let _ = child_ended().thread_block();
    result
}

/// Lets them through in this thread.
pub(super) fn let_through() {
    let _ = asking().thread_unblock();
}

impl Signals {
    /// Takes the signals of this process.
    pub(super) fn take() -> io::Result<Self> {
        let (readable, writable) = UnixStream::pair()?;
        readable.set_nonblocking(true)?;
        writable.set_nonblocking(true)?;
        let take = |signal: i32| -> io::Result<Arc<AtomicBool>> {
            let flag = Arc::new(AtomicBool::new(false));
            // The flag is set before the descriptor becomes readable: what is registered first comes first.
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(signal, writable.try_clone()?)?;
            Ok(flag)
        };
        let asks =
            [(SIGTERM, Ask::Terminate), (SIGINT, Ask::Interrupt), (SIGQUIT, Ask::Interrupt), (SIGHUP, Ask::Reload)];
        // `nohup` asks not to be told of a terminal that goes.
        let asks = asks.into_iter().filter(|(signal, _)| *signal != SIGHUP || !is_ignored(SIGHUP));
        let asks = asks.map(|(signal, ask)| Ok((take(signal)?, ask))).collect::<io::Result<_>>()?;
        // Some thread that is not the guard's may let it through.
        let child = take(SIGCHLD)?;
        child_ended().thread_block()?;
        let held = SignalFd::with_flags(&child_ended(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { readable, held, child, asks, in_terminal: has_terminal() })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }

    /// Readable when a child has ended.
    pub(super) fn held(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }

    /// Takes the held signal, which comes once for all children that have ended until then.
    pub(super) fn take_held(&self) {
        // Without one there is nothing to take.
        let _ = self.held.read_signal();
    }

    pub(super) fn read(&self) -> Taken {
        let mut buffer = [0; 64];
        while rustix::io::read(&self.readable, &mut buffer).is_ok_and(|count| count == buffer.len()) {}
        let took = |flag: &AtomicBool| flag.swap(false, Ordering::Relaxed);
        let asked = self.asks.iter().filter(|(flag, _)| took(flag)).map(|(_, ask)| self.meant(*ask)).collect();
        Taken { child: took(&self.child), asked }
    }

    /// The same signal tells of a terminal that is gone and asks for a reload.
    fn meant(&self, ask: Ask) -> Ask {
        if ask == Ask::Reload && self.in_terminal && !has_terminal() { Ask::Hangup } else { ask }
    }
}

/// Whether this process has a terminal that controls it.
fn has_terminal() -> bool {
    rustix::fs::open("/dev/tty", OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

/// Whether whoever started this process has it ignore a signal.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored & 1 << (signal - 1) != 0
}
