//! The thread that waits on all pipes and moves what comes to where it goes. It sleeps as long as nothing comes, nothing is
//! asked and nothing is due.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use menshen_api::types::Stream;
use menshen_os::Token;
use menshen_os::error::describe;
use menshen_os::output::Readers;
use menshen_plan::definition::Log;

use super::event_log::EventLog;
use super::journald::Journald;
use super::now::Now;
use super::raw::Scratch;
use super::service::{Around, Outlet, Service, Source};
use super::tap::{Tap, Taps};
use super::trouble::Trouble;
use super::worker::Worker;
use super::{LogId, Pattern, Report};

/// Output that comes again this soon after a turn is left to gather for as long, if the turn moved little: a program that
/// writes line by line would otherwise have every line copied by itself, and be slowed by it.
const GATHER: Duration = Duration::from_micros(200);
/// A turn that moved fewer bytes than this moved little.
const GATHER_BYTES: usize = 128 * 1024;

/// What the collector is asked.
pub(super) enum Command {
    Attach(LogId, Box<(Source, Outlet)>, SyncSender<io::Result<()>>),
    Replan(LogId, Log, Vec<Pattern>),
    /// The output of the run is copied before the last is dropped.
    EndRun(LogId, Then),
    Detach(LogId),
    Tap(Tap),
    Stop,
}

/// Is called when it is dropped: always once, wherever a request ends.
#[derive(Default)]
pub(super) struct Then(Option<Box<dyn FnOnce() + Send>>);

impl Then {
    pub(super) fn new(then: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(then)))
    }
}

impl Drop for Then {
    fn drop(&mut self) {
        if let Some(then) = self.0.take() {
            then();
        }
    }
}

/// Whether there will be more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    End,
}

/// All logs of the guard.
pub(super) struct Collector {
    readers: Readers,
    commands: Receiver<Command>,
    report: Box<dyn Fn(Report) + Send>,
    logs: BTreeMap<LogId, Attached>,
    /// Which pipe a token stands for.
    sources: BTreeMap<Token, (LogId, Stream)>,
    next_token: u64,
    /// When something is due, and of which log.
    timers: BTreeSet<(Instant, LogId)>,
    taps: Taps,
    journald: Journald,
    event_log: EventLog,
    scratch: Scratch,
    worker: Worker,
}

struct Attached {
    service: Box<Service>,
    tokens: [Token; 2],
    /// Its pipes are waited for.
    watched: bool,
    timer: Option<Instant>,
}

impl Collector {
    pub(super) fn new(
        readers: Readers,
        commands: Receiver<Command>,
        pipes: &Path,
        journal_socket: PathBuf,
        report: Box<dyn Fn(Report) + Send>,
    ) -> io::Result<Self> {
        let worker = Worker::new(readers.waker());
        Ok(Self {
            readers,
            commands,
            report,
            logs: BTreeMap::new(),
            sources: BTreeMap::new(),
            next_token: 0,
            timers: BTreeSet::new(),
            taps: Taps::default(),
            journald: Journald::new(journal_socket),
            event_log: EventLog::default(),
            scratch: Scratch::new(pipes)?,
            worker,
        })
    }

    /// Works until it is told to stop, or nobody is left who could.
    pub(super) fn run(mut self) {
        let mut ready = Vec::new();
        let mut last_turn: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let timeout = self.timers.first().map(|(at, _)| at.saturating_duration_since(now));
            if let Err(error) = self.readers.wait(timeout, &mut ready) {
                // The system refuses a wait only if its arguments are wrong. Trying again would not end.
                for log in self.logs.keys().copied() {
                    let text = format!("waiting for output: {}", describe(&error));
                    (self.report)(Report::Trouble { log, trouble: Trouble::Waiting, text });
                }
                break;
            }
            if !ready.is_empty() && last_turn.is_some_and(|ended| ended.elapsed() < GATHER) {
                std::thread::sleep(GATHER);
            }
            let now = Now::read();
            if self.obey(now) == Flow::End {
                break;
            }
            let moved = self.turn(&ready, now);
            last_turn = (moved < GATHER_BYTES).then(Instant::now);
            self.tick(now);
            self.hear_worker(now);
        }
        self.end();
    }

    /// Copies what the pipes that are ready hold, and says how much that was.
    fn turn(&mut self, ready: &[Token], now: Now) -> usize {
        let mut moved = 0;
        for token in ready {
            if let Some((log, stream)) = self.sources.get(token).copied() {
                self.with(log, now, |service, around| moved += service.copy(stream, around));
            }
        }
        moved
    }

    fn obey(&mut self, now: Now) -> Flow {
        loop {
            let command = match self.commands.try_recv() {
                Ok(command) => command,
                Err(TryRecvError::Empty) => return Flow::Continue,
                Err(TryRecvError::Disconnected) => return Flow::End,
            };
            match command {
                Command::Attach(log, new, reply) => {
                    let (source, outlet) = *new;
                    // One who does not wait for the answer does not need it.
                    let _ = reply.send(self.attach(log, source, outlet, now));
                }
                Command::Replan(log, plan, patterns) => {
                    self.with(log, now, |service, around| service.replan(plan, patterns, around));
                }
                Command::EndRun(log, then) => {
                    self.with(log, now, Service::end_run);
                    drop(then);
                }
                Command::Detach(log) => self.detach(log, now),
                Command::Tap(tap) => self.taps.add(tap),
                Command::Stop => return Flow::End,
            }
        }
    }

    fn attach(&mut self, log: LogId, source: Source, outlet: Outlet, now: Now) -> io::Result<()> {
        if self.logs.contains_key(&log) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "this log is attached already"));
        }
        let service = Box::new(Service::open(log, source, outlet, &mut self.scratch.undo, now)?);
        let tokens = [self.next_token, self.next_token + 1].map(Token);
        for (token, pipe) in tokens.iter().zip(service.pipes()) {
            self.readers.add(*token, pipe)?;
        }
        self.next_token += 2;
        self.sources.extend(tokens.into_iter().zip(Stream::ALL).map(|(token, stream)| (token, (log, stream))));
        self.logs.insert(log, Attached { service, tokens, watched: true, timer: None });
        self.with(log, now, Service::attached);
        Ok(())
    }

    fn detach(&mut self, log: LogId, now: Now) {
        self.with(log, now, Service::end);
        if let Some(attached) = self.logs.remove(&log) {
            for (token, pipe) in attached.tokens.iter().zip(attached.service.pipes()) {
                self.sources.remove(token);
                self.readers.remove(pipe);
            }
            if let Some(at) = attached.timer {
                self.timers.remove(&(at, log));
            }
        }
    }

    /// Lets a service do something, and then waits for what it waits for.
    fn with(&mut self, log: LogId, now: Now, act: impl FnOnce(&mut Service, &mut Around<'_>)) {
        let Some(attached) = self.logs.get_mut(&log) else { return };
        let mut around = Around {
            now,
            taps: &mut self.taps,
            journald: &mut self.journald,
            event_log: &mut self.event_log,
            scratch: &mut self.scratch,
            worker: &mut self.worker,
            report: &*self.report,
        };
        act(&mut attached.service, &mut around);
        attached.watch(&self.readers);
        let timer = attached.service.wake_at(now);
        if timer != attached.timer {
            if let Some(old) = std::mem::replace(&mut attached.timer, timer) {
                self.timers.remove(&(old, log));
            }
            self.timers.extend(timer.map(|at| (at, log)));
        }
    }

    fn tick(&mut self, now: Now) {
        while let Some((at, log)) = self.timers.first().copied().filter(|(at, _)| *at <= now.monotonic) {
            self.timers.remove(&(at, log));
            if let Some(attached) = self.logs.get_mut(&log) {
                attached.timer = None;
            }
            self.with(log, now, Service::tick);
        }
    }

    fn hear_worker(&mut self, now: Now) {
        for (log, error) in self.worker.results() {
            self.with(log, now, |service, around| service.tended(error, around.report));
        }
    }

    /// Writes what is there; what cannot be written stays in the pipes for the next guard.
    fn end(mut self) {
        let now = Now::read();
        let logs: Vec<LogId> = self.logs.keys().copied().collect();
        for log in logs {
            self.with(log, now, Service::leave);
        }
        self.worker.stop();
    }
}

impl Attached {
    /// A service that is paused is not waited for: its pipes would be ready all the time.
    fn watch(&mut self, readers: &Readers) {
        let wanted = !self.service.is_paused();
        if wanted == self.watched {
            return;
        }
        self.watched = wanted;
        for (token, pipe) in self.tokens.iter().zip(self.service.pipes()) {
            if wanted {
                // It was waited for before, and the system keeps what that takes.
                self.watched &= readers.add(*token, pipe).is_ok();
            } else {
                readers.remove(pipe);
            }
        }
    }
}
