//! Where a service's `tracing` events go: to the log of whoever started it.
//!
//! | started by | events go to |
//! |---|---|
//! | systemd | journald, with fields, priorities and the place in the code |
//! | the service control manager of Windows | the Event Log, with ids that stay |
//! | anybody else | stderr, in colour on a terminal, with times where nobody else writes them |
//!
//! `RUST_LOG` chooses what is logged, such as `info,greeter=debug`; `info` without it. Why the service ended that should not have
//! is logged whatever is chosen.

#[cfg(any(windows, test))]
mod entry;
#[cfg(unix)]
#[path = "log/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "log/windows.rs"]
mod platform;

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use super::name::ServiceName;
use super::runtime::origin::Origin;

/// The target of the event that says why a service ended that should not have.
pub(super) const ENDED: &str = "menshen::ended";

/// A layer of any kind.
type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Why events cannot be logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Somebody has decided already where events go.
    #[error("the program has another subscriber of tracing events already")]
    Taken,
    /// The log of whoever started it cannot be reached.
    #[error("the log cannot be reached")]
    Unreachable(#[source] io::Error),
    /// What is to be logged makes no sense.
    #[error("RUST_LOG is '{text}', which makes no sense: {why}")]
    Filter {
        /// What it is.
        text: String,
        /// Why it makes none.
        why: String,
    },
}

/// Has the program's events go to the log of whoever started it, from now on.
///
/// # Errors
/// When that is not possible.
pub fn begin(name: &ServiceName, origin: Origin) -> Result<(), LogError> {
    let filter = filter(std::env::var("RUST_LOG").ok().as_deref())?;
    let layer = match platform::native(name, origin).map_err(LogError::Unreachable)? {
        Some(native) => native,
        None => stderr(origin),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().map_err(|_| LogError::Taken)
}

fn filter(text: Option<&str>) -> Result<Targets, LogError> {
    let chosen = match text.filter(|text| !text.is_empty()) {
        None => Targets::new().with_default(LevelFilter::INFO),
        Some(text) => text.parse::<Targets>().map_err(|error| {
            let why = error.to_string();
            LogError::Filter { text: text.to_owned(), why }
        })?,
    };
    Ok(chosen.with_target(ENDED, LevelFilter::ERROR))
}

fn stderr(origin: Origin) -> AnyLayer {
    let plain = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let is_colored = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = plain.with_ansi(is_colored);
    match origin {
        // A guard writes the time before each line, where it is wanted.
        Origin::Notified => Box::new(layer.without_time()),
        Origin::Interactive | Origin::Systemd | Origin::Launchd | Origin::Scm | Origin::First => Box::new(layer),
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn what_is_logged_can_be_chosen_and_nonsense_is_refused() {
        assert!(filter(None).unwrap().would_enable("greeter", &Level::INFO));
        assert!(!filter(Some("")).unwrap().would_enable("greeter", &Level::DEBUG));
        let chosen = filter(Some("greeter=debug")).unwrap();
        assert!(chosen.would_enable("greeter", &Level::DEBUG) && !chosen.would_enable("other", &Level::INFO));
        assert!(chosen.would_enable(ENDED, &Level::ERROR), "why it ended is always told");
        let error = filter(Some("greeter=loud")).unwrap_err().to_string();
        assert!(error.starts_with("RUST_LOG is 'greeter=loud'"), "{error}");
    }
}
