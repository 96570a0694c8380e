//! supervisord: one process, in Python.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::{Source, write};
use super::peer::{Job, Log, Peer, Start, Stop};

pub(super) struct Supervisor;

const SOURCE: Source = Source::Debian(&["supervisor"]);

fn control(folder: &Path, what: &str) -> Command {
    let mut command = Command::new("supervisorctl");
    command.arg("-c").arg(folder.join("supervisord.conf")).arg(what);
    command
}

impl Peer for Supervisor {
    fn name(&self) -> &'static str {
        "supervisord"
    }

    fn source(&self) -> Source {
        SOURCE
    }

    fn configure(&self, folder: &Path, jobs: &[Job]) -> Result<(), String> {
        let at = folder.display();
        let mut text = format!(
            "[supervisord]\nnodaemon = true\nlogfile = {at}/supervisord.log\npidfile = {at}/supervisord.pid\n\
             childlogdir = {at}\nminfds = 16384\n\n[unix_http_server]\nfile = {at}/sock\n\n[supervisorctl]\n\
             serverurl = unix://{at}/sock\n\n[rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
        );
        for Job { name, command, log, .. } in jobs {
            let bytes_max = match log {
                Log::Usual => "10MB",
                // It does not rotate.
                Log::Whole(_) => "0",
            };
            // Writing to memory cannot fail.
            let _ = write!(
                text,
                "\n[program:{name}]\ncommand = {}\nautorestart = true\nstartsecs = 0\nstdout_logfile = {at}/{name}.out\n\
                 stdout_logfile_maxbytes = {bytes_max}\nstderr_logfile = {at}/{name}.err\n\
                 stderr_logfile_maxbytes = {bytes_max}\n",
                command.join(" ")
            );
        }
        write(&folder.join("supervisord.conf"), &text)
    }

    fn start(&self, folder: &Path) -> Start {
        let mut command = Command::new("supervisord");
        command.arg("-c").arg(folder.join("supervisord.conf"));
        Start::Stays(command)
    }

    fn list(&self, folder: &Path) -> Result<Command, &'static str> {
        Ok(control(folder, "status"))
    }

    fn stop(&self, folder: &Path) -> Stop {
        Stop::Command(control(folder, "shutdown"))
    }

    fn log(&self, folder: &Path, job: &str) -> PathBuf {
        folder.join(format!("{job}.out"))
    }

    fn remarks(&self) -> &'static [&'static str] {
        &[
            "Logs are written by the supervisor, as they come. Debian's package, on Debian's Python, which is not counted as \
             installed.",
            "`startsecs = 0`: with more, a program that dies early is started later and later.",
        ]
    }
}
