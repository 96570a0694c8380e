//! Logs that no guard tells of: what the files have.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use menshen_api::types::{LogLine, LogQuery};
use menshen_guard::logs::read::{Query, Reader};

use super::Printer;
use crate::args::{Arguments, Logs};
use crate::definition::all_paths;
use crate::failure::{Exit, Failure};
use crate::output::{self, dim};

/// The files of one service's log.
pub(super) struct Files {
    guard: String,
    name: String,
    folder: PathBuf,
}

impl Files {
    /// Those of the services meant, or all there are.
    pub(super) fn find(arguments: &Arguments, names: &[String]) -> Vec<Self> {
        let guards = all_paths().into_iter().flat_map(|paths| folders_in(&paths.logs));
        let guards = guards.filter(|(name, _)| arguments.instance.as_ref().is_none_or(|wanted| wanted == name));
        let all = guards.flat_map(|(guard, folder)| {
            let files = folders_in(&folder).into_iter();
            files.map(move |(name, folder)| Self { guard: guard.clone(), name, folder })
        });
        all.filter(|files| names.is_empty() || names.iter().any(|wanted| files.are_meant_by(wanted))).collect()
    }

    /// Whether there are files for each of these names.
    pub(super) fn are_there(arguments: &Arguments, names: &[String]) -> bool {
        !names.is_empty() && names.iter().all(|name| !Self::find(arguments, std::slice::from_ref(name)).is_empty())
    }

    fn are_meant_by(&self, wanted: &str) -> bool {
        match wanted.split_once('/') {
            Some((guard, name)) => self.guard == guard && self.name == name,
            None => self.name == wanted,
        }
    }
}

/// The folders in a folder, by name.
fn folders_in(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut folders: Vec<_> =
        folders.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect();
    folders.sort();
    folders
}

/// Reads the files, for no guard tells of what is in them.
pub(super) fn show(arguments: &Arguments, logs: &Logs, query: &LogQuery, untold: Failure) -> Result<Exit, Failure> {
    let parsed = Query::parse(query, menshen_os::clock::wall_ms());
    let parsed = parsed.map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let files = Files::find(arguments, &logs.names);
    if files.is_empty() {
        let kept: Vec<String> = all_paths().iter().map(|paths| paths.logs.display().to_string()).collect();
        let help =
            format!("start one with `menshen up`; logs are kept in {}, and no such log is there", kept.join(" or "));
        return Err(untold.help(help));
    }
    let shown = match files.as_slice() {
        [only] => only.folder.display().to_string(),
        several => {
            let above: BTreeSet<_> = several.iter().filter_map(|files| files.folder.parent()).collect();
            above.into_iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
        }
    };
    if query.follow {
        return Err(untold.help(format!("what was written is in {shown}; without --follow it is shown")));
    }
    let why = if untold.code() == Exit::NoGuard { "no guard is running" } else { &untold.message };
    output::note(dim(format_args!("{why}; this is what the files in {shown} have")));
    let guards: BTreeSet<&str> = files.iter().map(|files| files.guard.as_str()).collect();
    let has_several_guards = guards.len() > 1;
    let label =
        |files: &Files| if has_several_guards { format!("{}/{}", files.guard, files.name) } else { files.name.clone() };
    let labels: Vec<String> = files.iter().map(label).collect();
    let printer = Printer::of(arguments, logs, &labels.iter().map(String::as_str).collect::<Vec<_>>());
    let sources: Result<Vec<Source>, Failure> =
        files.iter().map(|files| Source::open(label(files), &files.folder, &parsed)).collect();
    merge(sources?, query.tail, |name, line| printer.print(name, line))?;
    Ok(Exit::Done)
}

/// The lines of one service, one of them in hand.
struct Source {
    name: String,
    folder: PathBuf,
    reader: Reader,
    next: Option<LogLine>,
}

impl Source {
    fn open(name: String, folder: &Path, query: &Query) -> Result<Self, Failure> {
        let reader = Reader::open(folder, query.clone()).map_err(|error| unreadable(folder, &error))?;
        let mut source = Self { name, folder: folder.to_owned(), reader, next: None };
        source.advance()?;
        Ok(source)
    }

    /// Gives the line in hand, and takes the next.
    fn advance(&mut self) -> Result<Option<LogLine>, Failure> {
        let next = self.reader.read_line().map_err(|error| unreadable(&self.folder, &error))?;
        Ok(std::mem::replace(&mut self.next, next))
    }
}

/// All lines in the order of their times, as a guard gives them; of all together the last so many, where only those are wanted.
fn merge(mut sources: Vec<Source>, tail: Option<u32>, print: impl Fn(&str, &LogLine)) -> Result<(), Failure> {
    let mut last = VecDeque::new();
    let lines_max = tail.map(|tail| usize::try_from(tail).unwrap_or(usize::MAX));
    loop {
        let with_lines = sources.iter_mut().filter(|source| source.next.is_some());
        let earliest = with_lines.min_by_key(|source| source.next.as_ref().and_then(|line| line.time));
        let Some(source) = earliest else { break };
        let Some(line) = source.advance()? else { break };
        match lines_max {
            None => print(&source.name, &line),
            Some(lines_max) => {
                last.push_back((source.name.clone(), line));
                last.drain(..last.len().saturating_sub(lines_max));
            }
        }
    }
    last.iter().for_each(|(name, line)| print(name, line));
    for source in &sources {
        for log in source.reader.unreadable() {
            output::note(format_args!("{}: {}", log.log.display(), log.text));
        }
    }
    Ok(())
}

fn unreadable(folder: &Path, error: &io::Error) -> Failure {
    let exit = if error.kind() == io::ErrorKind::PermissionDenied { Exit::NotPermitted } else { Exit::Failed };
    Failure::new(exit, format!("{}: {}", folder.display(), menshen_os::error::describe(error)))
}
