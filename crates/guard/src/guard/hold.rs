//! What is held for the next guard, should this one be killed, and what was held for this one.

use std::time::Duration;

use menshen_os::error::describe;

use super::Guard;
use super::input::Input;
use super::troubles::Part;

/// A holder that ends sooner than this would end again.
const HELD_MIN: Duration = Duration::from_secs(1);
/// While nothing is held, it is tried again after this long, and then after ever longer: each try copies the guard. A holder that
/// has stayed for so long stays.
const HOLD_AGAIN: Duration = HELD_MIN;
/// At least so often.
const HOLD_AGAIN_MAX: Duration = Duration::from_secs(64);

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
        if std::process::id() != FIRST
            && let Err(why) = self.try_to_hold()
        {
            self.is_not_held(&why);
        }
    }

    pub(super) fn holder_ended(&mut self, after: Duration) {
        // While that is in trouble, it is about to be tried again.
        if self.shutting_down || self.troubles.has(Part::Holder) {
            return;
        }
        if after < HELD_MIN {
            self.is_not_held("the process that holds ends again and again");
        } else {
            self.begin_to_hold();
        }
    }

    /// While nothing was held, after this long: looks whether a holder has stayed, or tries again.
    pub(super) fn look_at_holder(&mut self, after: Duration) {
        if self.shutting_down {
            return;
        }
        if self.system.is_held() {
            let text = "what dies with this guard is held for the next one again".to_owned();
            return self.end_trouble(Part::Holder, text);
        }
        // It was told that it does not work, and is told when it does.
        drop(self.try_to_hold());
        self.look_at_holder_in((after * 2).min(HOLD_AGAIN_MAX));
    }

    /// The process that holds for the version before does so until another one does.
    fn try_to_hold(&mut self) -> Result<(), String> {
        self.system.begin_to_hold(&self.paths.holder(&self.instance)).map_err(|error| describe(&error))?;
        self.end_earlier_holder();
        Ok(())
    }

    /// Nothing of what the version before had held is needed any more.
    pub(super) fn end_earlier_holder(&mut self) {
        if let Some(earlier) = self.succession.inherited.holder.take() {
            menshen_os::holder::end_earlier(&earlier);
        }
    }

    fn is_not_held(&mut self, why: &str) {
        let text = format!("should this guard be killed, nothing is held for the next one: {why}");
        self.begin_trouble(Part::Holder, text);
        self.look_at_holder_in(HOLD_AGAIN);
    }

    fn look_at_holder_in(&self, time: Duration) {
        let inputs = self.inputs.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(time).await;
            inputs.send(Input::LookAtHolder { after: time }).await;
        });
    }
}
