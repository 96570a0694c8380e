//! The end of a program: what its exit means, and where the service goes from there.

use std::time::Duration;

use menshen_plan::definition::{AlertKind, ExitAction, ExitMatch, OnOom, RestartPolicy};
use serde::{Deserialize, Serialize};

use super::{BreakerState, Context, Service};
use crate::effect::{Effect, RecordKind, SignalTarget};
use crate::event::{Exit, Tree};
use crate::state::{State, Wanted};
use crate::time::Instant;
use crate::timer::Timer;
use crate::transition::Trigger;

/// After a start that could not even be made, nothing is tried again sooner than this, unless `restart.max` is shorter.
pub const START_FAILED_WAIT: Duration = Duration::from_millis(100);

/// Why a guard starts what nobody asked for.
pub(crate) const WITH_GUARD: &str = "started with the guard";

/// Where a service goes once nothing of its program is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum After {
    /// Where it is wanted then.
    Wanted { reason: String },
    /// It stays stopped, by a rule.
    Stop { reason: String },
    /// It has failed.
    Fail { reason: String },
    /// Its one-shot is done.
    Complete { reason: String },
    /// It is started again at an instant.
    Retry { at: Instant, reason: String },
    /// The breaker opens until an instant.
    Trip { until: Instant, reason: String },
}

impl After {
    /// Why the program ended.
    fn reason(&self) -> &str {
        match self {
            Self::Wanted { reason }
            | Self::Stop { reason }
            | Self::Fail { reason }
            | Self::Complete { reason }
            | Self::Retry { reason, .. }
            | Self::Trip { reason, .. } => reason,
        }
    }

    /// Whether the service comes to rest.
    pub(super) const fn is_rest(&self) -> bool {
        match self {
            Self::Stop { .. } | Self::Fail { .. } | Self::Complete { .. } => true,
            Self::Wanted { .. } | Self::Retry { .. } | Self::Trip { .. } => false,
        }
    }
}

impl Service {
    /// The main process has ended.
    pub(crate) fn main_exited(&mut self, context: &mut Context<'_>, exit: Exit, oom: bool, tree: Tree) {
        let Some(run) = &mut self.life.main else { return };
        // The next guard may be told again what the last one knew, and less of it.
        let known = std::mem::replace(&mut run.main_ended, true);
        if !known {
            self.life.last_exit = Some(exit);
        }
        let over = tree == Tree::Empty || !self.plan.stop.tree;
        if self.state() == State::Stopping {
            if over {
                self.main_over(context);
            } else if !known {
                self.signal_rest(context);
            }
            return;
        }
        let was_frozen = matches!(self.state(), State::Pausing | State::Paused);
        let after = self.after_exit(context, exit, oom);
        if over {
            self.life.main = None;
            self.finish(context, after);
        } else {
            self.life.after = Some(after);
            self.enter(context, Trigger::Stop, format!("{exit}; ending what it left behind"));
            context.timers.set(self.id, Timer::Stop, context.now + self.plan.stop.timeout);
            self.life.kills = 0;
            self.signal_rest(context);
            if was_frozen {
                self.thaw(context);
            }
        }
    }

    /// The program could not be started at all.
    pub(crate) fn spawn_failed(&mut self, context: &mut Context<'_>, error: &str) {
        self.life.main = None;
        self.life.last_exit = None;
        if self.state() == State::Stopping {
            self.check_stopped(context);
            return;
        }
        // Whatever is missing does not come in no time; without a wait this would be a busy loop.
        let at_least = START_FAILED_WAIT.min(self.plan.restart.rules.max);
        let after = self.after_failure(context, &format!("could not be started: {error}"), at_least);
        self.finish(context, after);
    }

    /// Something is wrong with a program that lives: it counts as a death, and the program is ended.
    pub(crate) fn fail_running(&mut self, context: &mut Context<'_>, reason: String) {
        if !matches!(self.state(), State::Starting | State::Running) {
            return;
        }
        let after = self.after_failure(context, &reason, Duration::ZERO);
        self.begin_stop(context, after, reason);
    }

    /// The program took more memory or processes than it may: it is killed at once, before it takes the machine along.
    pub(crate) fn limit_exceeded(&mut self, context: &mut Context<'_>, what: &str) {
        if !self.state().is_up() && self.state() != State::Starting {
            return;
        }
        let reason = format!("limit exceeded: {what}");
        self.alert(context, AlertKind::Limit, reason.clone());
        let after = self.after_oom(context, &reason);
        self.begin_kill(context, after, reason);
    }

    /// What an exit means: the exit rules first, then the policy.
    fn after_exit(&mut self, context: &mut Context<'_>, exit: Exit, oom: bool) -> After {
        if self.is_going_down(context) {
            return After::Wanted { reason: exit.to_string() };
        }
        if oom {
            let reason = format!("{exit}: out of memory");
            self.alert(context, AlertKind::Limit, reason.clone());
            return self.after_oom(context, &reason);
        }
        let rules = &self.plan.restart.rules.on_exit;
        let rule = match exit {
            Exit::Code(code) => rules.get(&ExitMatch::Code(code)),
            Exit::Signal(signal) => rules.get(&ExitMatch::Signal(signal)),
            Exit::Unknown => None,
        };
        let done = self.is_oneshot() && exit == Exit::Code(0);
        match rule {
            Some(ExitAction::Fail) => After::Fail { reason: format!("{exit}: on_exit fail") },
            Some(ExitAction::Stop) if done => After::Complete { reason: format!("{exit}: on_exit stop") },
            Some(ExitAction::Stop) => After::Stop { reason: format!("{exit}: on_exit stop") },
            Some(ExitAction::Restart) if !done => {
                self.count_failure(context, &format!("{exit}: on_exit restart"), Duration::ZERO)
            }
            Some(ExitAction::Restart) | None if done => After::Complete { reason: exit.to_string() },
            Some(ExitAction::Restart) | None => self.after_policy(context, exit),
        }
    }

    fn after_policy(&mut self, context: &mut Context<'_>, exit: Exit) -> After {
        match (self.plan.restart.policy, exit) {
            (RestartPolicy::Always, _) => self.count_failure(context, &exit.to_string(), Duration::ZERO),
            (RestartPolicy::OnFailure, Exit::Code(0)) => After::Stop { reason: format!("{exit}: policy on-failure") },
            (RestartPolicy::OnFailure, _) => self.count_failure(context, &exit.to_string(), Duration::ZERO),
            (RestartPolicy::Never, Exit::Code(0)) => After::Stop { reason: format!("{exit}: policy never") },
            (RestartPolicy::Never, _) => After::Fail { reason: format!("{exit}: policy never") },
        }
    }

    /// What a failure that is not an exit means: the policy decides, unless the service is to end anyway.
    fn after_failure(&mut self, context: &mut Context<'_>, reason: &str, at_least: Duration) -> After {
        if self.is_going_down(context) {
            return After::Wanted { reason: reason.to_owned() };
        }
        match self.plan.restart.policy {
            RestartPolicy::Always | RestartPolicy::OnFailure => self.count_failure(context, reason, at_least),
            RestartPolicy::Never => After::Fail { reason: format!("{reason}: policy never") },
        }
    }

    fn after_oom(&mut self, context: &mut Context<'_>, reason: &str) -> After {
        match self.plan.limits.oom {
            OnOom::Stop | OnOom::Fail if self.is_going_down(context) => After::Wanted { reason: reason.to_owned() },
            OnOom::Restart => self.after_failure(context, reason, Duration::ZERO),
            OnOom::Stop => After::Stop { reason: format!("{reason}: limits.oom stop") },
            OnOom::Fail => After::Fail { reason: format!("{reason}: limits.oom fail") },
        }
    }

    /// Where it goes from a stop that ends it for good, or with its guard: what is wanted then, the next guard starts.
    pub(crate) fn after_going_down(&self, reason: &str) -> After {
        let starts_again = self.life.wanted != Wanted::Down && !self.gone;
        After::Wanted { reason: if starts_again { WITH_GUARD } else { reason }.to_owned() }
    }

    /// Nothing of the program is left. Where the service comes to rest, its fallback ends first.
    fn finish(&mut self, context: &mut Context<'_>, after: After) {
        let rests = after.is_rest() || self.is_going_down(context);
        if rests && self.life.fallback.run.is_some() {
            let reason = format!("{}; ending its fallback", after.reason());
            self.life.after = Some(after);
            self.life.kills = 0;
            self.enter(context, Trigger::Stop, reason);
        } else {
            self.conclude(context, after);
        }
    }

    /// Nothing is left that must go: the service goes where it has to go.
    pub(crate) fn conclude(&mut self, context: &mut Context<'_>, after: After) {
        debug_assert!(self.life.main.is_none() && self.life.stopper.is_none());
        self.life.after = None;
        self.forget_kills(context);
        self.adopt_next_plan(context);
        if self.is_going_down(context) {
            let reason = match after {
                // That is for the next guard to say.
                After::Wanted { reason } if reason == WITH_GUARD => self.life.reason.clone(),
                After::Wanted { reason } => reason,
                After::Stop { reason }
                | After::Fail { reason }
                | After::Complete { reason }
                | After::Retry { reason, .. }
                | After::Trip { reason, .. } => format!("stopped; {reason}"),
            };
            self.rest(context, Trigger::End, reason);
            return;
        }
        match after {
            After::Wanted { reason } => self.make_due(context, reason),
            After::Stop { reason } => {
                self.life.stopped_by_rule = true;
                self.rest(context, Trigger::End, reason);
            }
            After::Complete { reason } => self.complete(context, reason),
            After::Fail { reason } => self.fail(context, reason),
            After::Retry { at, reason } => self.back_off(context, at, reason),
            After::Trip { until, reason } => self.trip(context, until, reason),
        }
    }

    /// Comes to rest: nothing happens until somebody asks, and the file descriptors it left are let go. A one-shot that is
    /// run by hand has done, or given up, what it was asked for: nothing is wanted of it until somebody asks again.
    fn rest(&mut self, context: &mut Context<'_>, trigger: Trigger, reason: String) {
        if self.is_run_by_hand() && !self.is_going_down(context) {
            self.life.wanted = Wanted::Down;
            self.life.wanted_by_operator = false;
        }
        self.enter(context, trigger, reason);
        if !context.shutting_down {
            context.effects.push(Effect::DropFds { service: self.id });
        }
    }

    /// Has done its work. That is all a one-shot can show, so it closes the breaker too.
    fn complete(&mut self, context: &mut Context<'_>, reason: String) {
        if self.life.breaker.state != BreakerState::Closed {
            self.record(context, RecordKind::BreakerClosed, reason.clone(), None);
        }
        self.reset_breaker();
        self.recovered(context, reason.clone());
        self.rest(context, Trigger::Complete, reason);
    }

    /// Gives up; an operator must look.
    pub(crate) fn fail(&mut self, context: &mut Context<'_>, reason: String) {
        self.life.last_failure = Some(reason.clone());
        self.life.alerted = true;
        self.rest(context, Trigger::GiveUp, reason.clone());
        self.alert(context, AlertKind::Failed, reason);
    }

    /// Sends the stop signal to what the main process left behind.
    fn signal_rest(&mut self, context: &mut Context<'_>) {
        if self.life.kills == 0 {
            self.signal_to_stop(context, SignalTarget::Rest);
        }
    }
}
