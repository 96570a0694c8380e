//! pm2: one process, in JavaScript.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::install::{Source, write};
use super::peer::{Job, Peer, Start, Stop};

pub(super) struct Pm2;

const SOURCE: Source = Source::Npm { name: PROGRAM, version: "7.0.4", program: PROGRAM };
const PROGRAM: &str = "pm2";

fn pm2(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(SOURCE.path(PROGRAM));
    command.args(arguments).current_dir(folder).env("PM2_HOME", folder.join("pm2"));
    command
}

impl Peer for Pm2 {
    fn name(&self) -> &'static str {
        "pm2"
    }

    fn source(&self) -> Source {
        SOURCE
    }

    fn configure(&self, folder: &Path, jobs: &[Job]) -> Result<(), String> {
        let app = |Job { name, command, .. }: &Job| {
            json!({
                "name": name,
                "script": command[0],
                "args": &command[1..],
                "interpreter": "none",
                "autorestart": true,
                "restart_delay": 0,
                "max_restarts": 1_000_000,
                "vizion": false,
                "out_file": folder.join(format!("{name}.out")),
                "error_file": folder.join(format!("{name}.err")),
                "merge_logs": true,
            })
        };
        let apps = json!({ "apps": jobs.iter().map(app).collect::<Vec<_>>() });
        write(&folder.join("ecosystem.json"), &format!("{apps:#}\n"))
    }

    fn start(&self, folder: &Path) -> Start {
        Start::Returns(pm2(folder, &["start", "ecosystem.json"]))
    }

    fn list(&self, folder: &Path) -> Result<Command, &'static str> {
        Ok(pm2(folder, &["jlist"]))
    }

    fn stop(&self, folder: &Path) -> Stop {
        Stop::Command(pm2(folder, &["kill"]))
    }

    fn log(&self, folder: &Path, job: &str) -> PathBuf {
        folder.join(format!("{job}.out"))
    }

    fn remarks(&self) -> &'static [&'static str] {
        &[
            "Logs are written by the daemon, as they come; they are not rotated, which takes a module of its own. Node is not \
             counted as installed.",
            "`max_restarts` is a million: by default it gives a program up after 16 early deaths.",
        ]
    }
}
