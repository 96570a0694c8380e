//! What the programs under torture say of themselves; see `chronicler`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A program's notes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// Its lives, by number: its process, and its exit code if it ended by itself.
    pub lives: BTreeMap<u64, Life>,
    /// Processes that found another of their kind alive, for people.
    pub twins: Vec<String>,
}

/// One life of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub pid: u32,
    pub code: Option<u8>,
    /// When it began and when it ended by itself, in milliseconds since the machine was started.
    pub began_ms: u64,
    pub ended_ms: Option<u64>,
}

impl Notes {
    /// What a program has noted so far.
    ///
    /// # Panics
    /// When that is none of its notes.
    pub(super) fn of(folder: &Path, name: &str) -> Self {
        let text = fs::read_to_string(folder.join(format!("{name}.notes"))).unwrap_or_default();
        let mut notes = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["start", life, pid, at] => {
                    let (pid, began_ms) = (pid.parse().unwrap(), at.parse().unwrap());
                    let life = life.parse().unwrap();
                    let known = notes.lives.insert(life, Life { pid, code: None, began_ms, ended_ms: None });
                    assert_eq!(known, None, "{name}: {line} is noted twice");
                }
                ["end", life, code, at] => {
                    let life = notes.lives.get_mut(&life.parse().unwrap()).expect("what ends has started");
                    (life.code, life.ended_ms) = (Some(code.parse().unwrap()), Some(at.parse().unwrap()));
                }
                ["twin", ..] => notes.twins.push(line.to_owned()),
                _ => panic!("{name} has noted: {line}"),
            }
        }
        notes
    }

    /// How often it was started.
    pub(super) fn starts(&self) -> u64 {
        self.lives.len() as u64
    }

    /// How long it was not there between the end of each life that ended by itself and the next, in milliseconds.
    pub(super) fn waits_ms(&self) -> Vec<u64> {
        let lives: Vec<&Life> = self.lives.values().collect();
        let wait = |pair: &[&Life]| pair[0].ended_ms.map(|ended_ms| pair[1].began_ms.saturating_sub(ended_ms));
        lives.windows(2).filter_map(wait).collect()
    }

    /// Its latest life.
    pub(super) fn last(&self) -> Option<Life> {
        self.lives.values().next_back().copied()
    }
}

/// How many lines a life's writer has counted on a stream (`out`, `err`); it may have written one more.
pub(super) fn counted(folder: &Path, name: &str, life: u64, writer: &str, stream: &str) -> u64 {
    let bytes = fs::read(folder.join(format!("{name}.{life}.{writer}.{stream}"))).unwrap_or_default();
    bytes.try_into().map_or(0, u64::from_le_bytes)
}
