//! A collector with services that are pipes.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use menshen_guard::logs::read::{Query, Reader};
use menshen_guard::logs::{LogId, Logs, Report, Spec};
use menshen_os::output::Pipe;
use menshen_plan::definition::{Compression, Log, LogFormat, Rotate};
use menshen_plan::size::Size;

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct Bed {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) logs: Logs,
    pub(crate) reports: Receiver<Report>,
}

/// A plan that keeps everything, in files of this size, compressed.
pub(crate) fn plan(format: LogFormat, size: u64) -> Log {
    let rotate =
        Rotate { size: Size(size), every: Duration::ZERO, keep: 0, compress: Compression::Zstd, total: Size(0) };
    Log { format, rotate, also: Vec::new() }
}

impl Bed {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, reports) = channel();
        let journal = folder.path().join("journal");
        let report = move |report| {
            // The receiver goes first when a test ends.
            let _ = sender.send(report);
        };
        Self { logs: Logs::start_with(folder.path(), journal, report).unwrap(), folder, reports }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Attaches a service whose pipes and logs are in the bed's folder.
    pub(crate) fn attach(&self, log: u64, plan: Log) {
        self.logs.attach(LogId(log), spec(self.folder.path(), log, plan)).unwrap();
    }

    pub(crate) fn log_folder(&self, log: u64) -> PathBuf {
        log_folder(self.folder.path(), log)
    }

    /// What a program would have as its stdout.
    pub(crate) fn stdout(&self, log: u64) -> File {
        program_end(self.folder.path(), log, "stdout")
    }

    /// Runs `seq` with the service's stdout.
    pub(crate) fn seq(&self, log: u64, last: u64) -> Program {
        Program::seq(self.stdout(log), last)
    }

    /// Waits until everything in the pipes is in the files.
    pub(crate) fn flush(&self, log: u64) {
        let (sender, receiver) = channel();
        self.logs.end_run(LogId(log), move || sender.send(()).unwrap());
        receiver.recv_timeout(DEADLINE).unwrap();
    }

    pub(crate) fn reader(&self, log: u64, query: Query) -> Reader {
        Reader::open(&self.log_folder(log), query).unwrap()
    }

    /// The next report, or what it was waited for.
    pub(crate) fn report(&self) -> Report {
        self.reports.recv_timeout(DEADLINE).expect("a report comes within the deadline")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.logs.stop();
    }
}

/// A program that is killed when the test ends before it.
pub(crate) struct Program(Child);

impl Program {
    pub(crate) fn seq(stdout: File, last: u64) -> Self {
        let child = Command::new("seq").arg("1").arg(last.to_string()).stdin(Stdio::null()).stdout(stdout).spawn();
        Self(child.unwrap())
    }

    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn wait(mut self) {
        assert!(self.0.wait().unwrap().success());
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// With SIGKILL.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn spec(folder: &Path, log: u64, plan: Log) -> Spec {
    let pipe = |stream: &str| Pipe::open(&folder.join(format!("{log}.{stream}")), None).unwrap();
    Spec {
        name: format!("service-{log}"),
        instance: "test".to_owned(),
        folder: log_folder(folder, log),
        plan,
        pipes: [pipe("stdout"), pipe("stderr")],
        patterns: Vec::new(),
        run: 1,
    }
}

pub(crate) fn log_folder(folder: &Path, log: u64) -> PathBuf {
    folder.join(format!("{log}.logs"))
}

pub(crate) fn program_end(folder: &Path, log: u64, stream: &str) -> File {
    let path = folder.join(format!("{log}.{stream}"));
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// What `seq` writes.
pub(crate) fn numbers(last: u64) -> Vec<u8> {
    Command::new("seq").arg("1").arg(last.to_string()).output().unwrap().stdout
}

/// What all files of a stem hold together.
pub(crate) fn whole(folder: &Path, stem: &str) -> Vec<u8> {
    let mut closed: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(&format!("{stem}.0")) && !name.ends_with(".idx") && !name.ends_with(".new"))
        .collect();
    // The original comes before the compressed file of the same number.
    closed.sort();
    closed.dedup_by_key(|name| name[..stem.len() + 9].to_owned());
    let mut bytes = Vec::new();
    for mut name in closed {
        let mut file = File::open(folder.join(&name)).unwrap_or_else(|_| {
            // It was compressed since the folder was listed.
            name.push_str(".zst");
            File::open(folder.join(&name)).unwrap()
        });
        if name.ends_with(".zst") {
            zstd::Decoder::new(file).unwrap().read_to_end(&mut bytes).unwrap();
        } else {
            file.read_to_end(&mut bytes).unwrap();
        }
    }
    bytes.extend(fs::read(folder.join(format!("{stem}.log"))).unwrap());
    bytes
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "not so within {DEADLINE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Compares without printing megabytes.
pub(crate) fn assert_same(left: &[u8], right: &[u8]) {
    if left != right {
        let at = left.iter().zip(right).position(|(left, right)| left != right).unwrap_or(left.len().min(right.len()));
        let near = |bytes: &[u8]| {
            String::from_utf8_lossy(&bytes[at.saturating_sub(40).min(bytes.len())..(at + 40).min(bytes.len())])
                .into_owned()
        };
        panic!("{} and {} bytes differ at {at}: {:?} and {:?}", left.len(), right.len(), near(left), near(right));
    }
}
