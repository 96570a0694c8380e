//! One service's log, and all it needs.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use menshen_api::types::{LogLine, Stream};
use menshen_os::output::{Pipe, Readers};
use menshen_plan::definition::{Compression, Log, LogFormat, Rotate};
use menshen_plan::size::Size;

use super::super::ends::Found;
use super::super::event_log::EventLog;
use super::super::journald::Journald;
use super::super::names::{Listing, Part, Stem};
use super::super::now::Now;
use super::super::raw::Scratch;
use super::super::read::{Query, Reader};
use super::super::service::{Around, Outlet, Service, Source};
use super::super::tap::Taps;
use super::super::tend::{Left, tend};
use super::super::worker::Worker;
use super::super::{LogId, Pattern, Report};

/// 2026-01-31T12:00:00.000Z; earlier than any file a test makes was changed.
pub(super) const NOON_MS: i64 = 1_769_860_800_000;

pub(super) struct Bed {
    pub(super) folder: tempfile::TempDir,
    pub(super) service: Service,
    pub(super) taps: Taps,
    pub(super) now: Now,
    pub(super) outlet: Outlet,
    plan: Log,
    journald: Journald,
    event_log: EventLog,
    scratch: Scratch,
    worker: Worker,
    reports: RefCell<Vec<Report>>,
}

/// A plan that rotates at a size and keeps everything, uncompressed.
pub(super) fn plan(format: LogFormat, size: u64) -> Log {
    let rotate =
        Rotate { size: Size(size), every: Duration::ZERO, keep: 0, compress: Compression::None, total: Size(0) };
    Log { format, rotate, also: Vec::new() }
}

impl Bed {
    pub(super) fn new(plan: Log) -> Self {
        Self::with_patterns(plan, Vec::new())
    }

    pub(super) fn with_patterns(plan: Log, patterns: Vec<Pattern>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let outlet = outlet(folder.path());
        let now = Now { monotonic: Instant::now(), wall_ms: NOON_MS };
        let mut scratch = Scratch::new(folder.path()).unwrap();
        let source = source(folder.path(), &plan, patterns);
        let service = Service::open(LogId(1), source, outlet.clone(), &mut scratch.undo, now).unwrap();
        let mut bed = Self {
            service,
            taps: Taps::default(),
            now,
            outlet,
            plan,
            journald: Journald::new(folder.path().join("journal")),
            event_log: EventLog::default(),
            scratch,
            worker: Worker::idle(Readers::new().unwrap().waker()),
            reports: RefCell::default(),
            folder,
        };
        bed.with(Service::attached);
        bed
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// Lets the service do something.
    pub(super) fn with(&mut self, act: impl FnOnce(&mut Service, &mut Around<'_>)) {
        let report = |report| self.reports.borrow_mut().push(report);
        let mut around = Around {
            now: self.now,
            taps: &mut self.taps,
            journald: &mut self.journald,
            event_log: &mut self.event_log,
            scratch: &mut self.scratch,
            worker: &mut self.worker,
            report: &report,
        };
        act(&mut self.service, &mut around);
    }

    pub(super) fn put(&self, stream: Stream, bytes: &[u8]) {
        let pipe = OpenOptions::new().write(true).open(self.folder.path().join(stream.as_str()));
        pipe.unwrap().write_all(bytes).unwrap();
    }

    /// Writes as the program does, and copies.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        for part in bytes.chunks(64 * 1024) {
            self.put(stream, part);
            self.copy(stream);
        }
    }

    pub(super) fn copy(&mut self, stream: Stream) {
        self.with(|service, around| {
            service.copy(stream, around);
        });
    }

    /// The run ends with what it has written, whether that is read or not.
    pub(super) fn place_end(&self) {
        assert_eq!(self.outlet.ends.place(Duration::from_secs(1)), Found::InTime);
    }

    /// The run ends, and the service knows it.
    pub(super) fn end_run(&mut self) {
        self.place_end();
        self.with(Service::end_run);
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
    }

    pub(super) fn tick(&mut self) {
        self.with(Service::tick);
    }

    pub(super) fn replan(&mut self, plan: Log) {
        self.plan = plan.clone();
        self.with(|service, around| service.replan(plan, Vec::new(), around));
    }

    /// The guard was killed, and there is another.
    pub(super) fn restart(&mut self) {
        let source = source(self.folder.path(), &self.plan, Vec::new());
        self.outlet = outlet(self.folder.path());
        self.scratch = Scratch::new(self.folder.path()).unwrap();
        let undo = &mut self.scratch.undo;
        self.service = Service::open(LogId(1), source, self.outlet.clone(), undo, self.now).unwrap();
        self.with(Service::attached);
    }

    /// The same, and the other follows another plan.
    pub(super) fn restart_with(&mut self, plan: Log) {
        self.plan = plan;
        self.restart();
    }

    /// Does all the work behind the loop.
    pub(super) fn tend(&self) {
        while tend(&self.logs(), &self.plan.rotate, self.now, &AtomicBool::new(false)).unwrap() == Left::More {}
    }

    pub(super) fn reports(&self) -> Vec<Report> {
        self.reports.take()
    }

    /// What all files of a stem hold together, and what each closed one does.
    pub(super) fn files(&self, stem: Stem) -> (Vec<u8>, Vec<Vec<u8>>) {
        let listing = Listing::of(&self.logs()).unwrap();
        let mut closed = Vec::new();
        for log in listing.contents(stem) {
            let part = Part::CONTENT.into_iter().find(|part| listing.closed[log].contains(part)).unwrap();
            closed.push(decompressed(&log.path(&self.logs(), part), part));
        }
        let current = fs::read(stem.log(&self.logs())).unwrap_or_default();
        (closed.iter().flatten().copied().chain(current).collect(), closed)
    }

    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.logs()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(super) fn read(&self, query: Query) -> Vec<LogLine> {
        let mut reader = Reader::open(&self.logs(), query).unwrap();
        all(&mut reader)
    }

    pub(super) fn texts(&self, query: Query) -> Vec<String> {
        self.read(query).into_iter().map(|line| line.text).collect()
    }
}

/// All lines there are now.
pub(super) fn all(reader: &mut Reader) -> Vec<LogLine> {
    std::iter::from_fn(|| reader.read_line().unwrap()).collect()
}

fn source(folder: &Path, plan: &Log, patterns: Vec<Pattern>) -> Source {
    Source {
        name: "web".to_owned(),
        instance: "test".to_owned(),
        folder: folder.join("logs"),
        plan: plan.clone(),
        patterns,
    }
}

/// Its pipes hold what those of a program do that has written something before.
fn outlet(folder: &Path) -> Outlet {
    let pipes = ["stdout", "stderr"].map(|name| Pipe::open(&folder.join(name), None).unwrap());
    pipes.iter().for_each(Pipe::widen);
    Outlet::new(Arc::new(pipes), 1)
}

pub(super) fn decompressed(path: &Path, part: Part) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = File::open(path).unwrap();
    match part {
        Part::Zstd => zstd::Decoder::new(file).unwrap().read_to_end(&mut bytes).unwrap(),
        Part::Gzip => flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap(),
        Part::Plain | Part::Index => { file }.read_to_end(&mut bytes).unwrap(),
    };
    bytes
}
