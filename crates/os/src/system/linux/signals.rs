//! The guard's own signals: they arrive as data, not as interruptions.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::event::Ask;

/// Signals that set a flag and make a descriptor readable.
#[derive(Debug)]
pub(super) struct Signals {
    readable: UnixStream,
    child: Arc<AtomicBool>,
    asks: Vec<(Arc<AtomicBool>, Ask)>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Some child ended.
    pub child: bool,
    pub asked: Vec<Ask>,
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
        let asks = asks.into_iter().map(|(signal, ask)| Ok((take(signal)?, ask))).collect::<io::Result<_>>()?;
        Ok(Self { readable, child: take(SIGCHLD)?, asks })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }

    pub(super) fn read(&self) -> Taken {
        let mut buffer = [0; 64];
        while rustix::io::read(&self.readable, &mut buffer).is_ok_and(|count| count == buffer.len()) {}
        let took = |flag: &AtomicBool| flag.swap(false, Ordering::Relaxed);
        let asked = self.asks.iter().filter(|(flag, _)| took(flag)).map(|(_, ask)| *ask).collect();
        Taken { child: took(&self.child), asked }
    }
}
