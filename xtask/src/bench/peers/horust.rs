//! Horust: one process, in Rust.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::install::{Source, write};
use super::peer::{Job, Log, Peer, Start, Stop};

pub(super) struct Horust;

const SOURCE: Source = Source::Crate { name: "horust", version: "0.1.14", program: PROGRAM };
const PROGRAM: &str = "horust";

impl Peer for Horust {
    fn name(&self) -> &'static str {
        "Horust"
    }

    fn source(&self) -> Source {
        SOURCE
    }

    fn configure(&self, folder: &Path, jobs: &[Job]) -> Result<(), String> {
        for Job { name, command, log, .. } in jobs {
            let rotate = match log {
                Log::Usual => "10 MB",
                Log::Whole(_) => "10 GB",
            };
            let text = format!(
                "command = \"{}\"\nstdout = \"{}\"\nstdout-rotate-size = \"{rotate}\"\n\n[restart]\nstrategy = \"always\"\n\
                 backoff = \"0s\"\nattempts = 1000000\n\n[failure]\nstrategy = \"ignore\"\n",
                command.join(" "),
                self.log(folder, name).display(),
            );
            write(&folder.join("services").join(format!("{name}.toml")), &text)?;
        }
        std::fs::create_dir_all(folder.join("services")).map_err(|error| format!("a folder of services: {error}"))
    }

    fn start(&self, folder: &Path) -> Start {
        let mut command = Command::new(SOURCE.path(PROGRAM));
        command.current_dir(folder).args(["--services-path", "services", "--uds-folder-path", "."]);
        Start::Stays(command)
    }

    fn list(&self, _folder: &Path) -> Result<Command, &'static str> {
        Err("has no command that lists the programs")
    }

    fn stop(&self, _folder: &Path) -> Stop {
        Stop::Signal(Signal::TERM)
    }

    fn log(&self, folder: &Path, job: &str) -> PathBuf {
        folder.join(format!("{job}.out"))
    }

    fn remarks(&self) -> &'static [&'static str] {
        &[
            "Logs are written by a thread for each program, because rotation is asked for; stderr goes where Horust's own goes.",
        ]
    }
}
