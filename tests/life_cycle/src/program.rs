//! What the installed program notes of itself, so that the suite need believe nobody's word for it.
//!
//! `life-cycle-sample FOLDER WAY [ARGUMENT…]`. In its folder it keeps:
//! - `runs`: a line of JSON for each time it was started;
//! - `told`: a line for each thing it was told, such as `reload`;
//! - `main.lock`, `child.lock`: locked as long as it and its child live.

use std::collections::BTreeMap;
use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

/// The file of a line for each start.
pub const RUNS: &str = "runs";
/// The file of a line for each thing it was told.
pub const TOLD: &str = "told";
/// Locked by the program.
pub const MAIN_LOCK: &str = "main.lock";
/// Locked by its child.
pub const CHILD_LOCK: &str = "child.lock";
/// The socket at which it tells whoever connects which process it is, where its manager has opened that.
pub const WEB: &str = "web";
const CHILD: &str = "child";
const STUBBORN_CHILD: &str = "stubborn-child";
/// The code a failing program ends with.
pub const FAILURE: u8 = 3;
/// A child that nobody ends ends by itself: whatever goes wrong, nothing stays behind.
const STAY: Duration = Duration::from_secs(600);

/// What the program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It works, with a child that ends when it does.
    Work,
    /// It works, with a child that stays until somebody ends it.
    WorkWithStubbornChild,
    /// It fails at once.
    Fail,
    /// It never says that it is ready.
    NeverReady,
    /// It says that it is ready, and never again that it is well.
    Silent,
}

impl Way {
    /// How it is told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::WorkWithStubbornChild => "work-with-stubborn-child",
            Self::Fail => "fail",
            Self::NeverReady => "never-ready",
            Self::Silent => "silent",
        }
    }

    fn of(text: &str) -> Option<Self> {
        let all = [Self::Work, Self::WorkWithStubbornChild, Self::Fail, Self::NeverReady, Self::Silent];
        all.into_iter().find(|way| way.as_str() == text)
    }
}

/// What a run of the program is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is the service.
    Service,
    /// It is the child of a service.
    Child,
}

/// What a service notes of itself. Its lock is held until this is dropped.
#[derive(Debug)]
pub struct Notes {
    /// What it does.
    pub way: Way,
    folder: PathBuf,
    _lock: File,
    child: Option<Child>,
}

/// What this run is there for.
///
/// # Errors
/// When the arguments are others than they must be.
pub fn role() -> io::Result<Role> {
    let way = env::args().nth(2).ok_or_else(usage)?;
    match way.as_str() {
        CHILD | STUBBORN_CHILD => Ok(Role::Child),
        way => Way::of(way).map(|_| Role::Service).ok_or_else(usage),
    }
}

/// Notes this run, and starts its child. It is called once it is a service: where it works then is noted, too.
///
/// # Errors
/// When the arguments are others than they must be, or the folder cannot be written to.
pub fn begin() -> io::Result<Notes> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, way, ..] = arguments.as_slice() else { return Err(usage()) };
    let folder = PathBuf::from(folder);
    let way = Way::of(way).ok_or_else(usage)?;
    let child = match way {
        Way::Fail | Way::NeverReady | Way::Silent => None,
        Way::Work => Some(CHILD),
        Way::WorkWithStubbornChild => Some(STUBBORN_CHILD),
    };
    let lock = claim(&folder, MAIN_LOCK)?;
    let child = child.map(|way| start_child(&folder, way)).transpose()?;
    let run = json!({
        "pid": std::process::id(),
        "arguments": arguments,
        "environment": env::vars().collect::<BTreeMap<String, String>>(),
        "directory": env::current_dir()?,
    });
    append(&folder.join(RUNS), &run.to_string())?;
    Ok(Notes { way, folder, _lock: lock, child })
}

/// Is the child of a service, until that ends or, if it is a stubborn one, until somebody ends it.
///
/// # Errors
/// When the arguments are others than they must be, or the folder cannot be written to.
pub fn be_child() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, way] = arguments.as_slice() else { return Err(usage()) };
    // The child of a service that was killed may need a moment to see it.
    let lock = open(Path::new(folder), CHILD_LOCK)?;
    lock.lock()?;
    io::stdout().write_all(b".")?;
    io::stdout().flush()?;
    if way == STUBBORN_CHILD {
        std::thread::sleep(STAY);
        return Ok(());
    }
    // Nothing is ever written to it: it ends with whoever holds the other end.
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
}

impl Notes {
    /// Notes what it was told.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn told(&self, what: &str) -> io::Result<()> {
        append(&self.folder.join(TOLD), what)
    }

    /// Notes that it was told to stop, and waits for its child, if it is one that ends with it.
    ///
    /// # Errors
    /// When the file cannot be written, or the child cannot be waited for.
    pub fn stop(mut self) -> io::Result<()> {
        self.told("stop")?;
        let Some(child) = &mut self.child else { return Ok(()) };
        drop(child.stdin.take());
        if self.way == Way::Work { child.wait().map(drop) } else { Ok(()) }
    }
}

/// The child says that it is there, so that its lock is held before the service notes its run.
fn start_child(folder: &Path, way: &str) -> io::Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(folder).arg(way).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut said = [0];
    child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?.read_exact(&mut said)?;
    Ok(child)
}

/// Locks a file of the folder. One that is locked is an error: there are two of what must be there once.
fn claim(folder: &Path, name: &str) -> io::Result<File> {
    let file = open(folder, name)?;
    file.try_lock()?;
    Ok(file)
}

fn open(folder: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(folder.join(name))
}

/// In one piece, so that a reader sees whole lines.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

fn usage() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "life-cycle-sample FOLDER WAY [ARGUMENT…]")
}
