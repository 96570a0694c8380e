//! What is held for the next guard, should this one be killed, and what was held for this one.

use std::time::Duration;

use menshen_os::error::describe;

use super::Guard;

/// A holder that ends sooner than this would end again.
const HELD_MIN: Duration = Duration::from_secs(1);

impl Guard {
    /// Asks for what was held since the guard before this one was killed.
    pub(super) fn take_held(&mut self) {
        if let Err(error) = self.system.take_held(&self.paths.holder(&self.instance)) {
            let why = describe(&error);
            self.note(format!("how programs ended while no guard was there is not known: {why}"));
        }
    }

    /// Has what dies with this guard held for the next. With a guard that is PID 1 everything ends, a holder too.
    pub(super) fn begin_to_hold(&mut self) {
        const FIRST: u32 = 1;
        if std::process::id() == FIRST {
            return;
        }
        if let Err(error) = self.system.begin_to_hold(&self.paths.holder(&self.instance)) {
            self.is_not_held(&describe(&error));
        }
    }

    pub(super) fn holder_ended(&mut self, after: Duration) {
        if after < HELD_MIN {
            self.is_not_held("the process that holds ends again and again");
        } else if !self.shutting_down {
            self.begin_to_hold();
        }
    }

    fn is_not_held(&mut self, why: &str) {
        self.note(format!("should this guard be killed, nothing is held for the next one: {why}"));
    }
}
