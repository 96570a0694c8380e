//! runit: a process that scans, one for each program, and a logger for each.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::install::{Source, write, write_script};
use super::peer::{Job, Log, Peer, Start, Stop};

pub(super) struct Runit;

const SOURCE: Source = Source::Debian(&["runit"]);

impl Peer for Runit {
    fn name(&self) -> &'static str {
        "runit"
    }

    fn source(&self) -> Source {
        SOURCE
    }

    fn configure(&self, folder: &Path, jobs: &[Job]) -> Result<(), String> {
        for Job { name, command, log, .. } in jobs {
            let service = folder.join("scan").join(name);
            write_script(&service.join("run"), &format!("#!/bin/sh\nexec {}\n", command.join(" ")))?;
            let logs = folder.join("logs").join(name);
            write_script(&service.join("log/run"), &format!("#!/bin/sh\nexec svlogd {}\n", logs.display()))?;
            let how = match log {
                Log::Usual => "s10000000\nn10\n",
                // It does not rotate.
                Log::Whole(_) => "s0\n",
            };
            write(&logs.join("config"), how)?;
        }
        std::fs::create_dir_all(folder.join("scan")).map_err(|error| format!("a scan directory: {error}"))
    }

    fn start(&self, folder: &Path) -> Start {
        let mut command = Command::new("runsvdir");
        command.arg("-P").arg(folder.join("scan"));
        Start::Stays(command)
    }

    fn list(&self, folder: &Path) -> Result<Command, &'static str> {
        // A shell would take longer to start than `sv` takes for everything.
        let entries = std::fs::read_dir(folder.join("scan")).map_err(|_| "has no scan directory")?;
        let mut services: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        services.sort();
        let mut command = Command::new("sv");
        command.arg("status").args(services);
        Ok(command)
    }

    fn stop(&self, _folder: &Path) -> Stop {
        Stop::Signal(Signal::HUP)
    }

    fn log(&self, folder: &Path, job: &str) -> PathBuf {
        folder.join("logs").join(job).join("current")
    }

    fn remarks(&self) -> &'static [&'static str] {
        &[
            "Each program has an `svlogd`; lines are not stamped, which is its quickest. `run` scripts are `sh`.",
            "A program that died within a second of its start is started after another second; that cannot be changed.",
            "It is compiled for at most 1,000 programs.",
        ]
    }
}
