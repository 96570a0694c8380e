//! Menshen itself, by the same rules as the others.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;
use tempfile::TempDir;

use super::super::run_folder;
use super::install::Source;
use super::peer::{Format, Job, Log, Peer, Start, Stop};

/// Menshen, and where its guards have their pipes.
#[derive(Default)]
pub(super) struct Menshen {
    runs: RefCell<Vec<TempDir>>,
}

const SOURCE: Source = Source::Ours;

impl Menshen {
    fn command(folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(SOURCE.path("menshen"));
        command.args(arguments).current_dir(folder).env("MENSHEN_HOME", folder);
        command.env_remove("MENSHEN_PROFILE").env_remove("MENSHEN_INSTANCE");
        command
    }
}

/// A guard's name is its own on the machine.
fn guard_name() -> String {
    format!("peers-{}", std::process::id())
}

const SERVICE: &str = "restart = { policy = \"always\", delay = \"0s\", jitter = 0 }\nbreaker = { failures = 0 }\n";
const WHOLE: &str = "log.rotate = { size = \"0B\", every = \"0s\", total = \"0B\" }\n";

impl Peer for Menshen {
    fn name(&self) -> &'static str {
        "Menshen"
    }

    fn source(&self) -> Source {
        SOURCE
    }

    fn configure(&self, folder: &Path, jobs: &[Job]) -> Result<(), String> {
        let mut text = format!("[guard]\nname = \"{}\"\n[check]\nallow = [\"M028\"]\n", guard_name());
        for Job { name, command, log, .. } in jobs {
            // An array of strings is written in JSON as it is in TOML. Writing to memory cannot fail.
            let _ = write!(text, "\n[service.{name}]\ncommand = {}\n{SERVICE}", Json::from(command.as_slice()));
            let format = match log {
                Log::Usual => continue,
                Log::Whole(Format::Raw) => "raw",
                Log::Whole(Format::Text) => "text",
                Log::Whole(Format::Json) => "json",
            };
            let _ = write!(text, "log.format = \"{format}\"\n{WHOLE}");
        }
        let run = run_folder::link(folder).map_err(|error| format!("a folder for pipes: {error}"))?;
        self.runs.borrow_mut().push(run);
        fs::write(folder.join("menshen.toml"), text).map_err(|error| format!("a definition: {error}"))
    }

    fn start(&self, folder: &Path) -> Start {
        Start::Returns(Self::command(folder, &["up", "--detach", "--file", "menshen.toml"]))
    }

    fn list(&self, folder: &Path) -> Result<Command, &'static str> {
        Ok(Self::command(folder, &["status", "--json"]))
    }

    fn stop(&self, folder: &Path) -> Stop {
        Stop::Command(Self::command(folder, &["down"]))
    }

    fn log(&self, folder: &Path, job: &str) -> PathBuf {
        // Lines in `text` and `json` are of both streams.
        let logs = folder.join("logs").join(guard_name()).join(job);
        let whole = logs.join("output.log");
        if whole.exists() { whole } else { logs.join("stdout.log") }
    }

    fn remarks(&self) -> &'static [&'static str] {
        &[
            "Logs go from a named pipe to a file by `tee` and `splice`, and are rotated and compressed; the pipe is the program's \
             own, so that it survives the guard.",
            "Each program has its own cgroup where the machine has version 2.",
            "It is run from a copy of what was built, as an installation makes one.",
            "The pipes are in memory, as those of an installed guard are, below `/run`; all else is in `$FOLDER`.",
        ]
    }
}
