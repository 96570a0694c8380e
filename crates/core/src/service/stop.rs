//! The stop sequence: ask, wait, kill, and be done only when nothing is left.

use std::sync::Arc;
use std::time::Duration;

use menshen_plan::definition::AlertKind;
use menshen_plan::duration::format;
use menshen_plan::signal::Signal;

use super::{After, Context, Service};
use crate::effect::{Effect, RecordKind, SignalTarget};
use crate::event::{Exit, Role, Tree};
use crate::state::State;
use crate::timer::Timer;
use crate::transition::Trigger;

/// A tree that survives a kill (uninterruptible sleep) is killed again after this long, doubled each time.
const KILL_AGAIN: Duration = Duration::from_secs(1);
/// And never more seldom than this.
const KILL_AGAIN_MAX: Duration = Duration::from_secs(30);
/// After this many kills people are told.
const KILLS_BEFORE_ALERT: u32 = 3;
/// One `EXTEND_TIMEOUT_USEC` extends a time-out by at most this; the program has to ask again for more.
pub(super) const EXTENSION_MAX: Duration = Duration::from_secs(3600);

/// How long to wait after so many kills.
pub(super) fn kill_wait(kills: u32) -> Duration {
    KILL_AGAIN.saturating_mul(1 << kills.min(5)).min(KILL_AGAIN_MAX)
}

impl Service {
    /// Begins the stop sequence.
    pub(crate) fn begin_stop(&mut self, context: &mut Context<'_>, after: After, reason: impl Into<String>) {
        let was_frozen = matches!(self.state(), State::Pausing | State::Paused);
        self.life.kills = 0;
        self.life.after = Some(after);
        self.enter(context, Trigger::Stop, reason);
        context.timers.set(self.id, Timer::Stop, context.now + self.plan.stop.timeout);
        if self.life.main.as_ref().is_some_and(|run| run.pid.is_some()) {
            self.ask_to_stop(context);
        }
        if was_frozen {
            self.thaw(context);
        }
        self.check_stopped(context);
    }

    /// Signals reach a frozen program only when it runs again.
    pub(super) fn thaw(&self, context: &mut Context<'_>) {
        if let Some(run) = self.main_run() {
            context.effects.push(Effect::Thaw { run });
        }
    }

    /// Kills without asking first.
    pub(crate) fn begin_kill(&mut self, context: &mut Context<'_>, after: After, reason: impl Into<String>) {
        self.life.kills = 0;
        self.life.after = Some(after);
        self.enter(context, Trigger::Stop, reason);
        self.kill(context);
        self.check_stopped(context);
    }

    /// Runs the stop command, after which the signal follows, or sends the signal.
    pub(super) fn ask_to_stop(&mut self, context: &mut Context<'_>) {
        if self.life.kills > 0 {
            self.kill(context);
            return;
        }
        if self.plan.stop.command.is_none() {
            self.signal_to_stop(context, SignalTarget::Main);
            return;
        }
        if self.life.stopper.is_none() {
            let main_pid = self.life.main.as_ref().and_then(|run| run.pid);
            let run = self.new_run(context);
            let id = self.run_id(Role::Stop, &run);
            self.life.stopper = Some(run);
            context.effects.push(Effect::Spawn { run: id, plan: Arc::clone(&self.plan), main_pid });
        }
    }

    /// Sends the stop signal, and SIGCONT so that a stopped process can act on it.
    pub(super) fn signal_to_stop(&mut self, context: &mut Context<'_>, target: SignalTarget) {
        let Some(run) = self.main_run() else { return };
        let signal = self.plan.stop.signal;
        context.effects.push(Effect::Signal { run, target, signal });
        if signal != Signal::Kill && signal != Signal::Cont {
            context.effects.push(Effect::Signal { run, target, signal: Signal::Cont });
        }
    }

    pub(crate) fn stopper_spawned(&mut self, context: &mut Context<'_>, pid: u32) {
        let Some(run) = &mut self.life.stopper else { return };
        run.pid = Some(pid);
        // The program ended, or its time did, while the command was being spawned.
        if self.life.kills > 0 || self.life.main.is_none() {
            self.kill_stopper(context);
        }
    }

    pub(super) fn kill_stopper(&mut self, context: &mut Context<'_>) {
        if let Some(run) = &self.life.stopper {
            let run = self.run_id(Role::Stop, run);
            context.effects.push(Effect::Kill { run, target: SignalTarget::Tree });
        }
    }

    /// The stop command ended, or could not be started. A program that still runs gets the signal: the command may have done
    /// no more than what comes before the end, such as taking the program out of a load balancer.
    pub(crate) fn stopper_exited(&mut self, context: &mut Context<'_>, exit: Result<Exit, &str>, tree: Tree) {
        if self.life.main.as_ref().is_some_and(|run| !run.main_ended) {
            if exit != Ok(Exit::Code(0)) {
                let what = exit.map_or_else(str::to_owned, |exit| exit.to_string());
                let text = format!("the stop command failed: {what}");
                self.record(context, RecordKind::Trouble { over: false }, text, None);
            }
            if self.life.kills == 0 {
                self.signal_to_stop(context, SignalTarget::Main);
            }
        }
        if let Some(run) = &mut self.life.stopper {
            run.main_ended = true;
        }
        match tree {
            Tree::Empty => self.stopper_over(context),
            Tree::Alive => self.kill_stopper(context),
        }
    }

    /// Nothing of the stop command is left.
    pub(crate) fn stopper_over(&mut self, context: &mut Context<'_>) {
        self.life.stopper = None;
        context.changed.insert(self.id);
        self.check_stopped(context);
    }

    /// Nothing of the program is left.
    pub(crate) fn main_over(&mut self, context: &mut Context<'_>) {
        self.life.main = None;
        context.changed.insert(self.id);
        self.kill_stopper(context);
        self.check_stopped(context);
    }

    /// It was asked to end, and has not.
    pub(crate) fn stop_timed_out(&mut self, context: &mut Context<'_>) {
        let signal = self.plan.stop.signal;
        let command_runs = self.life.stopper.as_ref().is_some_and(|run| !run.main_ended);
        let asked = match &self.plan.stop.command {
            Some(_) if command_runs => "its stop command".to_owned(),
            Some(_) => format!("its stop command and {signal}"),
            None => signal.to_string(),
        };
        let after = format(self.plan.stop.timeout);
        let text = match self.life.main.as_ref().map(|run| run.main_ended) {
            Some(false) => format!("it is killed: {asked} did not end it within {after}"),
            Some(true) => format!("what it left behind is killed: {asked} did not end it within {after}"),
            None => format!("its stop command is killed: it did not end within {after}"),
        };
        self.record(context, RecordKind::Killed, text, None);
        self.kill(context);
    }

    /// Kills what is left, and comes back later to see whether it helped.
    pub(crate) fn kill(&mut self, context: &mut Context<'_>) {
        // What a dead main process left behind is waited for, so it has to go even if the definition lets it live by now.
        let rest_is_left = self.life.main.as_ref().is_some_and(|run| run.main_ended);
        let whole = self.plan.stop.tree || rest_is_left;
        let target = if whole { SignalTarget::Tree } else { SignalTarget::Main };
        if let Some(run) = self.main_run() {
            context.effects.push(Effect::Kill { run, target });
        }
        self.kill_stopper(context);
        let wait = kill_wait(self.life.kills);
        self.life.kills = self.life.kills.saturating_add(1);
        context.timers.cancel(self.id, Timer::Stop);
        context.timers.set(self.id, Timer::Kill, context.now + wait);
        if self.life.kills == KILLS_BEFORE_ALERT {
            // The last kill has told what is left.
            let left = &self.life.reason;
            let text = format!("processes of it survive SIGKILL, and it stays in Stopping until they are gone: {left}");
            self.record(context, RecordKind::Trouble { over: false }, text.clone(), None);
            self.alert(context, AlertKind::Trouble, text);
        }
    }

    /// Nothing is left of a tree that had survived being killed.
    pub(super) fn forget_kills(&mut self, context: &mut Context<'_>) {
        if std::mem::take(&mut self.life.kills) >= KILLS_BEFORE_ALERT {
            let text = "the processes that had survived SIGKILL are gone".to_owned();
            self.record(context, RecordKind::Trouble { over: true }, text.clone(), None);
            self.alert(context, AlertKind::Recovered, text);
        }
    }

    /// Ends the stop once nothing is left that must go.
    pub(crate) fn check_stopped(&mut self, context: &mut Context<'_>) {
        let own_left = self.life.main.is_some() || self.life.stopper.is_some();
        if self.state() != State::Stopping || own_left {
            return;
        }
        // Without it the stop is over, and the start that comes of it is under way.
        let Some(after) = self.life.after.clone() else { return };
        let trips = matches!(after, After::Trip { .. });
        // `tend_fallback` ends the fallback, and its end comes back here.
        if self.life.fallback.run.is_some()
            && (self.fallback_has_to_go(context) || (self.fallback_is_in_the_way() && !trips))
        {
            return;
        }
        self.conclude(context, after);
    }

    /// The program asks for more time to end or to start.
    pub(crate) fn extend_timeout(&mut self, context: &mut Context<'_>, by: Duration) {
        let timer = match self.state() {
            State::Starting => Timer::Start,
            State::Stopping => Timer::Stop,
            State::Running if self.is_oneshot() => Timer::Start,
            State::Stopped
            | State::Waiting
            | State::Running
            | State::Pausing
            | State::Paused
            | State::Continuing
            | State::Backoff
            | State::Tripped
            | State::Completed
            | State::Failed => return,
        };
        if let Some(deadline) = context.timers.get(self.id, timer) {
            let extended = context.now + by.min(EXTENSION_MAX);
            context.timers.set(self.id, timer, deadline.max(extended));
        }
    }
}
