//! The thread that looks after closed logs, off the road of the output. It is started when it is first needed, and lets
//! everything else go before it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use menshen_os::output::ReadWaker;
use menshen_plan::definition::Rotate;

use super::LogId;
use super::now::Now;
use super::tend::{Left, tend};

/// The collector's end of the thread.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    jobs: Mutex<Jobs>,
    more: Condvar,
    stop: AtomicBool,
    /// There are results.
    done: AtomicBool,
    waker: ReadWaker,
}

type Job = (Arc<Path>, Rotate);

/// No more than one of each kind for each log.
#[derive(Debug, Default)]
struct Jobs {
    folders: BTreeMap<LogId, Job>,
    /// Whose turn it was last; the next one's is next.
    last: Option<LogId>,
    results: BTreeMap<LogId, Option<String>>,
}

impl Worker {
    /// Not started yet. The waker is told when there are results.
    pub(super) fn new(waker: ReadWaker) -> Self {
        let shared = Shared {
            jobs: Mutex::default(),
            more: Condvar::new(),
            stop: AtomicBool::new(false),
            done: AtomicBool::new(false),
            waker,
        };
        Self { shared: Arc::new(shared), thread: None }
    }

    /// Looks after a folder, soon.
    pub(super) fn tend(&mut self, log: LogId, folder: &Arc<Path>, rotate: &Rotate) {
        self.shared.lock().folders.insert(log, (Arc::clone(folder), rotate.clone()));
        self.shared.more.notify_one();
        if self.thread.is_none() {
            match start(Arc::clone(&self.shared)) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => self.shared.result(log, Some(format!("starting a thread: {error}"))),
            }
        }
    }

    /// What came of it since the last time: the error, or none.
    pub(super) fn results(&self) -> BTreeMap<LogId, Option<String>> {
        if self.shared.done.swap(false, Ordering::AcqRel) {
            std::mem::take(&mut self.shared.lock().results)
        } else {
            BTreeMap::new()
        }
    }

    /// Ends soon, also in the middle of a file: the next guard does it again.
    pub(super) fn stop(self) {
        self.shared.stop.store(true, Ordering::Release);
        // The thread either sees the flag or waits already.
        drop(self.shared.lock());
        self.shared.more.notify_one();
        if let Some(thread) = self.thread {
            // A thread that panicked has ended, too.
            let _ = thread.join();
        }
    }
}

fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("tend".to_owned()).spawn(move || {
        menshen_os::output::step_back();
        while let Some((log, job)) = shared.next() {
            match tend(&job.0, &job.1, Now::read(), &shared.stop) {
                Ok(Left::More) => shared.again(log, job),
                Ok(Left::Nothing) => shared.result(log, None),
                Err(error) => shared.result(log, Some(error.to_string())),
            }
        }
    })
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        // Every change of the jobs is one step.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(LogId, Job)> {
        let mut jobs = self.lock();
        loop {
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            if let Some(job) = jobs.take() {
                return Some(job);
            }
            jobs = self.more.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// There is more to do, when it is its turn again; unless the plan has changed meanwhile.
    fn again(&self, log: LogId, job: Job) {
        self.lock().folders.entry(log).or_insert(job);
    }

    fn result(&self, log: LogId, error: Option<String>) {
        self.lock().results.insert(log, error);
        self.done.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Jobs {
    fn take(&mut self) -> Option<(LogId, Job)> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.folders.range((after, Bound::Unbounded)).next().or_else(|| self.folders.iter().next());
        let log = *next?.0;
        self.last = Some(log);
        self.folders.remove_entry(&log)
    }
}

#[cfg(test)]
impl Worker {
    /// One that never does anything, for tests that tend by themselves.
    pub(super) fn idle(waker: ReadWaker) -> Self {
        Self { thread: Some(std::thread::spawn(|| ())), ..Self::new(waker) }
    }
}
