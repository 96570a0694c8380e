//! How quickly what one program writes comes into its log, and whether all of it does. Beside the supervisors `cat` from a
//! pipe to a file, which does nothing else.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::super::program::{ms_between, now_ns, wait_closely};
use super::peer::{Format, Job, Life, Log, Peer};
use super::results::{COPY, Results, Row};
use super::session::{Place, Session};
use crate::lines;

/// A whole number of blocks, and less than the largest file s6-log keeps.
const BYTES: u64 = 4096 * lines::BLOCK_BYTES as u64;
/// What stands around each line in Menshen's other formats.
const FORMATS: [(&str, Format, &str); 2] = [
    ("Menshen, `text`", Format::Text, "2026-01-31T12:00:00.123Z stdout "),
    ("Menshen, `json`", Format::Json, r#"{"time":"2026-01-31T12:00:00.123Z","stream":"stdout","text":""}"#),
];
const JOB: &str = "writer";
/// One that has not logged everything after this long is measured by what it has.
const POUR_MAX: Duration = Duration::from_secs(60);

/// What the program writes, as one number.
pub(super) fn expected() -> [u8; 32] {
    let (mut hash, mut block) = (Sha256::new(), lines::block());
    for number in 0..BYTES / lines::BLOCK_BYTES as u64 {
        lines::number(&mut block, number);
        hash.update(&block);
    }
    hash.finalize().into()
}

/// As every supervisor keeps logs: byte for byte.
pub(super) fn measure(place: &Place, peer: &dyn Peer, expected: &[u8; 32], results: &mut Results) {
    if results.has_failed(Row::LogRate, peer.name()) {
        return;
    }
    match pour(place, peer, Format::Raw, BYTES) {
        Ok((session, poured)) => {
            note(poured, BYTES, peer.name(), results);
            results.take(Row::LogLoss, peer.name(), loss(&session, peer, expected));
            forget(&session);
        }
        Err(why) => {
            [Row::LogRate, Row::LogLoss].into_iter().for_each(|row| results.fail(row, peer.name(), why.clone()));
        }
    }
}

/// Menshen's formats with a time to each line.
pub(super) fn measure_formats(place: &Place, menshen: &dyn Peer, results: &mut Results) {
    for (who, format, around) in FORMATS {
        let bytes = BYTES + BYTES / lines::LINE_BYTES as u64 * around.len() as u64;
        match pour(place, menshen, format, bytes) {
            Ok((session, poured)) => {
                note(poured, bytes, who, results);
                forget(&session);
            }
            Err(why) => results.fail(Row::LogRate, who, why),
        }
    }
}

/// What came of it, and what did not in time.
fn note(Poured { logged, took_ms }: Poured, all: u64, who: &str, results: &mut Results) {
    results.add(Row::LogRate, who, rate(BYTES, took_ms) * share(logged, all));
    if logged < all {
        let percent = 100.0 * share(logged, all);
        results.fail(Row::LogRate, who, format!("had {percent:.0} % of it after {} s", POUR_MAX.as_secs()));
    }
}

/// What does nothing but copy.
pub(super) fn measure_cat(place: &Place, results: &mut Results) {
    results.take(Row::LogRate, COPY, cat(place));
}

/// How much came into the log, and how long that took from the program's first statement.
struct Poured {
    logged: u64,
    took_ms: f64,
}

/// A program that writes everything, until so much is in the log or the time is over.
fn pour<'a>(place: &'a Place, peer: &'a dyn Peer, format: Format, all: u64) -> Result<(Session<'a>, Poured), String> {
    let command = place.program.words(&["pour", &BYTES.to_string()]);
    let job = Job { name: JOB.to_owned(), command, life: Life::Stays, log: Log::Whole(format) };
    let session = place.start(peer, &[job])?;
    let logged = || peer.logged_bytes(session.folder(), JOB);
    let in_time = wait_closely(POUR_MAX, || (logged().ok()? >= all).then(now_ns));
    let logged = in_time.map_or_else(logged, |_| Ok(all))?;
    let ended = in_time.unwrap_or_else(now_ns);
    let began = place.program.await_lives(1)?[0].began;
    Ok((session, Poured { logged, took_ms: ms_between(began, ended) }))
}

/// How much is missing. What is there must be what was written.
fn loss(session: &Session<'_>, peer: &dyn Peer, expected: &[u8; 32]) -> Result<f64, String> {
    let logged = peer.logged_bytes(session.folder(), JOB)?;
    if peer.logged_sha256(session.folder(), JOB)? == *expected {
        return Ok(0.0);
    }
    Err(format!("has {logged} bytes of {BYTES}, which are not those that were written"))
}

/// Those who come next have as much free memory.
fn forget(session: &Session<'_>) {
    let log = session.log(JOB);
    // What is left is removed with the folder.
    let _ = fs::remove_file(&log).or_else(|_| fs::remove_dir_all(&log));
}

fn cat(place: &Place) -> Result<f64, String> {
    let failed = |error: std::io::Error| format!("cat: {error}");
    place.program.forget()?;
    let folder = tempfile::Builder::new().prefix("menshen-peer-").tempdir().map_err(failed)?;
    let mut writer = place.program.bare(&["write", &BYTES.to_string()]);
    let mut writer = writer.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let pipe = writer.stdout.take().ok_or("the program has no stdout")?;
    let file = File::create(folder.path().join("log")).map_err(failed)?;
    let copied = Command::new("cat").stdin(pipe).stdout(file).status().map_err(failed);
    let ended = now_ns();
    writer.wait().map_err(failed)?;
    copied?;
    Ok(rate(BYTES, ms_between(place.program.await_lives(1)?[0].began, ended)))
}

/// In millions of bytes per second.
#[expect(clippy::cast_precision_loss, reason = "what is written is far less than 2^53 bytes")]
fn rate(bytes: u64, took_ms: f64) -> f64 {
    bytes as f64 / 1e3 / took_ms
}

#[expect(clippy::cast_precision_loss, reason = "what is written is far less than 2^53 bytes")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_told_apart_by_their_number_and_lines_by_theirs() {
        let mut block = lines::block();
        assert_eq!(block.len(), lines::BLOCK_BYTES);
        let before = block.clone();
        lines::number(&mut block, 7);
        assert!(block.starts_with(b"00000000000000000007 x"));
        assert_eq!(before[lines::LINE_BYTES..], block[lines::LINE_BYTES..]);
        let mut all: Vec<&[u8]> = block.split_inclusive(|byte| *byte == b'\n').collect();
        assert!(all.iter().all(|line| line.len() == lines::LINE_BYTES));
        all[1..].sort_unstable();
        all.dedup();
        assert_eq!(all.len(), lines::BLOCK_BYTES / lines::LINE_BYTES);
    }
}
