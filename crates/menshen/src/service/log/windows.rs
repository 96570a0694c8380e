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

use std::io;

use menshen_scm::event_log::Source;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::entry::Entry;
use super::{AnyLayer, Origin, ServiceName};

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
        if let Some(Entry { level, id, text }) = Entry::of(event) {
            // A log that is full or gone is no reason to end, and there is nobody else to tell.
            let _ = self.0.report(level, id, &text);
        }
    }
}
