//! Lines for the Event Log of Windows.
//!
//! It answers each event, so a thread of its own waits for it: a log that is slow or hangs holds no program up. What it does not
//! keep up with is not sent; it is in the files.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use menshen_api::types::Stream;
use menshen_os::error::describe;
use menshen_os::output::{EventLog as Source, Severity};

use super::lines::{Ends, Piece};

/// How many events wait for the log.
const WAITING_MAX: usize = 1024;

/// The way to the log; the thread begins with the first line.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    sender: Option<SyncSender<Event>>,
    failing: Failing,
}

/// What does not work; nothing again, once all that waited was taken.
#[derive(Debug, Clone, Default)]
struct Failing(Arc<Mutex<Option<String>>>);

impl Failing {
    fn set(&self, what: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn told(&self) -> io::Result<()> {
        let what = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        what.map_or(Ok(()), |what| Err(io::Error::other(what)))
    }
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
        if !Source::IS_HERE {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if self.sender.is_none() {
            self.sender = Some(self.begin(instance.to_owned())?);
        }
        let Some(sender) = &self.sender else { return Ok(()) };
        if let Err(error) = sender.try_send(event(service, stream, piece)) {
            let what = match error {
                TrySendError::Full(_) => "it does not keep up",
                TrySendError::Disconnected(_) => "nobody passes lines on any more",
            };
            self.failing.set(Some(what.to_owned()));
        }
        self.failing.told()
    }

    fn begin(&self, instance: String) -> io::Result<SyncSender<Event>> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let failing = self.failing.clone();
        let pass_on = move || pass_on(&instance, &receiver, &failing);
        std::thread::Builder::new().name("event log".to_owned()).spawn(pass_on)?;
        Ok(sender)
    }
}

/// Ends when nobody sends any more.
fn pass_on(instance: &str, receiver: &Receiver<Event>, failing: &Failing) {
    let mut source = None;
    let mut next = receiver.recv().ok();
    while let Some(event) = next {
        let written = write(&mut source, instance, &event);
        next = receiver.try_recv().ok();
        match written {
            Err(error) => failing.set(Some(describe(&error))),
            Ok(()) if next.is_none() => failing.set(None),
            Ok(()) => {}
        }
        next = next.or_else(|| receiver.recv().ok());
    }
}

fn write(source: &mut Option<Source>, instance: &str, event: &Event) -> io::Result<()> {
    let source = match source {
        Some(source) => source,
        None => source.insert(Source::open(instance)?),
    };
    source.write(event.severity, &event.text)
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
