//! The service control manager asks, and is told how the service is; elsewhere a console is listened to.
//!
//! `scm` is the door to the manager, `console` the one to a console.

#[path = "windows/console.rs"]
mod console;
#[path = "windows/scm.rs"]
mod scm;
#[path = "windows/sockets.rs"]
pub(super) mod sockets;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use menshen_scm::dispatch::{self, Started};
use menshen_scm::event::{Id, Level};
use menshen_scm::event_log::Source;

use self::console::Console;
use super::door::{Door, Ended};
use crate::service::name::ServiceName;

/// The service, where the manager started it: its events have nowhere else to go than the log.
static MANAGED: OnceLock<ServiceName> = OnceLock::new();
/// Of the event that says why a service ended.
const FAILED: Option<Id> = Id::new(1000);

/// Lives a life behind a door, and says how it ended. Which door it is the manager decides: whoever it did not start cannot
/// connect to it.
pub(super) fn open(name: &ServiceName, life: impl FnOnce(Arc<dyn Door>) -> Ended + Send + 'static) -> ExitCode {
    let life = Arc::new(Mutex::new(Some(life)));
    let take = |life: &Mutex<Option<_>>| life.lock().unwrap_or_else(PoisonError::into_inner).take();
    let ended = Arc::new(Mutex::new(Ended::Failed(1)));
    let (managed, how) = (Arc::clone(&life), Arc::clone(&ended));
    let of_service = name.clone();
    let body = Box::new(move |arguments| {
        if let Some(life) = take(&managed) {
            // Nobody asks a second time.
            let _ = MANAGED.set(of_service.clone());
            *how.lock().unwrap_or_else(PoisonError::into_inner) = scm::live(&of_service, arguments, life);
        }
    });
    match dispatch::run(name.as_str(), body) {
        Ok(Started::ByManager) => (*ended.lock().unwrap_or_else(PoisonError::into_inner)).into(),
        Ok(Started::BySomebodyElse) => take(&life).map_or(Ended::Failed(1), |life| life(Arc::new(Console))).into(),
        Err(error) => {
            complain(&format!("the service control manager cannot be connected to: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Says why a service ended that should not have, where its log is.
pub(super) fn complain(why: &str) {
    // Where nobody can hear it there is nobody to tell.
    let _ = match (MANAGED.get(), FAILED) {
        (Some(name), Some(id)) => Source::open(name.as_str()).and_then(|log| log.report(Level::Error, id, why)),
        (None, _) | (_, None) => writeln!(io::stderr(), "error: {why}"),
    };
}
