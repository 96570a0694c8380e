//! Where no process can go on as another program, the next version is a process of its own, and takes over as from a guard that
//! was killed. What it has to know of the upgrade is in a note, which it removes once it guards. Until then this process looks on;
//! should the next one not come so far, this one guards again. A guard that is a service only ends: its manager starts the next.

use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use menshen_os::error::describe;
use menshen_os::handover::start_next;

use super::{Ending, Guard};
use crate::handover::Handover;

/// How long the next version may take until it guards: to read what is remembered, and to take over what runs.
const GUARDS_WITHIN: Duration = Duration::from_secs(60);
/// How soon it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Guard {
    /// Makes room for the next version, which has its note already, and sees it begin.
    pub(super) fn hand_on(self, mut handover: Handover) -> Ending {
        let note = self.paths.handover(&self.instance);
        let is_started_by_manager = self.manager.service().is_some();
        let plan = Arc::clone(self.core.plan());
        self.finish_alone();
        if is_started_by_manager {
            return Ending::Code(0);
        }
        match begin(&handover, &note) {
            Ok(next) => Ending::Succeeded(next),
            Err(why) => {
                // This process knows what is in it.
                let _ = std::fs::remove_file(&note);
                handover.failure = Some(why);
                Ending::Returned { handover: Box::new(handover), plan }
            }
        }
    }
}

/// Starts the next version and waits until it guards; or says why it does not.
fn begin(handover: &Handover, note: &Path) -> Result<Child, String> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let mut next = start_next(Path::new(&handover.binary), &arguments).map_err(|error| describe(&error))?;
    let end = Instant::now() + GUARDS_WITHIN;
    while note.exists() {
        if let Ok(Some(status)) = next.try_wait() {
            return Err(format!("it ended before it guarded ({status})"));
        }
        if Instant::now() >= end {
            // What it may have begun is looked after by the next guard, as after any that is killed.
            let _ = next.kill().and_then(|()| next.wait());
            return Err(format!("it did not guard within {}", menshen_plan::duration::format(GUARDS_WITHIN)));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(next)
}
