//! The Event Log.
//!
//! What an event is called there stays the same: `event_id` of the event itself, a number from 1 to 999, or one for its level.
//!
//! | id | what |
//! |---|---|
//! | 1 | an error |
//! | 2 | a warning |
//! | 3 | information |
//! | 4 | what only those want who look for a mistake |
//! | 1000 | the service ended that should not have |

use std::fmt::{self, Write as _};
use std::io;

use menshen_scm::event::{self, Id};
use menshen_scm::event_log::Source;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::{AnyLayer, Origin, ServiceName};

/// The field by which an event chooses its own id.
const ID: &str = "event_id";
/// The greatest id an event may choose.
const ID_MAX: u64 = 999;

/// The log of whoever started the program; `None` where that is stderr.
pub(super) fn native(name: &ServiceName, origin: Origin) -> io::Result<Option<AnyLayer>> {
    match origin {
        Origin::Scm => Ok(Some(Box::new(EventLog(Source::open(name.as_str())?)))),
        Origin::Systemd | Origin::Interactive | Origin::Notified | Origin::Launchd | Origin::First => Ok(None),
    }
}

struct EventLog(Source);

impl<S: Subscriber> Layer<S> for EventLog {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let (level, number) = match *event.metadata().level() {
            Level::ERROR => (event::Level::Error, 1),
            Level::WARN => (event::Level::Warning, 2),
            Level::INFO => (event::Level::Information, 3),
            Level::DEBUG | Level::TRACE => (event::Level::Information, 4),
        };
        let mut text = Text::default();
        event.record(&mut text);
        let chosen = text.id.filter(|id| *id <= ID_MAX).and_then(|id| u16::try_from(id).ok());
        if let Some(id) = chosen.and_then(Id::new).or(Id::new(number)) {
            // A log that is full or gone is no reason to end, and there is nobody else to tell.
            let _ = self.0.report(level, id, &text.whole(event.metadata().target()));
        }
    }
}

/// An event as people read it: what happened, then a line for each field.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
    id: Option<u64>,
}

impl Text {
    fn whole(self, target: &str) -> String {
        let Self { message, fields, id: _ } = self;
        format!("{message}\r\n{fields}from: {target}")
    }

    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // A text takes whatever is written to it.
        let _ = match field.name() {
            "message" => self.message.write_fmt(value),
            name => write!(self.fields, "{name}: {value}\r\n"),
        };
    }
}

impl Visit for Text {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == ID { self.id = Some(value) } else { self.add(field, format_args!("{value}")) }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.add(field, format_args!("{value}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }
}
