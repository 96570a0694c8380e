//! systemd: the first process of a machine, in a container of its own, and its journal.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use super::super::program::Program;
use super::container::{Boot, Container, inside};
use super::install::{Source, write};
use super::peer::{Job, Peer, Start, Stop};
use super::session::Quiet;
use crate::lines;

pub(super) struct Systemd;

const SOURCE: Source = Source::Testbed(&["systemd", "libsystemd-shared", "libsystemd0"]);
/// Everything that is run belongs to it.
const TARGET: &str = "bench.target";
/// Where the machine looks for units and settings that came with no package.
const SETTINGS: &str = "/usr/local/lib/systemd";
const JOURNAL: &str = "/var/log/journal";
/// In a journal file, the number of the last entry; see "Journal File Format" in systemd's own documentation.
const LAST_ENTRY_AT: usize = 160;

impl Peer for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn source(&self) -> Source {
        SOURCE
    }

    fn configure(&self, folder: &Path, jobs: &[Job]) -> Result<(), String> {
        let settings = folder.join("settings");
        let wants: Vec<String> = jobs.iter().map(|job| format!("{}.service", job.name)).collect();
        let target = format!("[Unit]\nWants={}\n", wants.join(" "));
        write(&settings.join("system").join(TARGET), &target)?;
        for Job { name, command, .. } in jobs {
            let unit = format!(
                "[Unit]\nPartOf={TARGET}\nStartLimitIntervalSec=0\n\n[Service]\nExecStart={}\nRestart=always\nRestartSec=0\n",
                command.join(" ")
            );
            write(&settings.join("system").join(format!("{name}.service")), &unit)?;
        }
        let journal = "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nSystemMaxUse=16G\nSystemKeepFree=0\n";
        write(&settings.join("journald.conf.d/bench.conf"), journal)
    }

    fn boot(&self, folder: &Path, program: &Program, quiet: &Quiet<'_>) -> Result<Option<Container>, String> {
        let journal = folder.join("journal");
        fs::create_dir(&journal).map_err(|error| format!("a folder for the journal: {error}"))?;
        let marked = format!("[Manager]\nDefaultEnvironment={}\n", quiet.mark());
        write(&folder.join("settings/system.conf.d/mark.conf"), &marked)?;
        let mut shared = vec![(folder.join("settings"), SETTINGS.into()), (journal, JOURNAL.into())];
        shared.extend(program.paths().map(|path| (path.to_owned(), path.to_owned())));
        let words = ["systemd.unit=basic.target"];
        let boot = Boot { folder, shared: &shared, mark: quiet.mark(), words: &words };
        Container::boot(&boot, |command| quiet.make(command).map(drop)).map(Some)
    }

    fn start(&self, folder: &Path) -> Start {
        Start::Returns(inside(folder, &["systemctl", "start", TARGET]))
    }

    fn list(&self, folder: &Path) -> Result<Command, &'static str> {
        Ok(inside(folder, &["systemctl", "list-units", "--type=service", "--no-pager"]))
    }

    fn stop(&self, folder: &Path) -> Stop {
        Stop::Programs(inside(folder, &["systemctl", "stop", TARGET]))
    }

    fn log(&self, folder: &Path, _job: &str) -> PathBuf {
        folder.join("journal")
    }

    /// Every entry but a few of the machine's own is a line of the program.
    fn logged_bytes(&self, folder: &Path, job: &str) -> Result<u64, String> {
        let mut last = 0;
        for file in super::install::files_below(&self.log(folder, job))? {
            last = last.max(last_entry(&file).unwrap_or(0));
        }
        Ok(last * lines::LINE_BYTES as u64)
    }

    fn logged_sha256(&self, folder: &Path, job: &str) -> Result<[u8; 32], String> {
        let failed = |error: std::io::Error| format!("journalctl: {error}");
        let of_program = ["--unit", job, "_TRANSPORT=stdout"];
        let mut journal = inside(folder, &["journalctl", "--quiet", "--no-pager", "--output=cat"]);
        let mut journal =
            journal.args(of_program).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut said = journal.stdout.take().ok_or("journalctl has no stdout")?;
        let (mut hash, mut block) = (Sha256::new(), vec![0; 1 << 20]);
        loop {
            match said.read(&mut block).map_err(failed)? {
                0 => break,
                length => hash.update(&block[..length]),
            }
        }
        journal.wait().map_err(failed)?;
        Ok(hash.finalize().into())
    }

    fn remarks(&self) -> &'static [&'static str] {
        &[
            "The first process of a Debian 13 in a container (`systemd-nspawn`), booted to `basic.target` before anything is \
             measured; what counts as supervising is that process and `systemd-journald`, and nothing else runs there. It is \
             asked through `nsenter`, which takes a millisecond or two of each command.",
            "`Restart=always`, `RestartSec=0`, and `StartLimitIntervalSec=0`: by default it gives a program up after 5 starts \
             within 10 s.",
            "It goes on when the programs are stopped; what stopping takes is until the last program has ended.",
            "Logs go line by line into its journal, in the same file system as the others' and with several fields to each \
             line. `RateLimitIntervalSec=0`: by default it drops what is more than 10,000 lines in 30 s.",
        ]
    }
}

/// The number of a journal file's last entry. Numbers go on from file to file.
fn last_entry(file: &Path) -> Option<u64> {
    let mut header = [0; LAST_ENTRY_AT + 8];
    fs::File::open(file).ok()?.read_exact(&mut header).ok()?;
    Some(u64::from_le_bytes(*header.last_chunk()?))
}
