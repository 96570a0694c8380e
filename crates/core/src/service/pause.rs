//! Pause and continue.

use std::time::Duration;

use super::{Context, Service};
use crate::effect::{Effect, RecordKind};
use crate::event::Frost;
use crate::state::{State, Wanted};
use crate::timer::Timer;
use crate::transition::Trigger;

/// How long a tree may take to freeze or thaw before it counts as failed.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(10);

impl Service {
    /// Freezes the tree.
    pub(super) fn pause(&mut self, context: &mut Context<'_>, reason: impl Into<String>) {
        if self.life.main.is_none() {
            return;
        }
        if let Some(deadline) = context.timers.get(self.id, Timer::Start) {
            // The clock of a one-shot stands still while it cannot work.
            self.life.start_left = Some(deadline.since(context.now));
        }
        self.enter(context, Trigger::Pause, reason);
        self.freeze(context);
    }

    /// Has the tree frozen within the time for that.
    pub(super) fn freeze(&self, context: &mut Context<'_>) {
        let Some(run) = self.main_run() else { return };
        context.timers.set(self.id, Timer::Pause, context.now + PAUSE_TIMEOUT);
        context.effects.push(Effect::Freeze { run });
    }

    /// The tree is frozen.
    pub(crate) fn frozen(&mut self, context: &mut Context<'_>) {
        if self.state() == State::Pausing {
            self.enter(context, Trigger::Freeze, "frozen");
        }
    }

    /// The program of an earlier guard runs on. That guard may have been killed between what it did to the tree and its note of
    /// that: the tree is brought to what was noted.
    pub(crate) fn adopted(&self, context: &mut Context<'_>, frost: Frost) {
        let Some(run) = self.main_run() else { return };
        let goes_on = matches!(self.state(), State::Starting | State::Running | State::Stopping);
        // What is on its way to either goes on by itself.
        if self.state() == State::Paused && frost == Frost::Thawed {
            context.effects.push(Effect::Freeze { run });
        } else if goes_on && frost == Frost::Frozen {
            self.thaw(context);
        }
    }

    /// The tree could not be frozen: it runs on.
    pub(crate) fn freeze_failed(&mut self, context: &mut Context<'_>, error: &str) {
        if matches!(self.state(), State::Pausing | State::Paused) {
            // Unless it is to end by now.
            if self.life.wanted == Wanted::Paused {
                self.life.wanted = Wanted::Up;
            }
            let reason = format!("could not be paused: {error}");
            self.record(context, RecordKind::Trouble { over: false }, reason.clone(), None);
            self.unfreeze(context, reason);
        }
    }

    /// Thaws the tree.
    pub(super) fn unfreeze(&mut self, context: &mut Context<'_>, reason: impl Into<String>) {
        let Some(run) = self.main_run() else { return };
        self.enter(context, Trigger::Continue, reason);
        context.timers.set(self.id, Timer::Pause, context.now + PAUSE_TIMEOUT);
        context.effects.push(Effect::Thaw { run });
    }

    /// The tree runs again.
    pub(crate) fn thawed(&mut self, context: &mut Context<'_>) {
        if self.state() != State::Continuing {
            return;
        }
        self.enter(context, Trigger::Thaw, "continued");
        if let Some(left) = self.life.start_left.take() {
            context.timers.set(self.id, Timer::Start, context.now + left);
        }
        self.resume_probes(context);
        if self.life.wanted == Wanted::Paused {
            self.pause(context, "it is to be paused");
        }
    }

    /// Freezing or thawing takes too long.
    pub(crate) fn pause_timed_out(&mut self, context: &mut Context<'_>) {
        match self.state() {
            State::Pausing => self.freeze_failed(context, "it did not freeze in time"),
            // A thawed tree runs whether or not the system said so.
            State::Continuing => self.thawed(context),
            State::Stopped
            | State::Waiting
            | State::Starting
            | State::Running
            | State::Paused
            | State::Stopping
            | State::Backoff
            | State::Tripped
            | State::Completed
            | State::Failed => {}
        }
    }
}
