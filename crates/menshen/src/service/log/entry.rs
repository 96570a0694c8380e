//! A `tracing` event as the Event Log of Windows has it.

use std::fmt::{self, Write as _};

use menshen_scm::event::{Id, Level};
use tracing::Event;
use tracing::field::{Field, Visit};

use super::ENDED;

/// The field by which an event chooses its own id.
const ID: &str = "event_id";
/// The greatest id an event may choose.
const ID_MAX: u64 = 999;
/// The id of the event that says why a service ended that should not have.
const ENDED_ID: u16 = 1000;

/// What is written there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// How grave it is.
    pub level: Level,
    /// What it is called.
    pub id: Id,
    /// What people read: what happened, then a line for each field.
    pub text: String,
}

impl Entry {
    /// What an event is there. Its id stays the same: the one it chooses, or one for its level.
    pub(super) fn of(event: &Event<'_>) -> Option<Self> {
        let (level, number) = match *event.metadata().level() {
            tracing::Level::ERROR => (Level::Error, 1),
            tracing::Level::WARN => (Level::Warning, 2),
            tracing::Level::INFO => (Level::Information, 3),
            tracing::Level::DEBUG | tracing::Level::TRACE => (Level::Information, 4),
        };
        let target = event.metadata().target();
        let number = if target == ENDED { ENDED_ID } else { number };
        let mut text = Text::default();
        event.record(&mut text);
        let id = text.id.or(Id::new(number))?;
        Some(Self { level, id, text: text.whole(target) })
    }
}

/// An event's fields, as they are told one after the other.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
    id: Option<Id>,
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
        let chosen = Some(value).filter(|value| field.name() == ID && *value <= ID_MAX);
        match chosen.and_then(|value| u16::try_from(value).ok()).and_then(Id::new) {
            Some(id) => self.id = Some(id),
            // A number that is no id stays what people read.
            None => self.add(field, format_args!("{value}")),
        }
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, error, info, trace, warn};
    use tracing_subscriber::layer::{Context, SubscriberExt as _};
    use tracing_subscriber::{Layer, Registry};

    use super::*;

    struct Kept(Arc<Mutex<Vec<Entry>>>);

    impl Layer<Registry> for Kept {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, Registry>) {
            self.0.lock().unwrap().extend(Entry::of(event));
        }
    }

    /// What is written while something is done: level, id and text.
    fn written(act: impl FnOnce()) -> Vec<(u16, u16, String)> {
        let kept = Arc::default();
        let subscriber = tracing_subscriber::registry().with(Kept(Arc::clone(&kept)));
        tracing::subscriber::with_default(subscriber, act);
        let kept = std::mem::take(&mut *kept.lock().unwrap());
        kept.into_iter().map(|entry| (entry.level.number(), entry.id.number(), entry.text)).collect()
    }

    /// The same without the texts.
    fn ids(act: impl FnOnce()) -> Vec<(u16, u16)> {
        written(act).into_iter().map(|(level, id, _)| (level, id)).collect()
    }

    #[test]
    fn every_level_has_an_id_that_stays() {
        let all = || {
            error!("e");
            warn!("w");
            info!("i");
            debug!("d");
            trace!("t");
        };
        assert_eq!(ids(all), [(1, 1), (2, 2), (4, 3), (4, 4), (4, 4)]);
    }

    #[test]
    fn an_event_chooses_its_own_id_up_to_999() {
        let chosen = || {
            info!(event_id = 77, "signed");
            warn!(event_id = 999_u64, "the last one");
        };
        assert_eq!(ids(chosen), [(4, 77), (2, 999)]);
        let beyond = || {
            info!(event_id = 0, "no id");
            info!(event_id = 1000, "the library's own");
            info!(event_id = -1, "no id");
            info!(event_id = "77", "no number");
        };
        let beyond = written(beyond);
        assert!(beyond.iter().all(|(_, id, _)| *id == 3), "{beyond:?}");
        assert!(beyond.iter().all(|(_, _, text)| text.contains("event_id: ")), "it is not lost: {beyond:?}");
    }

    #[test]
    fn why_a_service_ended_has_an_id_of_its_own() {
        assert_eq!(ids(|| error!(target: ENDED, "it did not stop within its time")), [(1, 1000)]);
    }

    #[test]
    fn people_read_what_happened_and_then_every_field() {
        let told = || info!(target: "shop", event_id = 7, from = "a\"b", bytes = 5, ratio = 0.5, open = true, "sold");
        let text = "sold\r\nfrom: a\"b\r\nbytes: 5\r\nratio: 0.5\r\nopen: true\r\nfrom: shop";
        assert_eq!(written(told), [(4, 7, text.to_owned())]);
    }
}
