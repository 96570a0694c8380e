//! What services write, on its way to disk and back.
//!
//! - On the way: `collector` is the thread; for each log it has a `service`, whose output `writing` writes: `raw` byte for
//!   byte, or `formatted` line by line. `pour` moves bytes to the end of the `current` file, which `rotate` says when to
//!   close; `index` notes when. Lines are `append`ed in steps that the next guard can `undo`, and finds the `tail` of. `ears`
//!   passes `lines` on to `tap`s, `journald`, the `event_log` and probes.
//! - Behind it: `worker` is the thread that `tend`s closed logs. Their `names` say all there is to know about them.
//! - Back: [`read`], and [`Follow`] to wait for more.

mod append;
mod collector;
mod current;
mod ears;
mod ends;
mod event_log;
mod follow;
mod format;
mod formatted;
mod index;
mod journald;
mod lines;
mod names;
mod now;
mod pour;
mod raw;
pub mod read;
mod rotate;
mod service;
mod tail;
mod tap;
mod tend;
#[cfg(test)]
mod tests;
mod trouble;
mod undo;
mod worker;
mod writing;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use menshen_os::output::{JournalSocket, Pipe, ReadWaker, Readers};
use menshen_plan::definition::Log;
use regex::bytes::Regex;

use collector::{Collector, Command, Then};
use ends::Found;
pub use follow::{Change, Follow};
use service::{Outlet, Source};
pub use tap::{TapLine, TapReceiver, TapScope};
pub use trouble::Trouble;

/// How many requests wait for the collector before the next one waits, too. It takes them all whenever it is awake, so that
/// more only come together when all services of a large guard change at once.
const COMMANDS_MAX: usize = 1024;

/// The log of one service, by a number of the caller's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u64);

/// What the collector has to say. It comes from the collector's thread: whoever takes it must not wait for somebody who waits
/// for the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A line matched a pattern.
    Matched {
        /// Of which log.
        log: LogId,
        /// In which run, as given to [`Logs::begin_run`].
        run: u64,
        /// Which pattern.
        pattern: u32,
    },
    /// Something about a log does not work any more.
    Trouble {
        /// Of which.
        log: LogId,
        /// What.
        trouble: Trouble,
        /// The same in words, and why.
        text: String,
    },
    /// It works again.
    TroubleOver {
        /// Of which.
        log: LogId,
        /// What.
        trouble: Trouble,
        /// The same in words.
        text: String,
    },
}

impl Report {
    /// Whether it is about the same as another, so that only the later one counts.
    pub(crate) fn is_about_what(&self, other: &Self) -> bool {
        match (self.trouble(), other.trouble()) {
            (None, None) => self == other,
            (mine, others) => mine == others,
        }
    }

    const fn trouble(&self) -> Option<(LogId, Trouble)> {
        match self {
            Self::Matched { .. } => None,
            Self::Trouble { log, trouble, .. } | Self::TroubleOver { log, trouble, .. } => Some((*log, *trouble)),
        }
    }
}

/// What a `log` probe waits for.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// What it is called in [`Report::Matched`].
    pub id: u32,
    /// A line that matches.
    pub regex: Regex,
}

/// What the collector must know of a service.
#[derive(Debug)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// The guard's name.
    pub instance: String,
    /// Where its logs are. Created if it is not there.
    pub folder: PathBuf,
    /// How they are written.
    pub plan: Log,
    /// What it writes to stdout, and what to stderr.
    pub pipes: [Pipe; 2],
    /// What probes wait for.
    pub patterns: Vec<Pattern>,
    /// The run that writes now, if one does already.
    pub run: u64,
}

/// What services write: taken from their pipes by one thread, and written where it belongs. Cheap to clone. When the last
/// clone is dropped, the collector stops, too.
#[derive(Debug, Clone)]
pub struct Logs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    commands: SyncSender<Command>,
    /// Something was asked of the collector, and it was not woken for it.
    unheard: AtomicBool,
    /// Dropped after `commands`, so that the collector finds that nobody is left.
    waker: WakeAtEnd,
    outlets: Mutex<BTreeMap<LogId, Outlet>>,
    /// When the end of a run could not be placed, for the collector took too long.
    slow_at: Mutex<Option<Instant>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct WakeAtEnd(ReadWaker);

impl Drop for WakeAtEnd {
    fn drop(&mut self) {
        self.0.wake();
    }
}

impl Logs {
    /// Starts the collector, and has undone what another left unfinished in the folder of the guard's pipes.
    ///
    /// # Errors
    /// When that cannot be read or written, or the system has no threads or descriptors left.
    pub fn start(pipes: &Path, report: impl Fn(Report) + Send + 'static) -> io::Result<Self> {
        Self::start_with(pipes, JournalSocket::PATH.into(), report)
    }

    /// Starts the collector with a systemd journal that listens elsewhere.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        pipes: &Path,
        journal_socket: PathBuf,
        report: impl Fn(Report) + Send + 'static,
    ) -> io::Result<Self> {
        let readers = Readers::new()?;
        let waker = readers.waker();
        let (commands, received) = sync_channel(COMMANDS_MAX);
        let collector = Collector::new(readers, received, pipes, journal_socket, Box::new(report))?;
        let thread = std::thread::Builder::new().name("logs".to_owned()).spawn(|| collector.run())?;
        Ok(Self(Arc::new(Shared {
            commands,
            unheard: AtomicBool::new(false),
            waker: WakeAtEnd(waker),
            outlets: Mutex::default(),
            slow_at: Mutex::default(),
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// Takes over a service's output, where another guard left it. Returns when the collector has it.
    ///
    /// # Errors
    /// When its files cannot be created, or the number is taken.
    pub fn attach(&self, log: LogId, spec: Spec) -> io::Result<()> {
        self.begin_attach(log, spec)?.done()
    }

    /// The same, without waiting for the collector: it works on one while the next is made ready.
    ///
    /// # Errors
    /// When the collector has stopped.
    pub fn begin_attach(&self, log: LogId, spec: Spec) -> io::Result<Attaching> {
        let Spec { name, instance, folder, plan, pipes, patterns, run } = spec;
        let outlet = Outlet::new(Arc::new(pipes), run);
        let (reply, answer) = sync_channel(1);
        let new = Box::new((Source { name, instance, folder, plan, patterns }, outlet.clone()));
        self.send(Command::Attach(log, new, reply)).map_err(|_| stopped())?;
        Ok(Attaching { logs: self.clone(), log, outlet, answer })
    }

    /// Follows another plan and waits for other patterns from now on. Another format closes the files.
    pub fn replan(&self, log: LogId, plan: Log, patterns: Vec<Pattern>) {
        self.tell(Command::Replan(log, plan, patterns));
    }

    /// What is written from now on is of another run: every pattern is reported anew when that is read. Comes before the run's
    /// program is started, and after the run before was ended. Never waits.
    pub fn begin_run(&self, log: LogId, run: u64) {
        if let Some(outlet) = self.outlets().get(&log) {
            outlet.ends.begin_run(run);
        }
    }

    /// The run is over, and what the pipes hold now is the last of it. Calls `then`, from the collector's thread, when that is
    /// in the files, a last line without an end included. If it cannot be written now, it stays in the pipes, and `then` is
    /// called all the same.
    pub fn end_run(&self, log: LogId, then: impl FnOnce() + Send + 'static) {
        self.place_end(log);
        self.tell(Command::EndRun(log, Then::new(then)));
    }

    /// The same for one who has something more urgent to do before he calls [`Self::wake`], and does not wait for it.
    pub fn end_run_soon(&self, log: LogId) {
        self.place_end(log);
        let command = Command::EndRun(log, Then::default());
        match self.0.commands.try_send(command) {
            Ok(()) => self.0.unheard.store(true, Ordering::Release),
            // It takes them all when it is awake.
            Err(TrySendError::Full(command)) => {
                self.0.waker.0.wake();
                self.tell(command);
            }
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// Sees where a run ends. A collector that does not come to an end of what it does, for its disk is slow, is waited for
    /// shortly, and then not again during a second.
    fn place_end(&self, log: LogId) {
        const AT_MOST: Duration = Duration::from_millis(20);
        const LEFT_ALONE_FOR: Duration = Duration::from_secs(1);
        let Some(ends) = self.outlets().get(&log).map(|outlet| Arc::clone(&outlet.ends)) else {
            return;
        };
        // Every change of it is one step.
        let mut slow_at = self.0.slow_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_slow = slow_at.is_some_and(|at| at.elapsed() < LEFT_ALONE_FOR);
        if ends.place(if is_slow { Duration::ZERO } else { AT_MOST }) == Found::TooLate {
            *slow_at = Some(Instant::now());
        }
    }

    /// Has the collector do what it was asked without being woken.
    pub fn wake(&self) {
        if self.0.unheard.swap(false, Ordering::AcqRel) {
            self.0.waker.0.wake();
        }
    }

    /// Writes what the pipes hold, and lets go of them.
    pub fn detach(&self, log: LogId) {
        self.outlets().remove(&log);
        self.tell(Command::Detach(log));
    }

    /// The lines of all services from now on.
    #[must_use]
    pub fn tap(&self, scope: TapScope) -> TapReceiver {
        let (tap, receiver) = tap::tap(scope);
        self.tell(Command::Tap(tap));
        receiver
    }

    /// Waits for what a service writes; `None` if it is not attached.
    #[must_use]
    pub fn follow(&self, log: LogId) -> Option<Follow> {
        self.outlets().get(&log).map(|outlet| outlet.bell.follow())
    }

    /// Has what all pipes hold written, and the collector end. What is asked afterwards is not done.
    pub fn begin_to_stop(&self) {
        self.tell(Command::Stop);
        // Nobody begins to write any more.
        self.outlets().clear();
    }

    /// Returns when what all pipes hold is written, and the collector has ended. What is asked afterwards is not done.
    pub fn stop(&self) {
        self.begin_to_stop();
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A collector that panicked has ended, too.
            let _ = thread.join();
        }
    }

    fn outlets(&self) -> MutexGuard<'_, BTreeMap<LogId, Outlet>> {
        // Every change of the map is one step.
        self.0.outlets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A collector that has stopped needs nothing.
    fn tell(&self, command: Command) {
        let _ = self.send(command);
    }

    fn send(&self, command: Command) -> Result<(), Command> {
        let sent = self.0.commands.send(command).map_err(|error| error.0);
        self.0.waker.0.wake();
        sent
    }
}

/// A service's output that the collector is about to take over.
#[derive(Debug)]
#[must_use]
pub struct Attaching {
    logs: Logs,
    log: LogId,
    outlet: Outlet,
    answer: Receiver<io::Result<()>>,
}

impl Attaching {
    /// Returns when the collector has it.
    ///
    /// # Errors
    /// When its files cannot be created, or the number is taken.
    pub fn done(self) -> io::Result<()> {
        self.answer.recv().map_err(|_| stopped())??;
        self.logs.outlets().insert(self.log, self.outlet);
        Ok(())
    }
}

fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the collector of logs has stopped")
}
