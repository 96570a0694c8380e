//! Where bytes go that nobody needs any more: a pipe, at whose other end a thread gives their pages back to the system.
//!
//! To give a page back takes nearly as long as to copy what is in it, since the system keeps account of whose it was. The
//! thread that moves output has no time for that while a program writes as quickly as it can; to have a page go into another
//! pipe is next to nothing.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

use super::copy::move_there;

/// How much waits to be given back at most, in bytes: as much as is written at once. Pages that come back sooner are sooner
/// written to again, while the processor still has them at hand.
const SINK_BYTES: usize = 256 * 1024;

/// The end into which bytes go. When it is closed, the thread ends. As long as nothing goes in, the thread sleeps.
#[derive(Debug)]
pub(super) struct Sink(OwnedFd);

impl Sink {
    /// Starts the thread.
    pub(super) fn start(null: &OwnedFd) -> io::Result<Self> {
        let (waiting, end) = pipe()?;
        let own = pipe()?;
        let null = null.try_clone()?;
        std::thread::Builder::new().name("sink".to_owned()).spawn(move || give_back(&waiting, &own, &null))?;
        Ok(Self(end))
    }

    /// Takes so many bytes out of a pipe, or what there is room for, and says how many.
    pub(super) fn take(&self, from: &OwnedFd, bytes: usize) -> io::Result<usize> {
        move_there(from, &self.0, bytes)
    }
}

/// A small one would have the thread woken for little; an unprivileged guard with many services gets no other.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::pipe::fcntl_setpipe_size(&write, SINK_BYTES)?;
    Ok((read, write))
}

/// Whoever adds to a pipe waits as long as something is moved out of it. So what waits goes into a pipe of the thread's own
/// first, which is next to nothing, and is given back from there.
fn give_back(waiting: &OwnedFd, (read, write): &(OwnedFd, OwnedFd), null: &OwnedFd) {
    loop {
        match rustix::pipe::splice(waiting, None, write, None, SINK_BYTES, SpliceFlags::empty()) {
            Ok(0) => return,
            Ok(count) if move_there(read, null, count).is_ok() => {}
            Err(Errno::INTR) => {}
            // Nobody is hindered by a sink that takes nothing.
            Ok(_) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that holds so many bytes.
    fn filled(bytes: usize) -> (OwnedFd, OwnedFd) {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
        rustix::pipe::fcntl_setpipe_size(&write, bytes).unwrap();
        assert_eq!(rustix::io::write(&write, &vec![b'x'; bytes]).unwrap(), bytes);
        (read, write)
    }

    fn null() -> OwnedFd {
        std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap().into()
    }

    fn waiting(pipe: &OwnedFd) -> u64 {
        rustix::io::ioctl_fionread(pipe).unwrap()
    }

    #[test]
    fn what_goes_in_is_given_back_and_the_thread_ends_with_its_end() {
        let (from, _write) = filled(SINK_BYTES);
        let ((read, end), own) = (pipe().unwrap(), pipe().unwrap());
        let sink = Sink(end);
        assert_eq!(sink.take(&from, SINK_BYTES / 2).unwrap(), SINK_BYTES / 2);
        std::thread::scope(|scope| {
            scope.spawn(|| give_back(&read, &own, &null()));
            assert_eq!(sink.take(&from, SINK_BYTES / 2).unwrap(), SINK_BYTES / 2);
            drop(sink);
        });
        assert_eq!((waiting(&from), waiting(&read), waiting(&own.0)), (0, 0, 0));
    }

    #[test]
    fn a_sink_whose_thread_has_no_time_or_has_ended_hinders_nobody() {
        let (from, _write) = filled(2 * SINK_BYTES);
        let (read, end) = pipe().unwrap();
        let sink = Sink(end);
        for taken in [SINK_BYTES, 0] {
            assert_eq!(sink.take(&from, 2 * SINK_BYTES).unwrap(), taken);
        }
        assert_eq!(waiting(&from), SINK_BYTES as u64);
        drop(read);
        assert!(sink.take(&from, SINK_BYTES).is_err());
        assert_eq!(waiting(&from), SINK_BYTES as u64);
    }
}
