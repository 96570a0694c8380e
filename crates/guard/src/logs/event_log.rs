//! Lines for the Event Log of Windows.
//!
//! It answers each event, so a thread of its own waits for it: a log that is slow or hangs holds no program up. What it does not
//! keep up with is not sent; it is in the files.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use menshen_api::types::Stream;
use menshen_os::output::{EventLog as Source, Severity};

use super::lines::{Ends, Piece};

/// How many events wait for the log.
const WAITING_MAX: usize = 1024;

/// The way to the log, opened when the first line goes there.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    sender: Option<SyncSender<Event>>,
    refused: Arc<AtomicU64>,
    told: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    severity: Severity,
    text: String,
}

impl EventLog {
    /// Sends a line; never waits. The source is the guard's name, which `menshen install` registers.
    ///
    /// # Errors
    /// When there is no such log, it does not keep up, or it has refused a line before this one.
    pub(super) fn send(&mut self, service: &str, instance: &str, stream: Stream, piece: Piece<'_>) -> io::Result<()> {
        if self.sender.is_none() {
            self.sender = Some(self.begin(instance)?);
        }
        let Some(sender) = &self.sender else { return Ok(()) };
        match sender.try_send(event(service, stream, piece)) {
            Ok(()) => self.hear_refusals(),
            Err(TrySendError::Full(_)) => Err(io::Error::new(io::ErrorKind::WouldBlock, "it does not keep up")),
            Err(TrySendError::Disconnected(_)) => {
                self.sender = None;
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    fn begin(&self, instance: &str) -> io::Result<SyncSender<Event>> {
        let source = Source::open(instance)?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let refused = Arc::clone(&self.refused);
        std::thread::Builder::new()
            .name("event log".to_owned())
            .spawn(move || pass_on(&source, &receiver, &refused))?;
        Ok(sender)
    }

    fn hear_refusals(&mut self) -> io::Result<()> {
        let refused = self.refused.load(Ordering::Relaxed);
        if refused == std::mem::replace(&mut self.told, refused) {
            return Ok(());
        }
        Err(io::Error::other(format!("it has refused {refused} lines so far")))
    }
}

/// Ends when nobody sends any more.
fn pass_on(source: &Source, receiver: &Receiver<Event>, refused: &AtomicU64) {
    for Event { severity, text } in receiver {
        if source.write(severity, &text).is_err() {
            refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What people read: the line, then whose it is. As for the systemd journal, what a program writes to stderr is an error.
fn event(service: &str, stream: Stream, piece: Piece<'_>) -> Event {
    let severity = match stream {
        Stream::Stdout => Severity::Information,
        Stream::Stderr => Severity::Error,
    };
    let continues = match piece.ends {
        Ends::Here => "",
        Ends::Later => "\r\ncontinues: yes",
    };
    let line = String::from_utf8_lossy(piece.bytes);
    Event { severity, text: format!("{line}\r\nservice: {service}\r\nstream: {}{continues}", stream.as_str()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_was_written_by_whom_and_how_grave_it_is() {
        let piece = |ends| Piece { bytes: b"caf\xc3\xa9 \xff", ends, next: 0 };
        let out = event("web", Stream::Stdout, piece(Ends::Here));
        assert_eq!(out.text, "café \u{fffd}\r\nservice: web\r\nstream: stdout");
        assert_eq!(out.severity, Severity::Information);
        let error = event("web", Stream::Stderr, piece(Ends::Later));
        assert_eq!(error.text, "café \u{fffd}\r\nservice: web\r\nstream: stderr\r\ncontinues: yes");
        assert_eq!(error.severity, Severity::Error);
    }
}
