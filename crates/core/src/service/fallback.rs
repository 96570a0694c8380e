//! The fallback: a program that stands in while the breaker is open.

use std::sync::Arc;

use menshen_plan::definition::FallbackUntil;
use serde::{Deserialize, Serialize};

use super::{After, BreakerState, Context, Run, Service};
use crate::effect::{Effect, RecordKind, SignalTarget};
use crate::event::{Role, Tree};
use crate::state::State;
use crate::timer::Timer;

/// The fallback of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fallback {
    pub run: Option<Run>,
    /// It has been asked to end.
    pub stopping: bool,
    /// Deaths since it was last wanted anew.
    pub restarts: u32,
    pub kills: u32,
}

impl Service {
    /// Starts or stops the fallback, whichever brings it to where it is wanted.
    pub(crate) fn tend_fallback(&mut self, context: &mut Context<'_>) {
        let wanted = self.wants_fallback(context);
        let waits = context.timers.get(self.id, Timer::FallbackRetry).is_some();
        match (wanted, &self.life.fallback.run) {
            (true, None) if !waits => self.start_fallback(context),
            (false, Some(_)) if !self.life.fallback.stopping => self.stop_fallback(context),
            (false, None) => {
                context.timers.cancel(self.id, Timer::FallbackRetry);
                self.life.fallback.restarts = 0;
            }
            (true, None | Some(_)) | (false, Some(_)) => {}
        }
    }

    /// Whether the fallback stands in the way of a start.
    pub(crate) fn fallback_is_in_the_way(&self) -> bool {
        self.fallback_until() == Some(FallbackUntil::Trial) && self.life.fallback.run.is_some()
    }

    fn fallback_until(&self) -> Option<FallbackUntil> {
        self.plan.breaker.fallback.as_ref().map(|fallback| fallback.until)
    }

    fn wants_fallback(&self, context: &Context<'_>) -> bool {
        let Some(until) = self.fallback_until() else { return false };
        if self.fallback_has_to_go(context) {
            return false;
        }
        match (until, self.life.breaker.state) {
            // It can run beside the service until that can be used, through a trial that fails and through a restart.
            (FallbackUntil::Ready, BreakerState::Open | BreakerState::HalfOpen) => !self.life.ready,
            (FallbackUntil::Trial, BreakerState::Open) => {
                self.state() == State::Tripped && !self.life.breaker.trial_cleared
            }
            (FallbackUntil::Ready | FallbackUntil::Trial, BreakerState::Closed)
            | (FallbackUntil::Trial, BreakerState::HalfOpen) => false,
        }
    }

    /// Whether the service is, or is about to be, where nothing stands in for it.
    pub(super) fn fallback_has_to_go(&self, context: &Context<'_>) -> bool {
        let rests = self.life.after.as_ref().is_some_and(After::is_rest);
        self.is_going_down(context) || self.state().is_at_rest() || rests
    }

    fn start_fallback(&mut self, context: &mut Context<'_>) {
        let run = self.new_run(context);
        let id = self.run_id(Role::Fallback, &run);
        self.life.fallback.run = Some(run);
        self.life.fallback.stopping = false;
        self.life.fallback.kills = 0;
        context.effects.push(Effect::Spawn { run: id, plan: Arc::clone(&self.plan), main_pid: None });
    }

    fn stop_fallback(&mut self, context: &mut Context<'_>) {
        let Some(run) = &self.life.fallback.run else { return };
        // Before it is spawned there is nobody to ask; `fallback_spawned` comes back here. What has ended was spawned, even
        // if only the last guard came to know its pid.
        let main_ended = run.main_ended;
        if run.pid.is_none() && !main_ended {
            return;
        }
        let id = self.run_id(Role::Fallback, run);
        self.life.fallback.stopping = true;
        let target = if main_ended { SignalTarget::Rest } else { SignalTarget::Main };
        context.effects.push(Effect::Signal { run: id, target, signal: self.plan.stop.signal });
        // What it leaves behind gets the rest of the time.
        let waits =
            [Timer::FallbackStop, Timer::FallbackKill].map(|timer| context.timers.get(self.id, timer).is_some());
        if waits == [false, false] {
            context.timers.set(self.id, Timer::FallbackStop, context.now + self.plan.stop.timeout);
        }
    }

    pub(crate) fn fallback_spawned(&mut self, context: &mut Context<'_>, pid: u32) {
        if let Some(run) = &mut self.life.fallback.run {
            run.pid = Some(pid);
        }
        self.record(context, RecordKind::Fallback, format!("the fallback runs (pid {pid})"), None);
        context.changed.insert(self.id);
    }

    /// It ended, or could not be started.
    pub(crate) fn fallback_exited(&mut self, context: &mut Context<'_>, how: &str, tree: Tree) {
        if tree == Tree::Empty {
            self.fallback_over(context, how);
            return;
        }
        if let Some(run) = &mut self.life.fallback.run {
            run.main_ended = true;
        }
        if !self.life.fallback.stopping {
            self.delay_fallback(context);
        }
        self.stop_fallback(context);
    }

    /// Nothing of it is left.
    pub(crate) fn fallback_over(&mut self, context: &mut Context<'_>, how: &str) {
        let asked = std::mem::take(&mut self.life.fallback.stopping);
        self.life.fallback.run = None;
        context.timers.cancel(self.id, Timer::FallbackStop);
        context.timers.cancel(self.id, Timer::FallbackKill);
        self.record(context, RecordKind::Fallback, format!("the fallback ended: {how}"), None);
        if !asked {
            self.delay_fallback(context);
        }
        context.changed.insert(self.id);
    }

    /// It died by itself: a stand-in that dies at once must not spin, whatever the service's own delay is.
    fn delay_fallback(&mut self, context: &mut Context<'_>) {
        if !self.wants_fallback(context) {
            return;
        }
        self.life.fallback.restarts = self.life.fallback.restarts.saturating_add(1);
        let rules = &self.plan.restart.rules;
        let doublings = self.life.fallback.restarts.saturating_sub(1).min(16);
        let wait =
            rules.delay.max(FALLBACK_DELAY_MIN).saturating_mul(1 << doublings).min(rules.max.max(FALLBACK_DELAY_MIN));
        context.timers.set(self.id, Timer::FallbackRetry, context.now + wait);
    }

    /// It has not ended in time.
    pub(crate) fn kill_fallback(&mut self, context: &mut Context<'_>) {
        let Some(run) = &self.life.fallback.run else { return };
        let id = self.run_id(Role::Fallback, run);
        self.life.fallback.stopping = true;
        context.effects.push(Effect::Kill { run: id, target: SignalTarget::Tree });
        let wait = super::stop::kill_wait(self.life.fallback.kills);
        self.life.fallback.kills = self.life.fallback.kills.saturating_add(1);
        context.timers.set(self.id, Timer::FallbackKill, context.now + wait);
    }
}

/// The shortest wait before a fallback that died is started again.
const FALLBACK_DELAY_MIN: std::time::Duration = std::time::Duration::from_millis(100);
