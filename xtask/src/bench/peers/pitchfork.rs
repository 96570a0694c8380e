//! pitchfork: one process, in Rust, and one for the log of each program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::install::{Source, write};
use super::peer::{Job, Life, Peer, Start, Stop};

pub(super) struct Pitchfork;

const SOURCE: Source = Source::Crate { name: "pitchfork-cli", version: "2.33.0", program: PROGRAM };
const PROGRAM: &str = "pitchfork";

/// How often it looks for what has failed; every 10 s by default.
const INTERVAL_MIN: &str = "[settings.general]\ninterval = \"100ms\"\n\n";

impl Pitchfork {
    fn command(folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(SOURCE.path(PROGRAM));
        command.args(arguments).current_dir(folder);
        command.env("PITCHFORK_STATE_DIR", folder.join("state")).env("PITCHFORK_CONFIG_DIR", folder.join("config"));
        // It would colour and animate, and wait before it calls a program ready.
        command.env("NO_COLOR", "1").env("PITCHFORK_READY_DELAY", "0s");
        command
    }

    /// Asks the database of logs.
    fn ask<T>(
        &self,
        folder: &Path,
        job: &str,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, String> {
        let failed = |error: rusqlite::Error| format!("the log of {job}: {error}");
        let logs =
            Connection::open_with_flags(self.log(folder, job), OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        question(&logs).map_err(failed)
    }
}

impl Peer for Pitchfork {
    fn name(&self) -> &'static str {
        "pitchfork"
    }

    fn source(&self) -> Source {
        SOURCE
    }

    fn configure(&self, folder: &Path, jobs: &[Job]) -> Result<(), String> {
        let dies = jobs.iter().any(|job| job.life == Life::Dies);
        let mut text = if dies { INTERVAL_MIN.to_owned() } else { String::new() };
        for Job { name, command, .. } in jobs {
            // Writing to memory cannot fail.
            let run = Json::from(format!("exec {}", command.join(" ")));
            let _ = write!(text, "[daemons.{name}]\nrun = {run}\nretry = true\n\n");
        }
        write(&folder.join("pitchfork.toml"), &text)
    }

    fn start(&self, folder: &Path) -> Start {
        Start::Returns(Self::command(folder, &["start", "--local"]))
    }

    fn list(&self, folder: &Path) -> Result<Command, &'static str> {
        Ok(Self::command(folder, &["list"]))
    }

    fn stop(&self, folder: &Path) -> Stop {
        Stop::Command(Self::command(folder, &["supervisor", "stop"]))
    }

    fn log(&self, folder: &Path, _job: &str) -> PathBuf {
        folder.join("state/logs/logs.db")
    }

    /// A row is a line without its end.
    fn logged_bytes(&self, folder: &Path, job: &str) -> Result<u64, String> {
        let sum = "select coalesce(sum(length(message) + 1), 0) from log_entries";
        let bytes = self.ask(folder, job, |logs| logs.query_row(sum, (), |row| row.get::<_, i64>(0)))?;
        Ok(bytes.unsigned_abs())
    }

    fn logged_sha256(&self, folder: &Path, job: &str) -> Result<[u8; 32], String> {
        self.ask(folder, job, |logs| {
            let mut hash = Sha256::new();
            let mut lines = logs.prepare("select message from log_entries order by id")?;
            let mut rows = lines.query(())?;
            while let Some(row) = rows.next()? {
                hash.update(row.get_ref(0)?.as_bytes()?);
                hash.update(b"\n");
            }
            Ok(hash.finalize().into())
        })
    }

    fn remarks(&self) -> &'static [&'static str] {
        &[
            "Logs go line by line into one SQLite database, by a process for each program.",
            "Restarts are looked for at an interval: 100 ms where a program dies, its usual 10 s elsewhere.",
        ]
    }
}
