//! One run of `menshen`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::de::DeserializeOwned;

/// Seconds after which a command is killed: longer than any wait of its own.
const SECONDS_MAX: &str = "100";

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What was run, for people.
    what: String,
    /// The exit code.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be run, or does not end.
    #[must_use]
    pub fn of(command: &Command) -> Self {
        Self::ended(command, bounded(command).output().unwrap())
    }

    /// The same with files, beside this path, for what it says: what it starts may keep them open.
    pub(crate) fn into_files(command: &Command, beside: &Path) -> Self {
        let paths = ["out", "err"].map(|kind| beside.with_extension(kind));
        let [out, err] = [&paths[0], &paths[1]].map(|path| File::create(path).unwrap());
        let status = bounded(command).stdin(Stdio::null()).stdout(out).stderr(err).status().unwrap();
        let [stdout, stderr] = paths.map(|path| fs::read(path).unwrap());
        Self::ended(command, Output { status, stdout, stderr })
    }

    /// A run of which somebody else tells.
    pub(crate) fn told(what: &str, code: i32, stdout: Vec<u8>) -> Self {
        Self { what: what.to_owned(), code, stdout, stderr: String::new() }
    }

    fn ended(command: &Command, output: Output) -> Self {
        let Output { status, stdout, stderr } = output;
        let what = format!("{command:?}");
        let code = status.code().unwrap_or_else(|| panic!("{what}: {status}"));
        assert_ne!(code, 124, "{what} did not end within {SECONDS_MAX} s");
        Self { what, code, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }

    /// What it wrote to standard output, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// What it wrote with `--json`.
    ///
    /// # Panics
    /// When it is something else.
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// What it wrote with `--json`, where that is a value per line.
    ///
    /// # Panics
    /// When it is something else.
    #[must_use]
    pub fn json_lines<T: DeserializeOwned>(&self) -> Vec<T> {
        let lines = self.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let parse = |line| serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error} in {self:?}"));
        lines.map(parse).collect()
    }

    /// Itself, if it ended with this code.
    ///
    /// # Panics
    /// When it did not.
    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}: {}{}", self.what, self.text(), self.stderr);
        self
    }

    /// That it has done what it was asked.
    ///
    /// # Panics
    /// When it has not.
    pub fn done(self) {
        drop(self.ended_with(0));
    }
}

/// The same command, which is killed when it takes too long.
fn bounded(command: &Command) -> Command {
    let mut bounded = Command::new("timeout");
    bounded.args(["--kill-after=5", SECONDS_MAX]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        bounded.current_dir(folder);
    }
    bounded
}

/// The `menshen` that was built together with the tests.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn menshen() -> PathBuf {
    built("menshen")
}

/// A program of the workspace that was built together with the tests.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let path = beside(name);
    assert!(path.is_file(), "{} is not there; `cargo build --workspace` makes it", path.display());
    path
}

/// Where a program of the workspace is that was built together with the tests.
pub(crate) fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    // target/PROFILE/PROGRAM, or target/PROFILE/deps/TEST.
    let folder = own.parent().filter(|folder| !folder.ends_with("deps")).or_else(|| own.ancestors().nth(2)).unwrap();
    folder.join(name)
}
