//! Starting: from the spawn until the program is up.

use std::time::Duration;

use menshen_plan::definition::{ProbeKind, ServiceType};
use menshen_plan::duration::format;
use menshen_plan::plan::ProbeCheck;

use super::{BreakerState, Context, Run, Service};
use crate::effect::Effect;
use crate::event::{Role, RunId};
use crate::memory::Found;
use crate::state::{State, Wanted};
use crate::time::Instant;
use crate::timer::Timer;
use crate::transition::Trigger;

/// So many runs that nobody noted are looked at by the breaker: it has long been open for as long as it ever is.
const UNNOTED_MAX: u32 = 1000;

impl Service {
    /// Asks for a start as soon as what the service needs is there.
    pub(crate) fn make_due(&mut self, context: &mut Context<'_>, reason: impl Into<String>) {
        self.life.due = true;
        self.life.due_reason = reason.into();
        context.changed.insert(self.id);
    }

    /// Waits for a dependency.
    pub(crate) fn wait(&mut self, context: &mut Context<'_>, blocker: String) {
        if self.state() == State::Waiting {
            self.life.reason = blocker;
        } else {
            self.enter(context, Trigger::Block, blocker);
        }
    }

    /// Spawns the program. Whatever it needs is there, and nothing of an earlier run is left.
    pub(crate) fn start(&mut self, context: &mut Context<'_>) {
        debug_assert!(self.life.main.is_none(), "{} would run twice", self.plan.name);
        self.adopt_next_plan(context);
        if self.life.breaker.state == BreakerState::Open {
            self.life.breaker.state = BreakerState::HalfOpen;
        }
        let reason = std::mem::take(&mut self.life.due_reason);
        let id = self.begin_run(context, reason);
        let plan = std::sync::Arc::clone(&self.plan);
        context.effects.push(Effect::Spawn { run: id, plan, main_pid: None });
    }

    /// A run begins: nothing that was known of the last one holds for it.
    fn begin_run(&mut self, context: &mut Context<'_>, reason: String) -> RunId {
        self.enter(context, Trigger::Start, reason);
        self.life.stopped_by_rule = false;
        self.life.delayed = false;
        self.life.said_ready = false;
        self.life.log_ready = false;
        self.life.startup_passed = false;
        self.life.start_left = None;
        self.life.watchdog_period = None;
        self.life.status_text = None;
        self.life.after = None;
        let run = self.new_run(context);
        let id = self.run_id(Role::Main, &run);
        self.life.main = Some(run);
        (self.life.definition, self.life.configuration) = (Some(self.plan.fingerprint), self.plan.configuration);
        if let Some(deadline) = self.start_deadline(context.now) {
            context.timers.set(self.id, Timer::Start, deadline);
        }
        id
    }

    /// Its program runs, or did, and nobody had noted that. Somebody must have wanted it.
    pub(crate) fn found(&mut self, context: &mut Context<'_>, found: Found) {
        let Found { pid, run: number, before } = found;
        let is_another = |run: &mut Run| match number {
            Some(number) => run.number != number,
            None => run.pid.is_some() && run.pid != pid,
        };
        // Another run than the one that was noted: that one has ended.
        let earlier = self.life.main.take_if(is_another);
        if self.life.main.is_some() {
            // The run that was noted, perhaps before anybody knew its process.
        } else if let Some(run) = earlier.filter(|_| self.state() != State::Stopping) {
            // The one that was noted has been started again, too.
            self.count_unnoted(context, before.saturating_add(1));
            let number = number.unwrap_or(run.number);
            self.life.next_run = self.life.next_run.max(number + 1);
            self.life.main = Some(Run { number, ..run });
            self.forget_definition();
        } else {
            self.count_unnoted(context, before);
            self.life.next_run = self.life.next_run.max(number.unwrap_or(0));
            if self.life.breaker.state == BreakerState::Open {
                self.life.breaker.state = BreakerState::HalfOpen;
            }
            if self.life.wanted == Wanted::Down && !self.gone {
                self.life.wanted = Wanted::Up;
                self.life.wanted_by_operator = true;
            }
            self.begin_run(context, "found by the guard that took over".to_owned());
            self.forget_definition();
        }
        if let Some(run) = &mut self.life.main {
            run.pid = pid;
            run.main_ended = false;
        }
    }

    /// Which definition what was found was started with nobody noted.
    const fn forget_definition(&mut self) {
        (self.life.definition, self.life.configuration) = (None, None);
    }

    /// So many runs ended and were followed by another. How they ended is not known; what is started again has mostly failed.
    fn count_unnoted(&mut self, context: &mut Context<'_>, restarts: u32) {
        self.life.restarts = self.life.restarts.saturating_add(restarts);
        self.life.restarts_total = self.life.restarts_total.saturating_add(restarts.into());
        // More than opens the breaker tells no more than that.
        for _ in 0..restarts.min(UNNOTED_MAX) {
            self.count_unnoted_failure(context.now);
        }
        if self.life.breaker.state == BreakerState::HalfOpen && self.life.ready {
            context.timers.set(self.id, Timer::Close, context.now + self.plan.breaker.close_after);
        }
        self.arm_forget(context);
    }

    /// The program runs.
    pub(crate) fn spawned(&mut self, context: &mut Context<'_>, pid: u32) {
        if let Some(run) = &mut self.life.main {
            run.pid = Some(pid);
        }
        match self.state() {
            State::Starting => {
                self.begin_startup_probe(context);
                self.check_up(context);
            }
            // The stop came while the program was being spawned: now there is something to ask.
            State::Stopping => self.ask_to_stop(context),
            // An earlier guard spawned it, and only now it can be frozen.
            State::Pausing => self.freeze(context),
            State::Stopped
            | State::Waiting
            | State::Running
            | State::Paused
            | State::Continuing
            | State::Backoff
            | State::Tripped
            | State::Completed
            | State::Failed => {}
        }
    }

    /// Goes on to Running when nothing is outstanding.
    pub(crate) fn check_up(&mut self, context: &mut Context<'_>) {
        let spawned = self.life.main.as_ref().is_some_and(|run| run.pid.is_some());
        if self.state() == State::Starting && spawned && self.outstanding().is_none() {
            self.up(context);
        }
    }

    /// Goes on where the last guard left off: what a guard does beside the program begins anew.
    pub(crate) fn carry_on(&mut self, context: &mut Context<'_>) {
        let run = self.main_run();
        match (self.state(), run) {
            (State::Starting, Some(_)) => {
                self.begin_startup_probe(context);
                // The definition may ask for less by now.
                self.check_up(context);
            }
            (State::Running, Some(_)) => self.resume_probes(context),
            (State::Pausing, Some(run)) => context.effects.push(Effect::Freeze { run }),
            (State::Continuing, Some(run)) => context.effects.push(Effect::Thaw { run }),
            (
                State::Stopped
                | State::Waiting
                | State::Starting
                | State::Running
                | State::Pausing
                | State::Paused
                | State::Continuing
                | State::Stopping
                | State::Backoff
                | State::Tripped
                | State::Completed
                | State::Failed,
                _,
            ) => {}
        }
    }

    /// What the service still has to show to be up.
    fn outstanding(&self) -> Option<&'static str> {
        if self.plan.kind == ServiceType::Notify && !self.life.said_ready {
            return Some("READY=1");
        }
        (self.plan.probes.startup.is_some() && !self.life.startup_passed).then_some("its start-up probe")
    }

    fn up(&mut self, context: &mut Context<'_>) {
        if !self.is_oneshot() {
            context.timers.cancel(self.id, Timer::Start);
        }
        let reason = match (self.plan.kind, &self.plan.probes.startup) {
            (ServiceType::Notify, _) => "it said READY=1",
            (ServiceType::Daemon | ServiceType::Oneshot, Some(_)) => "its start-up probe succeeded",
            (ServiceType::Daemon | ServiceType::Oneshot, None) => "started",
        };
        self.enter(context, Trigger::Up, reason);
        self.resume_probes(context);
        if self.life.wanted == Wanted::Paused {
            self.pause(context, "it is to be paused");
        }
    }

    /// When the service must be up, or, for a one-shot, done.
    fn start_deadline(&self, now: Instant) -> Option<Instant> {
        let window = self.plan.probes.startup.as_ref().map(|probe| probe.delay.saturating_add(probe.window()));
        [self.plan.start_timeout, window].into_iter().flatten().min().map(|timeout| now + timeout)
    }

    /// The time to come up, or to be done, is over.
    pub(crate) fn start_timed_out(&mut self, context: &mut Context<'_>) {
        let Some(run) = &self.life.main else { return };
        let waited = context.now.since(run.started);
        // Nobody wants to know by how many microseconds the timer was late.
        let waited = format(if waited.as_secs() > 0 {
            Duration::from_secs(waited.as_secs())
        } else {
            Duration::from_millis(u64::from(waited.subsec_millis()))
        });
        let reason = match self.outstanding() {
            Some(missing) if self.state() == State::Starting => {
                let last_error = self.probes.last_error(ProbeKind::Startup).map(|error| format!(" ({error})"));
                format!("not up after {waited}: waiting for {missing}{}", last_error.unwrap_or_default())
            }
            Some(_) | None => format!("not done after {waited}"),
        };
        self.fail_running(context, reason);
    }

    /// Whether READY=1 tells that the service can be used.
    pub(super) fn ready_by_notify(&self) -> bool {
        let readiness = self.plan.probes.readiness.as_ref().map(|probe| &probe.check);
        readiness == Some(&ProbeCheck::Notify) || (readiness.is_none() && self.plan.kind == ServiceType::Notify)
    }

    /// Whether what the program has said so far tells that it can be used; a probe that is asked tells later.
    pub(super) fn ready_by_word(&self) -> bool {
        match self.plan.probes.readiness.as_ref().map(|probe| &probe.check) {
            None if self.plan.kind == ServiceType::Notify => self.life.said_ready,
            None => true,
            Some(ProbeCheck::Notify) => self.life.said_ready,
            Some(ProbeCheck::Log(_)) => self.life.log_ready,
            Some(
                ProbeCheck::Http(_)
                | ProbeCheck::Tcp(_)
                | ProbeCheck::Exec(_)
                | ProbeCheck::Grpc { .. }
                | ProbeCheck::File { .. },
            ) => false,
        }
    }
}
