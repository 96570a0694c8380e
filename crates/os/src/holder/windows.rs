//! On Windows the holder is a process that does nothing at all: the guard puts copies of its handles into it. As long as it is
//! there, a job keeps its name, and how a process ended is known, whatever becomes of the guard. Which handle is which stands
//! in a *ledger*, a file that both guards map into memory.

use std::ffi::OsString;
use std::io;
use std::os::windows::io::OwnedHandle;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use windows_sys::Win32::System::Console::{
    AttachConsole, CTRL_BREAK_EVENT, FreeConsole, GenerateConsoleCtrlEvent, SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::Threading::{
    PROCESS_DUP_HANDLE, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE,
};

use crate::error::context;
use crate::handover::Kept;
use crate::holder::HeldRun;
use crate::memory::platform::{Mapped, Record};
use crate::system::platform::process;
use crate::system::platform::second::{self, kill};
use crate::win32::{checked, close_there, give, take};

/// What the holder is started with.
const KEEP: &str = "keep";
/// What a process is started with that presses Ctrl-Break in the console of another one.
pub(crate) const BREAK: &str = "break";
/// As many runs are held, at most. What is begun beyond them is not.
const ROWS: usize = 8192;

/// What is held, in memory that is a file.
#[repr(C)]
#[derive(Debug)]
struct Ledger {
    /// The holder's process, and when it began.
    pid: AtomicU64,
    start_time: AtomicU64,
    rows: [Entry; ROWS],
}

/// One run: all zeroes if there is none.
#[repr(C)]
#[derive(Debug)]
struct Entry {
    /// Written last, and cleared first.
    is_used: AtomicU64,
    place: AtomicU64,
    run: AtomicU64,
    pid: AtomicU64,
    start_time: AtomicU64,
    /// The numbers that its process and its job have in the holder.
    process: AtomicU64,
    job: AtomicU64,
}

// SAFETY: all of it is atomic.
unsafe impl Record for Ledger {}

/// The guard's end of it.
#[derive(Debug)]
pub(crate) struct Holder {
    store: Arc<Store>,
    began: Instant,
}

#[derive(Debug)]
struct Store {
    process: OwnedHandle,
    ledger: Mapped<Ledger>,
    /// Rows stay as they are when they are dropped.
    is_closed: AtomicBool,
}

/// A run that is held as long as this lives.
#[derive(Debug)]
pub(crate) struct Row {
    store: Arc<Store>,
    at: usize,
}

impl Holder {
    /// Begins to hold, with a new ledger at this path. A next guard does not know of it before it is told where that is.
    pub(crate) fn begin(ledger: &Path) -> io::Result<Self> {
        let what = || context("starting the process that holds");
        let mapped = Mapped::<Ledger>::open(ledger).map_err(what())?;
        let (process, pid) = second::start(&[KEEP.into()]).map_err(what())?;
        mapped.start_time.store(process::start_time_of(&process).unwrap_or(0), Ordering::Release);
        mapped.pid.store(pid.into(), Ordering::Release);
        let store = Store { process, ledger: mapped, is_closed: AtomicBool::new(false) };
        Ok(Self { store: Arc::new(store), began: Instant::now() })
    }

    /// Its process.
    pub(crate) fn process(&self) -> &OwnedHandle {
        &self.store.process
    }

    /// When it began.
    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    /// Holds the process and the job of a run.
    pub(crate) fn hold(&self, of: (u64, u64), pid: u32, process: &OwnedHandle, job: &OwnedHandle) -> io::Result<Row> {
        let rows = &self.store.ledger.rows;
        let at = rows.iter().position(|row| row.is_used.load(Ordering::Acquire) == 0);
        let at = at.ok_or_else(|| io::Error::new(io::ErrorKind::QuotaExceeded, "the ledger is full"))?;
        let row = &rows[at];
        row.process.store(give(process, &self.store.process)?, Ordering::Release);
        row.job.store(give(job, &self.store.process)?, Ordering::Release);
        row.place.store(of.0, Ordering::Release);
        row.run.store(of.1, Ordering::Release);
        row.pid.store(pid.into(), Ordering::Release);
        row.start_time.store(process::start_time_of(process).unwrap_or(0), Ordering::Release);
        row.is_used.store(1, Ordering::Release);
        Ok(Row { store: Arc::clone(&self.store), at })
    }

    /// Nothing is to be held any more.
    pub(crate) fn end(self) {
        kill(&self.store.process);
    }

    /// It holds on without this guard.
    pub(crate) fn keep_all(self) -> Option<Kept> {
        self.store.is_closed.store(true, Ordering::Release);
        self.store.process.try_clone().ok()
    }
}

impl Row {
    /// Which program it is of.
    pub(crate) fn place(&self) -> u64 {
        self.store.ledger.rows[self.at].place.load(Ordering::Acquire)
    }

    /// It is held on, whatever becomes of this guard.
    pub(crate) fn keep(self) {
        let _ = std::mem::ManuallyDrop::new(self);
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if self.store.is_closed.load(Ordering::Acquire) {
            return;
        }
        let row = &self.store.ledger.rows[self.at];
        row.is_used.store(0, Ordering::Release);
        for number in [&row.process, &row.job] {
            close_there(number.load(Ordering::Acquire), &self.store.process);
        }
    }
}

/// What was held.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    rows: Vec<Held>,
    holder: Option<OwnedHandle>,
}

/// One run.
#[derive(Debug)]
struct Held {
    place: u64,
    run: u64,
    pid: u32,
    start_time: u64,
    process: OwnedHandle,
    job: OwnedHandle,
}

impl Taken {
    /// Takes what the holder that this ledger speaks of holds, if it is there.
    pub(crate) fn from(ledger: &Path) -> io::Result<Self> {
        if !ledger.exists() {
            return Ok(Self::default());
        }
        let ledger = Mapped::<Ledger>::open(ledger)?;
        let Ok(pid) = u32::try_from(ledger.pid.load(Ordering::Acquire)) else { return Ok(Self::default()) };
        let rights = PROCESS_DUP_HANDLE | PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE | PROCESS_TERMINATE;
        let holder = process::open(pid, rights);
        let start_time = ledger.start_time.load(Ordering::Acquire);
        let Some(holder) = holder.filter(|holder| process::start_time_of(holder) == Some(start_time)) else {
            return Ok(Self::default());
        };
        let used = ledger.rows.iter().filter(|row| row.is_used.load(Ordering::Acquire) != 0);
        let held = used.filter_map(|row| {
            let number = |number: &AtomicU64| number.load(Ordering::Acquire);
            Some(Held {
                place: number(&row.place),
                run: number(&row.run),
                pid: u32::try_from(number(&row.pid)).ok()?,
                start_time: number(&row.start_time),
                process: take(number(&row.process), &holder).ok()?,
                job: take(number(&row.job), &holder).ok()?,
            })
        });
        Ok(Self { rows: held.collect(), holder: Some(holder) })
    }

    /// The process of this number that was started at that time, also if it has ended.
    pub(crate) fn process(&self, pid: u32, start_time: Option<u64>) -> Option<&OwnedHandle> {
        let is_it = |held: &&Held| held.pid == pid && start_time.is_none_or(|time| time == held.start_time);
        self.rows.iter().find(is_it).map(|held| &held.process)
    }

    /// The job of a place.
    pub(crate) fn job(&self, place: u64) -> Option<&OwnedHandle> {
        self.rows.iter().find(|held| held.place == place).map(|held| &held.job)
    }

    /// The runs of a program from this one on, in their order.
    pub(crate) fn runs(&self, place: u64, from: u64) -> Vec<HeldRun> {
        let of = self.rows.iter().filter(|held| held.place == place && held.run >= from);
        let run = |held: &Held| HeldRun { number: held.run, pid: held.pid, ended: process::has_ended(&held.process) };
        let mut runs: Vec<HeldRun> = of.map(run).collect();
        runs.sort_unstable_by_key(|run| run.number);
        runs
    }

    /// The holder is not needed any more.
    pub(crate) fn let_go(self) {
        if let Some(holder) = &self.holder {
            kill(holder);
        }
    }
}

/// What a guard's second process does: it holds what it is given until it is ended, or presses Ctrl-Break in the console of a
/// process, for a group of processes (all that are attached to it for 0).
///
/// # Errors
/// When the arguments are no guard's, or the console cannot be attached to.
pub fn hold(arguments: &[OsString]) -> io::Result<()> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    match words[..] {
        [KEEP] => loop {
            std::thread::park();
        },
        [BREAK, pid, group] => {
            let number = |text: &str| text.parse().map_err(|_| unknown());
            press_break(number(pid)?, number(group)?)
        }
        _ => Err(unknown()),
    }
}

fn unknown() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "only a guard knows how to start this")
}

fn press_break(pid: u32, group: u32) -> io::Result<()> {
    // SAFETY: none of these calls takes memory of ours; the handler is a function that stays.
    unsafe {
        FreeConsole();
        checked(AttachConsole(pid))?;
        SetConsoleCtrlHandler(Some(unmoved), 1);
        checked(GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, group))
    }
}

/// The one who presses is not the one who is meant.
unsafe extern "system" fn unmoved(_event: u32) -> i32 {
    1
}

/// Ends the process that held for the version before.
pub fn end_earlier(holder: &Kept) {
    kill(holder);
}
