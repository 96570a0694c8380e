//! Waiting for spools to grow. The system tells nobody that a file somebody else has open was written to, not before it is
//! closed, so their lengths are looked at: often while something comes, ever more rarely while nothing does.

use std::collections::BTreeMap;
use std::io;
use std::os::windows::io::OwnedHandle;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{WAIT_FAILED, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{CreateEventW, SetEvent, WaitForSingleObject};

use super::{Pipe, Spooled};
use crate::event::Token;
use crate::win32::{owned, raw};

/// How soon the lengths are looked at again after something came.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// And how soon at the latest.
const INTERVAL_MAX: Duration = Duration::from_millis(200);

/// Waits until one of many spools has something to read.
#[derive(Debug)]
pub struct Readers {
    watched: Mutex<Watched>,
    wake: Arc<OwnedHandle>,
}

#[derive(Debug)]
struct Watched {
    spools: BTreeMap<Token, Arc<Spooled>>,
    interval: Duration,
}

/// Ends a wait from another thread.
#[derive(Debug, Clone)]
pub struct ReadWaker(Arc<OwnedHandle>);

impl Readers {
    /// Nothing to wait for yet.
    ///
    /// # Errors
    /// When the system has no handles left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: an event without a name; it is reset by whoever waits for it.
        let wake = owned(unsafe { CreateEventW(ptr::null(), 0, 0, ptr::null()) })?;
        let watched = Watched { spools: BTreeMap::new(), interval: INTERVAL_MIN };
        Ok(Self { watched: Mutex::new(watched), wake: Arc::new(wake) })
    }

    /// Something to end a wait with.
    #[must_use]
    pub fn waker(&self) -> ReadWaker {
        ReadWaker(Arc::clone(&self.wake))
    }

    /// Waits for this spool too.
    ///
    /// # Errors
    /// Never.
    pub fn add(&self, token: Token, pipe: &Pipe) -> io::Result<()> {
        self.watched().spools.insert(token, Arc::clone(pipe.spooled()));
        Ok(())
    }

    /// Waits for this spool no longer.
    pub fn remove(&self, pipe: &Pipe) {
        self.watched().spools.retain(|_, spooled| !Arc::ptr_eq(spooled, pipe.spooled()));
    }

    /// Waits for something to read or for the waker, and says which spools have something.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Token>) -> io::Result<()> {
        ready.clear();
        let end = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let interval = self.look(ready);
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if !ready.is_empty() || left == Some(Duration::ZERO) {
                return Ok(());
            }
            let pause = left.map_or(interval, |left| left.min(interval));
            let milliseconds = u32::try_from(pause.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
            // SAFETY: the event is open as long as this is.
            match unsafe { WaitForSingleObject(raw(&*self.wake), milliseconds) } {
                WAIT_OBJECT_0 => return Ok(()),
                WAIT_FAILED => return Err(io::Error::last_os_error()),
                _ => {}
            }
        }
    }

    /// Adds what has something to read, and says how long to pause otherwise.
    fn look(&self, ready: &mut Vec<Token>) -> Duration {
        let mut watched = self.watched();
        let has_some = |spooled: &Spooled| spooled.waiting().is_ok_and(|bytes| bytes > 0);
        ready.extend(watched.spools.iter().filter(|(_, spooled)| has_some(spooled)).map(|(token, _)| *token));
        watched.interval = if ready.is_empty() { (watched.interval * 2).min(INTERVAL_MAX) } else { INTERVAL_MIN };
        watched.interval
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        // Every change is one step.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadWaker {
    /// Ends the wait.
    pub fn wake(&self) {
        // SAFETY: the event is open as long as this is.
        unsafe { SetEvent(raw(&*self.0)) };
    }
}
