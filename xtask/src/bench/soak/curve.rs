//! What the guard and its holder held, sample by sample, and whether that is flat.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::super::guarded::Guarded;
use super::super::memory::{processes, rollup};

/// What is looked at, in the order of the columns: its name, and by how much the mean of the last third may exceed that of the
/// middle third, by a share of it, or by so much at least.
const LOOKED_AT: [LookedAt; 7] = [
    LookedAt::memory("guard anonymous, kB"),
    LookedAt::memory("guard file, kB"),
    LookedAt::memory("holder anonymous, kB"),
    LookedAt::memory("holder file, kB"),
    LookedAt { name: "descriptors", share: 0.02, least: 8.0 },
    LookedAt { name: "threads", share: 0.0, least: 2.0 },
    LookedAt { name: "journal, kB", share: 0.10, least: 256.0 },
];
/// So many lines of the curve are shown.
const LINES: usize = 30;

struct LookedAt {
    name: &'static str,
    share: f64,
    least: f64,
}

impl LookedAt {
    const fn memory(name: &'static str) -> Self {
        Self { name, share: 0.05, least: 512.0 }
    }
}

/// What was held at one time.
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
        let [mut anonymous, mut of_files] = [[0.0; 2]; 2];
        let [mut descriptors, mut threads] = [0.0; 2];
        // The guard is the first; a holder that was just ended has a successor by the next sample.
        for (index, pid) in processes(guard.pid())?.into_iter().take(2).enumerate() {
            let rollup = rollup(pid)?;
            anonymous[index] = kib(&rollup, "Anonymous")?;
            of_files[index] = kib(&rollup, "Rss")? - anonymous[index];
            descriptors += entries(pid, "fd")?;
            threads += entries(pid, "task")?;
        }
        let journal = count(journal_kib(&guard.home().join("state"))?);
        let held = [anonymous[0], of_files[0], anonymous[1], of_files[1], descriptors, threads, journal];
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
        for LookedAt { name, .. } in &LOOKED_AT {
            // Writing to memory cannot fail.
            let _ = write!(text, "  {name:>20}");
        }
        for sample in self.0.iter().step_by(self.0.len().div_ceil(LINES).max(1)).chain(self.0.last()) {
            let _ = write!(text, "\n{:>8.1}", sample.at.as_secs_f64() / 60.0);
            for held in sample.held {
                let _ = write!(text, "  {held:>20.0}");
            }
        }
        for (index, LookedAt { name, .. }) in LOOKED_AT.iter().enumerate() {
            let ((middle, last), slope) = (self.thirds(index), self.slope(index));
            let _ = write!(
                text,
                "\n{name}: {middle:.1} in the middle third, {last:.1} in the last; {slope:+.1} a minute in the last half"
            );
        }
        text
    }

    /// Whether everything is flat: the first third is for warming up, the last may not exceed the middle one by more than is
    /// said.
    pub(super) fn judge(&self) -> Result<(), String> {
        let grows = |(index, LookedAt { name, share, least }): (usize, &LookedAt)| {
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
        (
            mean(&self.0[third..2 * third], |sample| sample.held[index]),
            mean(&self.0[2 * third..], |sample| sample.held[index]),
        )
    }

    /// By how much the last half grows in a minute: the slope of the line that is nearest to it.
    fn slope(&self, index: usize) -> f64 {
        let half = &self.0[self.0.len() / 2..];
        let minute = |sample: &Sample| sample.at.as_secs_f64() / 60.0;
        let (middle, held) = (mean(half, minute), mean(half, |sample| sample.held[index]));
        let together = mean(half, |sample| (minute(sample) - middle) * (sample.held[index] - held));
        let spread = mean(half, |sample| (minute(sample) - middle).powi(2));
        if spread > 0.0 { together / spread } else { 0.0 }
    }
}

fn mean(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    samples.iter().map(of).sum::<f64>() / count(samples.len().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(resident: impl Fn(u32) -> f64) -> Curve {
        let sample = |minute| Sample {
            at: Duration::from_secs(60) * minute,
            held: [resident(minute), 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        };
        Curve((0..30).map(sample).collect())
    }

    #[test]
    fn what_grows_only_while_warming_up_is_flat() {
        let warming = curve(|minute| f64::from(minute.min(9)) * 1000.0);
        assert_eq!(warming.judge(), Ok(()));
        assert!(warming.table().contains("; +0.0 a minute in the last half"), "{}", warming.table());
    }

    #[test]
    fn what_grows_on_is_named() {
        let growing = curve(|minute| f64::from(minute) * 1000.0);
        let said = growing.judge().unwrap_err();
        assert!(said.starts_with("the guard grows: guard anonymous, kB: from 14500.0 to 24500.0"), "{said}");
        let end = "24500.0 in the last; +1000.0 a minute in the last half";
        assert!(growing.table().contains(end), "{}", growing.table());
    }
}
