//! How quickly what one program writes comes into its log, and whether all of it does. Beside the supervisors `cat` from a
//! pipe to a file, which is the limit.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use super::super::program::{ms_between, now_ns, wait_until};
use super::peer::{Format, Job, Life, Log, Peer};
use super::results::{Results, Row};
use super::session::{Place, Session};
use crate::lines;

/// A whole number of blocks, and less than the largest file s6-log keeps.
const BYTES: u64 = 4096 * lines::BLOCK_BYTES as u64;
/// What stands around each line in Menshen's other formats.
const FORMATS: [(&str, Format, &str); 2] = [
    ("Menshen, `text`", Format::Text, "2026-01-31T12:00:00.123Z stdout "),
    ("Menshen, `json`", Format::Json, r#"{"time":"2026-01-31T12:00:00.123Z","stream":"stdout","text":""}"#),
];
pub(super) const LIMIT: &str = "`cat` from a pipe to a file";
const JOB: &str = "writer";

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
    match pour(place, peer, Format::Raw, BYTES) {
        Ok((session, rate)) => {
            results.add(Row::LogRate, peer.name(), rate);
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
        let poured = pour(place, menshen, format, bytes);
        results.take(Row::LogRate, who, poured.map(|(session, rate)| (forget(&session), rate).1));
    }
}

/// The limit.
pub(super) fn measure_cat(place: &Place, results: &mut Results) {
    results.take(Row::LogRate, LIMIT, cat(place));
}

/// A program that has written everything, and the rate. So much is in the log then.
fn pour<'a>(place: &'a Place, peer: &'a dyn Peer, format: Format, logged: u64) -> Result<(Session<'a>, f64), String> {
    let command = place.program.words(&["pour", &BYTES.to_string()]);
    let job = Job { name: JOB.to_owned(), command, life: Life::Stays, log: Log::Whole(format) };
    let session = place.start(peer, &[job])?;
    let all_there = || (peer.logged_bytes(session.folder(), JOB).ok()? >= logged).then(now_ns);
    let ended = wait_until(&format!("{logged} bytes in the log"), all_there)?;
    let began = place.program.await_lives(1)?[0].began;
    Ok((session, rate(began, ended)))
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
    // What is left is removed with the folder.
    let _ = fs::remove_file(session.log(JOB));
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
    Ok(rate(place.program.await_lives(1)?[0].began, ended))
}

/// In millions of bytes per second.
#[expect(clippy::cast_precision_loss, reason = "what is written is far less than 2^53 bytes")]
fn rate(began: u64, ended: u64) -> f64 {
    BYTES as f64 / 1e3 / ms_between(began, ended)
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
