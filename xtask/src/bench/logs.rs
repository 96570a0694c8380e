//! How quickly what one program writes to stdout comes into its log, in millions of bytes of the program's per second.
//!
//! The program writes lines of 100 bytes, 640 at once, as quickly as they are taken. The time runs from its first statement
//! until the log has all of them, in the file system's memory. Logs are not rotated. Beside it the same program, whose stdout
//! is a pipe to `cat`, which writes to a file in the same file system.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use super::Effort;
use super::figures::{Figure, Spread};
use super::guarded::{Guarded, Menshen, Service};
use super::program::{WAIT_MAX, ms_between, now_ns, wait_closely};
use crate::lines;

const LINE_BYTES: u64 = lines::LINE_BYTES as u64;
/// A whole number of what the program writes at once.
const BYTES: u64 = 4096 * BLOCK_BYTES;
const BYTES_QUICK: u64 = 512 * BLOCK_BYTES;
const BLOCK_BYTES: u64 = lines::BLOCK_BYTES as u64;

/// Each format, its file, and what is written around each line.
const FORMATS: [(&str, &str, &str); 3] = [
    ("raw", "stdout.log", ""),
    ("text", "output.log", "2026-01-31T12:00:00.123Z stdout "),
    ("json", "output.log", r#"{"time":"2026-01-31T12:00:00.123Z","stream":"stdout","text":""}"#),
];

pub(super) fn measure(menshen: &Menshen, effort: Effort) -> Result<Vec<Figure>, String> {
    let bytes = if effort == Effort::Quick { BYTES_QUICK } else { BYTES };
    let mut rates: [Vec<f64>; 3] = Default::default();
    let mut bare = Vec::new();
    for _ in 0..effort.rounds(5) {
        let guard = menshen.guard(&services(menshen, bytes))?;
        for (rates, format) in rates.iter_mut().zip(FORMATS) {
            rates.push(guarded(menshen, &guard, format, bytes)?);
            bare.push(cat(menshen, guard.home(), bytes)?);
        }
        guard.down()?;
    }
    let figure = |(rates, (format, ..)): (Vec<f64>, (&str, &str, &str))| {
        Ok(Figure {
            row: "logs",
            what: format!("one program's stdout to disk, {format}"),
            unit: "MB/s",
            measured: Spread::of(rates)?,
            bare: Some(Spread::of(bare.iter().copied())?),
        })
    };
    rates.into_iter().zip(FORMATS).map(figure).collect()
}

fn services(menshen: &Menshen, bytes: u64) -> Vec<Service<'static>> {
    let service = |name: &str, more: &'static str| Service {
        name: name.to_owned(),
        command: menshen.program.words(&["write", &bytes.to_string()]),
        more: more.into(),
    };
    vec![service("raw", RAW), service("text", TEXT), service("json", JSON)]
}

const RAW: &str = "start = \"manual\"\nrestart.policy = \"never\"\nlog.format = \"raw\"\n\
    log.rotate = { size = \"0B\", every = \"0s\", total = \"0B\" }";
const TEXT: &str = "start = \"manual\"\nrestart.policy = \"never\"\nlog.format = \"text\"\n\
    log.rotate = { size = \"0B\", every = \"0s\", total = \"0B\" }";
const JSON: &str = "start = \"manual\"\nrestart.policy = \"never\"\nlog.format = \"json\"\n\
    log.rotate = { size = \"0B\", every = \"0s\", total = \"0B\" }";

/// One format's rate.
fn guarded(
    menshen: &Menshen,
    guard: &Guarded<'_>,
    (format, file, around): (&str, &str, &str),
    bytes: u64,
) -> Result<f64, String> {
    menshen.program.forget()?;
    let path = guard.logs(format).join(file);
    let started = guard.menshen(&["start", format]).status().map_err(|error| format!("menshen start: {error}"))?;
    if !started.success() {
        return Err(format!("menshen start {format} ended with {started}"));
    }
    let expected = bytes + bytes / LINE_BYTES * around.len() as u64;
    let all_there = || (length(&path) >= expected).then(now_ns);
    let ended = wait_closely(WAIT_MAX, all_there)
        .ok_or_else(|| format!("waited in vain for {expected} bytes in {}", path.display()))?;
    let began = menshen.program.await_lives(2)?[0].began;
    // The next one begins with as much free memory as this one.
    fs::remove_file(&path).map_err(|error| format!("removing {}: {error}", path.display()))?;
    Ok(rate(bytes, began, ended))
}

/// The rate of `cat`.
fn cat(menshen: &Menshen, folder: &Path, bytes: u64) -> Result<f64, String> {
    let failed = |error: std::io::Error| format!("cat: {error}");
    menshen.program.forget()?;
    let path = folder.join("cat.log");
    let mut writer = menshen.program.bare(&["write", &bytes.to_string()]);
    let mut writer = writer.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let pipe = writer.stdout.take().ok_or("the program has no stdout")?;
    let mut cat = Command::new("cat");
    let cat = cat.stdin(pipe).stdout(File::create(&path).map_err(failed)?).status().map_err(failed);
    let ended = now_ns();
    writer.wait().map_err(failed)?;
    cat?;
    let began = menshen.program.await_lives(2)?[0].began;
    fs::remove_file(&path).map_err(failed)?;
    Ok(rate(bytes, began, ended))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// In millions of bytes per second.
#[expect(clippy::cast_precision_loss, reason = "what is written is far less than 2^53 bytes")]
fn rate(bytes: u64, began: u64, ended: u64) -> f64 {
    bytes as f64 / 1e3 / ms_between(began, ended)
}
