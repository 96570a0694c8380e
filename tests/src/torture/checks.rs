//! What must be so, by what the programs noted, what the kernel knows, and what the log files hold; and what the guard says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use menshen_api::types::{Service, State};

use super::notes::{Life, Notes, counted};
use super::operator::{Ledger, Operator, Outcome};
use super::world::{CAST, Cast, FAILURES, Format, GUEST, OPEN_FOR_MS, PATIENCE_MS, Part};
use crate::Process;

/// What the campaign itself has done to programs: the lives it has killed.
pub(super) type Killed = BTreeMap<&'static str, BTreeSet<u64>>;

/// What must be so at every instant, guard or no guard.
///
/// # Errors
/// With what is not.
pub(super) fn always(
    folder: &Path,
    cast: &Cast,
    killed: &Killed,
    ledger: &Ledger,
    unseen: u64,
) -> Result<Notes, String> {
    let notes = Notes::of(folder, cast.name);
    let name = cast.name;
    if let Some(twin) = notes.twins.first() {
        return Err(format!("{name}: two of its processes lived at once: {twin}"));
    }
    let starts = notes.starts();
    let most = match cast.part {
        Part::Steady | Part::Paused => 1,
        Part::Mortal | Part::Patient => u64::MAX,
        Part::Fused => tried_at_most(&notes),
        Part::Commanded => 1 + ledger.starts_max,
        // One that nobody saw end counts as a failure.
        Part::Errand => ledger.starts_max + unseen,
    };
    if starts > most {
        return Err(format!("{name}: started {starts} times, which is more than the {most} there was reason for"));
    }
    if cast.part == Part::Patient
        && let Some(wait) = notes.waits_ms().iter().find(|wait| **wait < PATIENCE_MS)
    {
        return Err(format!("{name}: started {wait} ms after its end, and it is to wait for {PATIENCE_MS} ms"));
    }
    let may_die = |life: &u64| killed.get(name).is_some_and(|lives| lives.contains(life));
    let mut earlier = notes.lives.iter().rev().skip(1);
    let died_of_nothing = earlier.find(|(life, end)| end.code.is_none() && !may_die(life));
    match died_of_nothing {
        Some((life, _)) if cast.part != Part::Commanded => {
            Err(format!("{name}: life {life} was ended although it had done nothing to deserve it"))
        }
        Some(_) | None => Ok(notes),
    }
}

/// How often what always fails may have been tried by now, whoever guarded: until its breaker opened, and then once each time
/// it had been open for twice as long as before.
fn tried_at_most(notes: &Notes) -> u64 {
    let Some(first) = notes.lives.values().next() else { return FAILURES };
    let elapsed_ms = (menshen_os::clock::monotonic_ns() / 1_000_000).saturating_sub(first.began_ms);
    let opened = (0..).take_while(|trial| OPEN_FOR_MS * ((2_u64 << trial) - 1) <= elapsed_ms).count();
    FAILURES + u64::try_from(opened).unwrap_or(u64::MAX)
}

/// What must come to be so once a guard guards.
///
/// # Errors
/// With what is not so yet.
pub(super) fn settled(
    folder: &Path,
    cast: &Cast,
    notes: &Notes,
    operator: &Operator,
    (guards_killed, unseen): (u64, u64),
) -> Result<Service, String> {
    let name = cast.name;
    let Outcome::Answered(service) = operator.service(name) else { return Err(format!("{name}: no answer")) };
    let ledger = operator.ledgers.get(name).cloned().unwrap_or_default();
    let last = notes.last();
    let lives = last.is_some_and(|life| lives(folder, name, life));
    let state = (service.state, service.pid);
    let wrong = |what: &str| Err(format!("{name}: {what}: {state:?} {:?}; {last:?} lives: {lives}", service.reason));
    let runs = service.state == State::Running && lives && service.pid == last.map(|life| life.pid);
    let is_paused = service.state == State::Paused && lives && service.pid == last.map(|life| life.pid);
    let rests = !lives && service.pid.is_none();
    let is_as_wanted = match (cast.part, ledger.wanted) {
        (Part::Steady | Part::Mortal, _) | (Part::Commanded | Part::Paused, Some(true)) => runs,
        (Part::Paused, Some(false)) => is_paused,
        (Part::Paused, None) => runs || is_paused,
        (Part::Patient, _) => runs || (rests && service.state == State::Backoff),
        (Part::Fused, _) => rests && service.state == State::Tripped && service.fallback_pid.is_some(),
        (Part::Commanded, Some(false)) => rests && service.state == State::Stopped,
        (Part::Commanded, None) => runs || (rests && service.state == State::Stopped),
        (Part::Errand, _) => rests && matches!(service.state, State::Completed | State::Stopped),
    };
    if !is_as_wanted {
        return wrong("it is not as it was wanted");
    }
    let counts = match cast.part {
        Part::Steady | Part::Paused => service.restarts_total == 0 && service.restarts == 0,
        // No death is forgotten, where the kernel remembers them. One that a guard noted and did not live to begin is taken
        // for one that has ended.
        Part::Mortal | Part::Patient | Part::Fused => {
            let deaths = notes.starts().saturating_sub(u64::from(lives));
            (deaths.saturating_sub(unseen)..=deaths + guards_killed).contains(&service.restarts_total)
        }
        Part::Commanded => notes.starts() > ledger.life_after || ledger.wanted != Some(true),
        Part::Errand => {
            let since = notes.starts() - ledger.starts_before;
            (ledger.answered..=ledger.answered + ledger.unclear + unseen).contains(&since)
        }
    };
    if !counts {
        let (deaths, starts) = (service.restarts_total, notes.starts());
        return wrong(&format!("{starts} starts, {deaths} deaths told and {ledger:?} do not go together"));
    }
    match (cast.name, notes.starts(), service.state, service.last_exit.as_deref()) {
        ("errand", 1.., State::Completed, Some("exit 0")) | ("errand", 0, State::Stopped, None) => Ok(service),
        ("quest", 1.., State::Stopped, Some("exit 9")) | ("quest", 0, State::Stopped, None) => Ok(service),
        ("errand" | "quest", ..) => wrong(&format!("how it ended is not what is told ({:?})", service.last_exit)),
        _ => Ok(service),
    }
}

/// Whether the process of a life is there.
fn lives(folder: &Path, name: &str, life: Life) -> bool {
    let command = fs::read(format!("/proc/{}/cmdline", life.pid)).unwrap_or_default();
    let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
    let is_it = words.get(1) == Some(&folder.as_os_str().as_encoded_bytes()) && words.get(2) == Some(&name.as_bytes());
    is_it && Process::find(life.pid).is_some_and(|process| process.lives())
}

/// Processes of lives that are over, of programs that do not end by themselves. To be called when everything is as it is wanted.
pub(super) fn strays(folder: &Path, processes: Vec<Process>) -> Vec<(String, Process)> {
    let told = processes.into_iter().map(|process| (process.command(), process));
    told.filter(|(command, process)| is_stray(folder, command, *process)).collect()
}

fn is_stray(folder: &Path, command: &str, process: Process) -> bool {
    let folder_is = |word: &str| Path::new(word) == folder;
    let words: Vec<&str> = command.split(' ').collect();
    let (name, life_of_child) = match words[..] {
        [_, "child", of, name, life] if folder_is(of) => (name, life.parse::<u64>().ok()),
        [_, of, name, ..] if folder_is(of) => (name, None),
        _ => return false,
    };
    let stays = |part| matches!(part, Part::Steady | Part::Paused | Part::Commanded);
    if !CAST.iter().any(|cast| cast.name == name && stays(cast.part)) {
        return false;
    }
    let notes = Notes::of(folder, name);
    match (notes.lives.last_key_value(), life_of_child) {
        (Some((life, last)), Some(of)) => of != *life || !lives(folder, name, *last),
        (Some((_, last)), None) => last.pid != process.pid,
        (None, _) => true,
    }
}

/// Where a line of a log belongs: the life and who wrote it.
type Writer = (u64, String);

/// Holds the logs of every service against what was counted. To be called while there is no guard.
///
/// # Errors
/// With the first line that is missing, doubled or out of order. How many lines there are otherwise.
pub(super) fn logs(logs: &Path, folder: &Path, waiting: Waiting) -> Result<u64, String> {
    let mut count = 0;
    for cast in &CAST {
        for stream in ["out", "err"] {
            let lines = lines(&logs.join(cast.name), cast, stream)?;
            count += stream_is_whole(&lines, folder, cast, stream, waiting)?;
        }
    }
    Ok(count)
}

/// Whether something may still be on its way into the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// In the pipes.
    Maybe,
    /// Every writer has ended, and an orderly end has emptied the pipes.
    Nothing,
}

/// What was written into a stream, as its log has it. Without a line that has no end yet: of one that is formatted, the next
/// guard cuts what a killed one left.
fn lines(folder: &Path, cast: &Cast, stream: &str) -> Result<Vec<String>, String> {
    let name = format!("std{stream}");
    let stem = if cast.format == Format::Raw { &name } else { "output" };
    let text = String::from_utf8(whole(folder, stem)).map_err(|error| format!("{} {stream}: {error}", cast.name))?;
    let line = |line: &str| match cast.format {
        Format::Text => {
            let (of, line) = line.split_once(' ')?.1.split_once(' ')?;
            Some((of == name, line.to_owned()))
        }
        Format::Json => {
            let line: menshen_api::types::LogLine = serde_json::from_str(line).ok()?;
            Some((line.stream.as_str() == name, line.text))
        }
        Format::Raw => Some((true, line.to_owned())),
    };
    let ended = text.rfind('\n').map_or("", |end| &text[..end]);
    let whole = if cast.format == Format::Raw { text.as_str() } else { ended };
    let parsed = whole.lines().map(|text| line(text).ok_or_else(|| format!("{} {stem}: no line: {text:?}", cast.name)));
    parsed.filter_map(|line| line.map(|(is_of_it, line)| is_of_it.then_some(line)).transpose()).collect()
}

fn stream_is_whole(
    lines: &[String],
    folder: &Path,
    cast: &Cast,
    stream: &str,
    waiting: Waiting,
) -> Result<u64, String> {
    let name = cast.name;
    let mut last: BTreeMap<Writer, u64> = BTreeMap::new();
    let mut count = 0;
    for line in lines {
        let words: Vec<&str> = after_halt(line, name).splitn(5, ' ').collect();
        let parsed = match words[..] {
            [of, life, writer, number, _] if of == name => {
                life.parse().ok().zip(number.parse::<u64>().ok()).map(|(life, number)| (life, writer, number))
            }
            _ => None,
        };
        let Some((life, writer, number)) = parsed else {
            if matches!(words[..], [of, life] if of == name && life.parse::<u64>().is_ok()) {
                // It ended while it halted.
                continue;
            }
            return Err(format!("{name} {stream}: nobody wrote {line:?}"));
        };
        let before = last.insert((life, writer.to_owned()), number);
        let follows = before.map_or(number == 1 || (!cast.keeps_all && count == 0), |before| number == before + 1);
        if !follows {
            return Err(format!("{name} {stream}: life {life} {writer}: line {number} after {before:?}"));
        }
        count += 1;
    }
    if waiting == Waiting::Nothing {
        for life in Notes::of(folder, name).lives.keys().filter(|_| cast.keeps_all) {
            for writer in ["main", "child"] {
                let written = last.get(&(*life, writer.to_owned())).copied().unwrap_or(0);
                let counted = counted(folder, name, *life, writer, stream);
                if written != counted && written != counted + 1 {
                    return Err(format!("{name} {stream}: life {life} {writer}: {written} lines of {counted}"));
                }
            }
        }
    }
    Ok(count)
}

/// A line without what an earlier life began, and did not end, in front of it. A guard ends such a line before it starts the
/// program again, but it does not wait for a slow disk for long.
fn after_halt<'a>(line: &'a str, name: &str) -> &'a str {
    let begun = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')).unwrap_or_default();
    let rest = begun.trim_start_matches(|digit: char| digit.is_ascii_digit());
    if rest.len() < begun.len() && rest.starts_with(name) { rest } else { line }
}

/// What a stream's log files hold together, oldest first.
fn whole(folder: &Path, stem: &str) -> Vec<u8> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut closed: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('.')) else { continue };
        let Some((number, kind)) = rest.split_once('.').filter(|(number, _)| number.parse::<u64>().is_ok()) else {
            continue;
        };
        let is_plain = kind.ends_with(".log");
        // The original is the whole of it as long as it is there.
        if is_plain || ((kind.ends_with(".zst") || kind.ends_with(".gz")) && !closed.contains_key(number)) {
            closed.insert(number.to_owned(), path);
        }
    }
    let mut bytes = Vec::new();
    for path in closed.values() {
        let file = File::open(path).unwrap();
        let mut reader: Box<dyn Read> = match path.extension().and_then(|extension| extension.to_str()) {
            Some("zst") => Box::new(zstd::Decoder::new(file).unwrap()),
            Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
            Some(_) | None => Box::new(file),
        };
        reader.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    bytes.write_all(&fs::read(folder.join(format!("{stem}.log"))).unwrap_or_default()).unwrap();
    bytes
}

/// What must be so of all of them.
///
/// # Errors
/// With everything that is not.
pub(super) fn all_always(folder: &Path, killed: &Killed, operator: &Operator, unseen: u64) -> Result<(), String> {
    let none = Ledger::default();
    let wrong = CAST.iter().chain([&GUEST]).filter_map(|cast| {
        always(folder, cast, killed, operator.ledgers.get(cast.name).unwrap_or(&none), unseen).err()
    });
    let wrong: Vec<String> = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
