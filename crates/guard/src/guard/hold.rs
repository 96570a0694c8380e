//! What is held for the next guard, should this one be killed, and what was held for this one.

use std::time::Duration;

use menshen_os::error::describe;

use super::Guard;
use super::input::Input;
use super::troubles::Part;

/// A holder that ends sooner than this would end again; one that has stayed for so long stays.
const HELD_MIN: Duration = Duration::from_secs(1);
/// While nothing is held, it is tried again after this long, and then after ever longer: each try copies the guard.
const HOLD_AGAIN: Duration = Duration::from_secs(1);
/// At least so often.
const HOLD_AGAIN_MAX: Duration = Duration::from_secs(16);

/// What is to be done next while nothing is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldNext {
    /// It is tried again, this long after the last try failed.
    Try { after: Duration },
    /// It is looked whether the holder that was started has stayed. If not, it is tried again after this long.
    Look { again: Duration },
}

impl HoldNext {
    /// How long until it is to be done.
    const fn within(self) -> Duration {
        match self {
            Self::Try { after } => after,
            Self::Look { .. } => HELD_MIN,
        }
    }

    /// Does it, where nothing is held yet; returns what comes then.
    fn carry_out(self, try_to_hold: impl FnOnce() -> Result<(), String>) -> Self {
        match self {
            Self::Try { after } => {
                let again = (after * 2).min(HOLD_AGAIN_MAX);
                // It was told that it does not work, and is told when it does.
                try_to_hold().map_or(Self::Try { after: again }, |()| Self::Look { again })
            }
            Self::Look { again } => Self::Try { after: again },
        }
    }
}

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

    /// While nothing was held: looks whether a holder has stayed, or tries again.
    pub(super) fn look_at_holder(&mut self, next: HoldNext) {
        if self.shutting_down {
            return;
        }
        if self.system.is_held() {
            let text = "what dies with this guard is held for the next one again".to_owned();
            return self.end_trouble(Part::Holder, text);
        }
        let next = next.carry_out(|| self.try_to_hold());
        self.await_holder(next);
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
        self.await_holder(HoldNext::Try { after: HOLD_AGAIN });
    }

    fn await_holder(&self, next: HoldNext) {
        let inputs = self.inputs.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(next.within()).await;
            inputs.send(Input::LookAtHolder(next)).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: HoldNext = HoldNext::Try { after: HOLD_AGAIN };

    fn fail(next: HoldNext) -> HoldNext {
        next.carry_out(|| Err("no descriptors left".to_owned()))
    }

    #[test]
    fn whether_a_holder_has_stayed_is_looked_at_soon_however_long_none_could_be_started() {
        for failed in 0..10 {
            let next = (0..failed).fold(FIRST, |next, _| fail(next));
            assert_eq!(next.carry_out(|| Ok(())).within(), HELD_MIN, "after {failed} tries");
        }
    }

    #[test]
    fn what_fails_again_and_again_is_tried_ever_more_seldom_but_not_too_seldom() {
        let tries = std::iter::successors(Some(FIRST), |next| Some(fail(*next))).map(HoldNext::within);
        assert_eq!(tries.map(|within| within.as_secs()).take(7).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 16, 16]);
        // So is one that can be started and ends at once.
        let mut next = FIRST;
        for seconds in [2, 4, 8, 16, 16] {
            next = next.carry_out(|| Ok(())).carry_out(|| panic!("it is only looked at"));
            assert_eq!(next.within(), Duration::from_secs(seconds));
        }
    }
}
