//! What the processes of the guard held together, sample by sample, and whether that is flat.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::super::guarded::Guarded;
use super::super::memory::{processes, rollup};

/// What is looked at: its name, and by how much the mean of the last third may exceed that of the middle third: by a share
/// of it, or by so much at least.
const LOOKED_AT: [(&str, f64, f64); 5] = [
    ("resident, kB", 0.05, 512.0),
    ("anonymous, kB", 0.05, 512.0),
    ("descriptors", 0.02, 8.0),
    ("threads", 0.0, 2.0),
    ("journal, kB", 0.10, 256.0),
];
/// So many lines of the curve are shown.
const LINES: usize = 30;

/// What it held at one time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    at: Duration,
    /// In the order of [`LOOKED_AT`].
    held: [f64; LOOKED_AT.len()],
}

/// All samples, in order.
#[derive(Debug, Default)]
pub(super) struct Curve(Vec<Sample>);

impl Sample {
    pub(super) fn take(guard: &Guarded<'_>, at: Duration) -> Result<Self, String> {
        let mut held = [0.0; LOOKED_AT.len()];
        for pid in processes(guard.pid())? {
            let rollup = rollup(pid)?;
            let of_process =
                [kib(&rollup, "Rss")?, kib(&rollup, "Anonymous")?, entries(pid, "fd")?, entries(pid, "task")?];
            held.iter_mut().zip(of_process).for_each(|(all, one)| *all += one);
        }
        held[LOOKED_AT.len() - 1] = count(journal_kib(&guard.home().join("state"))?);
        Ok(Self { at, held })
    }
}

fn kib(rollup: &str, name: &str) -> Result<f64, String> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.ok_or_else(|| format!("no {name}"))
}

fn entries(pid: u32, folder: &str) -> Result<f64, String> {
    let path = format!("/proc/{pid}/{folder}");
    fs::read_dir(&path).map(|entries| count(entries.count())).map_err(|error| format!("{path}: {error}"))
}

/// All files of the journal, wherever below the folder.
fn journal_kib(folder: &Path) -> Result<usize, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut kib = 0;
    for entry in entries.flatten() {
        // One that is just being removed takes nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            kib += journal_kib(&entry.path())?;
        } else if entry.file_name().to_string_lossy().starts_with("journal.db") {
            kib += usize::try_from(metadata.len() / 1024).unwrap_or(usize::MAX);
        }
    }
    Ok(kib)
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

impl Curve {
    pub(super) fn add(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    /// Samples in equal distances, not more than one can look at.
    pub(super) fn table(&self) -> String {
        let mut text = format!("{:>8}", "minute");
        for (name, ..) in LOOKED_AT {
            // Writing to memory cannot fail.
            let _ = write!(text, "  {name:>14}");
        }
        for sample in self.0.iter().step_by(self.0.len().div_ceil(LINES).max(1)).chain(self.0.last()) {
            let _ = write!(text, "\n{:>8.1}", sample.at.as_secs_f64() / 60.0);
            for held in sample.held {
                let _ = write!(text, "  {held:>14.0}");
            }
        }
        for (index, (name, ..)) in LOOKED_AT.iter().enumerate() {
            let (middle, last) = self.thirds(index);
            let _ = write!(text, "\n{name}: {middle:.1} in the middle third, {last:.1} in the last");
        }
        text
    }

    /// Whether everything is flat: the first third is for warming up, the last may not exceed the middle one by more than is
    /// said.
    pub(super) fn judge(&self) -> Result<(), String> {
        let grows = |(index, (name, share, least)): (usize, &(&str, f64, f64))| {
            let (middle, last) = self.thirds(index);
            let allowed = middle + (middle * share).max(*least);
            (last > allowed).then(|| format!("{name}: from {middle:.1} to {last:.1}, more than {allowed:.1}"))
        };
        let grown: Vec<String> = LOOKED_AT.iter().enumerate().filter_map(grows).collect();
        if grown.is_empty() { Ok(()) } else { Err(format!("the guard grows: {}", grown.join("; "))) }
    }

    /// The means of the middle and the last third.
    fn thirds(&self, index: usize) -> (f64, f64) {
        let third = self.0.len() / 3;
        let mean = |samples: &[Sample]| {
            samples.iter().map(|sample| sample.held[index]).sum::<f64>() / count(samples.len().max(1))
        };
        (mean(&self.0[third..2 * third]), mean(&self.0[2 * third..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(resident: impl Fn(u32) -> f64) -> Curve {
        let sample =
            |minute| Sample { at: Duration::from_secs(60) * minute, held: [resident(minute), 1.0, 1.0, 1.0, 1.0] };
        Curve((0..30).map(sample).collect())
    }

    #[test]
    fn what_grows_only_while_warming_up_is_flat() {
        let warming = curve(|minute| f64::from(minute.min(9)) * 1000.0);
        assert_eq!(warming.judge(), Ok(()));
    }

    #[test]
    fn what_grows_on_is_named() {
        let growing = curve(|minute| f64::from(minute) * 1000.0);
        let said = growing.judge().unwrap_err();
        assert!(said.starts_with("the guard grows: resident, kB: from 14500.0 to 24500.0"), "{said}");
        assert!(growing.table().contains("24500.0 in the last"), "{}", growing.table());
    }
}
