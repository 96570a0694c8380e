//! s6: a process that scans, one for each program, and a logger for each.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::{Source, write_script};
use super::peer::{Job, LOG_BYTES_MAX, Log, Peer, Start, Stop};

pub(super) struct S6;

const SOURCE: Source = Source::Debian(&["s6", "execline"]);
/// By default it takes 500.
const SERVICES_MAX: &str = "4000";

impl Peer for S6 {
    fn name(&self) -> &'static str {
        "s6"
    }

    fn source(&self) -> Source {
        SOURCE
    }

    fn configure(&self, folder: &Path, jobs: &[Job]) -> Result<(), String> {
        for Job { name, command, log, .. } in jobs {
            let service = folder.join("scan").join(name);
            let run = format!("#!/usr/bin/execlineb -P\n{}\n", command.join(" "));
            write_script(&service.join("run"), &run)?;
            let how = match log {
                Log::Usual => "n10 s10000000".to_owned(),
                Log::Whole(_) => format!("n10 s{LOG_BYTES_MAX}"),
            };
            let logs = folder.join("logs").join(name);
            let run = format!("#!/usr/bin/execlineb -P\ns6-log {how} {}\n", logs.display());
            write_script(&service.join("log/run"), &run)?;
        }
        // `s6-log` makes its own folder, but not the one above.
        let folders = ["scan", "logs"].map(|name| folder.join(name));
        folders.iter().try_for_each(std::fs::create_dir_all).map_err(|error| format!("a scan directory: {error}"))
    }

    fn start(&self, folder: &Path) -> Start {
        let mut command = Command::new("s6-svscan");
        command.args(["-c", SERVICES_MAX]).arg(folder.join("scan"));
        Start::Stays(command)
    }

    fn list(&self, folder: &Path) -> Result<Command, &'static str> {
        let mut command = Command::new("sh");
        command.args(["-c", "for service in scan/*; do s6-svstat $service; done"]).current_dir(folder);
        Ok(command)
    }

    fn stop(&self, folder: &Path) -> Stop {
        let mut command = Command::new("s6-svscanctl");
        command.arg("-t").arg(folder.join("scan"));
        Stop::Command(command)
    }

    fn log(&self, folder: &Path, job: &str) -> PathBuf {
        folder.join("logs").join(job).join("current")
    }

    fn remarks(&self) -> &'static [&'static str] {
        &[
            "Each program has an `s6-log`; lines are not stamped, which is its quickest. `run` scripts are execline.",
            "It starts a program again no sooner than after a second; that cannot be changed.",
            "It has no command that lists all programs: `s6-svstat` is run for each.",
        ]
    }
}
