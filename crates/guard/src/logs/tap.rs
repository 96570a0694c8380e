//! Taps: the lines of all services as they are written, for whoever keeps up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use menshen_api::Time;
use menshen_api::types::{LogLine, Stream};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::format::Line;
use super::lines::{Ends, Piece};

/// The most lines that wait for a tap: a terminal shows no more in a moment than this.
const TAP_LINES_MAX: usize = 4096;
/// The most bytes that wait for a tap, because lines can be long.
const TAP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Which lines a tap gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapScope {
    /// Those of all services.
    All,
    /// Those of the services whose log goes to the guard's own stdout, too (`also = ["stdout"]`).
    AlsoStdout,
}

/// A line a service wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapLine {
    /// Which service.
    pub service: Arc<str>,
    /// On which stream.
    pub stream: Stream,
    /// The line without its newline.
    pub bytes: Vec<u8>,
    /// When it was read.
    pub time: Time,
    /// The line goes on in the next one of this stream: it was too long for one.
    pub continues: bool,
    /// So many lines before this one were dropped because the tap was full.
    pub dropped: u64,
}

impl From<TapLine> for LogLine {
    fn from(line: TapLine) -> Self {
        let ends = if line.continues { Ends::Later } else { Ends::Here };
        Line { time_ms: Some(line.time.as_ms()), stream: line.stream, bytes: line.bytes, ends }.into_log_line()
    }
}

/// The receiving end of a tap. Dropping it ends the tap.
#[derive(Debug)]
pub struct TapReceiver {
    lines: mpsc::Receiver<TapLine>,
    bytes: Arc<AtomicUsize>,
}

/// The collector's end of a tap.
#[derive(Debug)]
pub(super) struct Tap {
    scope: TapScope,
    lines: mpsc::Sender<TapLine>,
    /// How many bytes wait.
    bytes: Arc<AtomicUsize>,
    dropped: u64,
}

/// All taps.
#[derive(Debug, Default)]
pub(super) struct Taps(Vec<Tap>);

/// Both ends of a tap.
pub(super) fn tap(scope: TapScope) -> (Tap, TapReceiver) {
    let (sender, receiver) = mpsc::channel(TAP_LINES_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Tap { scope, lines: sender, bytes: Arc::clone(&bytes), dropped: 0 }, TapReceiver { lines: receiver, bytes })
}

impl TapReceiver {
    /// The next line; `None` when the collector has stopped. Safe to cancel.
    pub async fn next(&mut self) -> Option<TapLine> {
        let line = self.lines.recv().await;
        self.taken(line)
    }

    /// The same for a thread that has nothing else to do.
    ///
    /// # Panics
    /// In an asynchronous context.
    pub fn wait(&mut self) -> Option<TapLine> {
        let line = self.lines.blocking_recv();
        self.taken(line)
    }

    fn taken(&self, line: Option<TapLine>) -> Option<TapLine> {
        if let Some(line) = &line {
            self.bytes.fetch_sub(line.bytes.len(), Ordering::Relaxed);
        }
        line
    }
}

impl Taps {
    pub(super) fn add(&mut self, tap: Tap) {
        self.0.push(tap);
    }

    /// Whether anybody wants the lines of a service.
    pub(super) fn want(&self, also_stdout: AlsoStdout) -> bool {
        self.0.iter().any(|tap| tap.wants(also_stdout))
    }

    /// Gives a line to all who want it; never waits.
    pub(super) fn give(
        &mut self,
        service: &Arc<str>,
        also_stdout: AlsoStdout,
        stream: Stream,
        piece: Piece<'_>,
        wall_ms: i64,
    ) {
        let mut closed = false;
        for tap in self.0.iter_mut().filter(|tap| tap.wants(also_stdout)) {
            closed |= tap.give(service, stream, piece, wall_ms);
        }
        if closed {
            self.0.retain(|tap| !tap.lines.is_closed());
        }
    }
}

/// Whether a service's log goes to the guard's own stdout, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AlsoStdout {
    Yes,
    No,
}

impl Tap {
    fn wants(&self, also_stdout: AlsoStdout) -> bool {
        match self.scope {
            TapScope::All => true,
            TapScope::AlsoStdout => also_stdout == AlsoStdout::Yes,
        }
    }

    /// Gives a line if there is room; says whether nobody is there any more.
    fn give(&mut self, service: &Arc<str>, stream: Stream, piece: Piece<'_>, wall_ms: i64) -> bool {
        let length = piece.bytes.len();
        let permit = match self.lines.try_reserve() {
            Ok(permit) if self.bytes.load(Ordering::Relaxed) + length <= TAP_BYTES_MAX => permit,
            Ok(_) | Err(TrySendError::Full(())) => {
                self.dropped += 1;
                return false;
            }
            Err(TrySendError::Closed(())) => return true,
        };
        self.bytes.fetch_add(length, Ordering::Relaxed);
        permit.send(TapLine {
            service: Arc::clone(service),
            stream,
            bytes: piece.bytes.to_vec(),
            time: Time::from_ms(wall_ms),
            continues: piece.ends == Ends::Later,
            dropped: std::mem::take(&mut self.dropped),
        });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn give(taps: &mut Taps, bytes: &[u8]) {
        taps.give(&"web".into(), AlsoStdout::No, Stream::Stdout, Piece { bytes, ends: Ends::Here, next: 0 }, 1);
    }

    #[test]
    fn a_line_of_a_tap_is_one_of_the_log_as_the_contract_has_it() {
        let (sender, mut receiver) = tap(TapScope::All);
        let mut taps = Taps(vec![sender]);
        give(&mut taps, b"caf\xc3\xa9");
        give(&mut taps, b"r\xff");
        drop(taps);
        let lines =
            std::iter::from_fn(|| receiver.wait()).map(|line| serde_json::to_value(LogLine::from(line)).unwrap());
        let time = Time::from_ms(1);
        let expected = [
            serde_json::json!({ "time": time, "stream": "stdout", "text": "caf\u{e9}" }),
            serde_json::json!({ "time": time, "stream": "stdout", "text": "r\u{fffd}", "base64": "cv8=" }),
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_full_tap_loses_lines_and_says_how_many() {
        for (length, fits) in [(0, TAP_LINES_MAX), (65_536, TAP_BYTES_MAX / 65_536)] {
            let (sender, mut receiver) = tap(TapScope::All);
            let mut taps = Taps::default();
            taps.add(sender);
            let line = vec![b'x'; length];
            for _ in 0..fits + 7 {
                give(&mut taps, &line);
            }
            for _ in 0..fits {
                assert_eq!(receiver.wait().unwrap().dropped, 0);
            }
            give(&mut taps, &line);
            give(&mut taps, &line);
            assert_eq!(receiver.wait().unwrap().dropped, 7);
            assert_eq!(receiver.wait().unwrap().dropped, 0);
        }
    }

    #[test]
    fn a_tap_nobody_holds_is_wanted_no_longer() {
        let (sender, receiver) = tap(TapScope::All);
        let mut taps = Taps::default();
        taps.add(sender);
        assert!(taps.want(AlsoStdout::No));
        drop(receiver);
        give(&mut taps, b"line");
        assert!(!taps.want(AlsoStdout::No));
    }

    #[test]
    fn a_tap_of_what_also_goes_to_stdout_gives_nothing_else() {
        let (sender, _receiver) = tap(TapScope::AlsoStdout);
        let mut taps = Taps::default();
        taps.add(sender);
        assert!(!taps.want(AlsoStdout::No));
        assert!(taps.want(AlsoStdout::Yes));
    }
}
