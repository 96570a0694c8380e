//! On which machine, and of which Menshen, figures are: without that they say nothing.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::shell::{command, read};

/// The facts, each with its name.
pub(super) fn facts(folder: &Path) -> Vec<(&'static str, String)> {
    let trees = std::env::var("MENSHEN_TREES").unwrap_or_else(|_| "auto".to_owned());
    vec![
        ("commit", commit()),
        ("rustc", said(command("rustc").arg("--version"))),
        ("processor", value(&text("/proc/cpuinfo"), "model name")),
        ("cores", std::thread::available_parallelism().map_or_else(|_| "?".to_owned(), |cores| cores.to_string())),
        ("memory", value(&text("/proc/meminfo"), "MemTotal")),
        ("kernel", text("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("file system", file_system(folder)),
        ("cgroups", format!("{} (MENSHEN_TREES={trees})", cgroups(&text("/proc/self/mountinfo")))),
    ]
}

pub(super) fn json(facts: &[(&'static str, String)]) -> Json {
    facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

/// How busy the machine is, as averages of 1, 5 and 15 minutes.
pub(super) fn load() -> String {
    text("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Whether what is built is not what was committed.
pub(super) fn has_changes() -> bool {
    !said(command("git").args([
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        "crates",
        "Cargo.toml",
        "Cargo.lock",
    ]))
    .is_empty()
}

fn commit() -> String {
    let commit = said(command("git").args(["rev-parse", "--short", "HEAD"]));
    if has_changes() { format!("{commit} with changes") } else { commit }
}

fn said(command: &mut std::process::Command) -> String {
    read(command).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line of this name.
fn value(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.map_or_else(|| "?".to_owned(), |value| value.trim().to_owned())
}

/// What the folder is on: the file system mounted nearest above it.
fn file_system(folder: &Path) -> String {
    let mounts = text("/proc/self/mounts");
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let nearest = mounts.filter(|(at, _)| folder.starts_with(at)).max_by_key(|(at, _)| at.len());
    nearest.map_or_else(|| "?".to_owned(), |(at, kind)| format!("{kind} at {at}"))
}

/// Which versions of cgroups are mounted.
fn cgroups(mounts: &str) -> &'static str {
    let has = |kind: &str| mounts.lines().any(|line| line.contains(&format!(" - {kind} ")));
    match (has("cgroup"), has("cgroup2")) {
        (false, true) => "v2",
        (true, true) => "v1 and v2",
        (true, false) => "v1",
        (false, false) => "none",
    }
}
