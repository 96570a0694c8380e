//! Who listens to what a service writes, besides its files: probes, taps, the systemd journal, the Event Log of Windows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use menshen_api::types::Stream;
use menshen_os::error::describe;
use menshen_plan::definition::AlsoLog;

use super::event_log::EventLog;
use super::format::matchable;
use super::journald::Journald;
use super::lines::Piece;
use super::now::Now;
use super::tap::{AlsoStdout, Taps};
use super::trouble::{Trouble, Troubles};
use super::{LogId, Pattern, Report};

/// The shortest time between two reports of the same pattern.
const MATCH_EVERY: Duration = Duration::from_millis(100);

/// Who listens to one service.
#[derive(Debug)]
pub(super) struct Ears {
    log: LogId,
    service: Arc<str>,
    instance: Arc<str>,
    run: Run,
    /// The run for which the patterns are armed.
    armed_for: u64,
    patterns: Vec<Armed>,
    to_journald: bool,
    to_event_log: bool,
    also_stdout: AlsoStdout,
}

#[derive(Debug)]
struct Armed {
    pattern: Pattern,
    matched: Option<Instant>,
}

/// The run whose output is read. It is set before the run's program is started, or when the end of the run before is reached,
/// whichever comes later: the first byte of a run is never taken for one of the run before, and nobody waits.
#[derive(Debug, Clone)]
pub(super) struct Run(Arc<AtomicU64>);

impl Run {
    pub(super) fn new(run: u64) -> Self {
        Self(Arc::new(AtomicU64::new(run)))
    }

    pub(super) fn begin(&self, run: u64) {
        self.0.store(run, Ordering::Release);
    }
}

/// Who listens, and what lines are passed on with.
pub(super) struct Hearing<'a> {
    pub(super) ears: &'a mut Ears,
    pub(super) now: Now,
    pub(super) taps: &'a mut Taps,
    pub(super) journald: &'a mut Journald,
    pub(super) event_log: &'a mut EventLog,
    pub(super) troubles: &'a mut Troubles,
    pub(super) report: &'a dyn Fn(Report),
}

impl Ears {
    pub(super) fn new(log: LogId, service: Arc<str>, instance: Arc<str>, run: Run) -> Self {
        let (armed_for, also_stdout) = (run.0.load(Ordering::Acquire), AlsoStdout::No);
        Self {
            log,
            service,
            instance,
            run,
            armed_for,
            patterns: Vec::new(),
            to_journald: false,
            to_event_log: false,
            also_stdout,
        }
    }

    /// Listens for these from now on.
    pub(super) fn set(&mut self, patterns: Vec<Pattern>, also: &[AlsoLog]) {
        self.patterns = patterns.into_iter().map(|pattern| Armed { pattern, matched: None }).collect();
        self.to_journald = also.contains(&AlsoLog::Journald);
        self.to_event_log = also.contains(&AlsoLog::Eventlog);
        self.also_stdout = if also.contains(&AlsoLog::Stdout) { AlsoStdout::Yes } else { AlsoStdout::No };
    }

    /// Whether somebody always listens, besides taps.
    pub(super) fn listen(&self) -> bool {
        !self.patterns.is_empty() || self.to_journald || self.to_event_log
    }
}

impl Hearing<'_> {
    /// Whether anybody listens.
    pub(super) fn any(&self) -> bool {
        self.ears.listen() || self.taps.want(self.ears.also_stdout)
    }

    /// Passes a line on.
    pub(super) fn hear(&mut self, stream: Stream, piece: Piece<'_>) {
        self.taps.give(&self.ears.service, self.ears.also_stdout, stream, piece, self.now.wall_ms);
        self.match_patterns(piece.bytes);
        if self.ears.to_journald {
            let sent = self.journald.send(&self.ears.service, &self.ears.instance, stream, piece);
            self.tell(Trouble::Journald, sent, "the systemd journal does not take lines");
        }
        if self.ears.to_event_log {
            let sent = self.event_log.send(&self.ears.service, &self.ears.instance, stream, piece);
            self.tell(Trouble::Eventlog, sent, "the Windows Event Log does not take lines");
        }
    }

    /// Tells what does not work, or that it works.
    pub(super) fn tell(&mut self, trouble: Trouble, result: std::io::Result<()>, what: &str) {
        match result {
            Ok(()) => self.troubles.end(trouble, self.report),
            Err(error) => self.troubles.begin(trouble, self.report, || format!("{what}: {}", describe(&error))),
        }
    }

    fn match_patterns(&mut self, line: &[u8]) {
        let now = self.now.monotonic;
        let run = self.ears.run.0.load(Ordering::Acquire);
        if run != self.ears.armed_for {
            self.ears.armed_for = run;
            self.ears.patterns.iter_mut().for_each(|armed| armed.matched = None);
        }
        for armed in &mut self.ears.patterns {
            let soon = |matched: Instant| now.saturating_duration_since(matched) < MATCH_EVERY;
            if !armed.matched.is_some_and(soon) && armed.pattern.regex.is_match(matchable(line)) {
                armed.matched = Some(now);
                let (log, pattern) = (self.ears.log, armed.pattern.id);
                (self.report)(Report::Matched { log, run, pattern });
            }
        }
    }
}
