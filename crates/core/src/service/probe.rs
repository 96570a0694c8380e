//! Probes: when they are asked, what their answers mean, and the two facts that follow: ready and healthy.

use std::time::Duration;

use menshen_plan::count::counted;
use menshen_plan::definition::{AlertKind, ProbeKind};
use menshen_plan::duration::format;
use menshen_plan::plan::ProbePlan;

use super::{BreakerState, Context, Service};
use crate::effect::{Effect, RecordKind};
use crate::state::State;
use crate::time::Instant;
use crate::timer::Timer;

/// Until the first success after a start, start-up and readiness are asked at this pace, doubled each time up to the
/// interval: what is ready after 100 ms is known to be so long before a first interval of 10 s has passed.
const FIRST_PACE: Duration = Duration::from_millis(50);

/// The three probes of one service. They are not remembered across guards: the next one asks anew.
#[derive(Debug, Default)]
pub(crate) struct Probes([Probing; 3]);

/// One probe.
#[derive(Debug, Default)]
pub(crate) struct Probing {
    /// Its answers matter now.
    active: bool,
    /// Asked and not ended.
    in_flight: Option<InFlight>,
    /// Rounds in all; the next one's number.
    rounds: u64,
    /// Rounds since it began.
    rounds_since_begin: u32,
    succeeded_since_begin: bool,
    /// The next round's time came while the last one was still running.
    overdue: bool,
    successes: u16,
    failures: u16,
    last_error: Option<String>,
    /// It could not be asked the last time.
    unasked: bool,
}

#[derive(Debug, Clone, Copy)]
struct InFlight {
    round: u64,
    started: Instant,
    /// It was given up; its end is awaited, its answer is not.
    cancelled: bool,
}

impl Probes {
    pub(crate) const fn get(&self, kind: ProbeKind) -> &Probing {
        &self.0[index(kind)]
    }

    const fn get_mut(&mut self, kind: ProbeKind) -> &mut Probing {
        &mut self.0[index(kind)]
    }

    /// What was wrong the last time, if something was.
    pub(crate) fn last_error(&self, kind: ProbeKind) -> Option<&str> {
        self.get(kind).last_error.as_deref()
    }
}

impl Probing {
    /// Failures in a row.
    pub(crate) const fn failures(&self) -> u16 {
        self.failures
    }

    /// Successes in a row.
    pub(crate) const fn successes(&self) -> u16 {
        self.successes
    }
}

const fn index(kind: ProbeKind) -> usize {
    match kind {
        ProbeKind::Startup => 0,
        ProbeKind::Liveness => 1,
        ProbeKind::Readiness => 2,
    }
}

impl Service {
    fn probe_plan(&self, kind: ProbeKind) -> Option<&ProbePlan> {
        self.plan.probes.get(kind)
    }

    /// Begins to ask. Probes the program answers by itself only wait.
    fn begin_probe(&mut self, context: &mut Context<'_>, kind: ProbeKind) {
        let Some(plan) = self.probe_plan(kind) else { return };
        let (asked, delay, window) = (plan.check.is_asked(), plan.delay, plan.window());
        let probing = self.probes.get_mut(kind);
        let Probing { in_flight, rounds, unasked, .. } = *probing;
        *probing = Probing { active: true, in_flight, rounds, unasked, ..Probing::default() };
        if asked {
            context.timers.set(self.id, Timer::Probe(kind), context.now + delay);
        } else if kind == ProbeKind::Liveness {
            let window = self.life.watchdog_period.unwrap_or(window);
            context.timers.set(self.id, Timer::Watchdog, context.now + delay.saturating_add(window));
        }
    }

    /// Begins to ask whether the program has come up, unless that is known.
    pub(super) fn begin_startup_probe(&mut self, context: &mut Context<'_>) {
        if !self.life.startup_passed {
            self.begin_probe(context, ProbeKind::Startup);
        }
    }

    /// Begins what belongs to a running program, and says whether it is ready where no probe does.
    pub(super) fn resume_probes(&mut self, context: &mut Context<'_>) {
        self.begin_probe(context, ProbeKind::Liveness);
        self.begin_probe(context, ProbeKind::Readiness);
        if self.ready_by_word() && !self.is_oneshot() {
            self.set_ready(context, true, "up");
        } else if self.ready_by_notify() {
            // Another probe may have told until now.
            self.set_ready(context, false, "it has not said READY=1");
        }
    }

    /// Ends what does not belong to a state.
    pub(super) fn suspend_probes(&mut self, context: &mut Context<'_>, to: State) {
        for kind in ProbeKind::ALL {
            let belongs = match kind {
                ProbeKind::Startup => to == State::Starting,
                ProbeKind::Liveness | ProbeKind::Readiness => to == State::Running,
            };
            if !belongs {
                self.end_probe(context, kind);
            }
        }
    }

    fn end_probe(&mut self, context: &mut Context<'_>, kind: ProbeKind) {
        self.probes.get_mut(kind).active = false;
        context.timers.cancel(self.id, Timer::Probe(kind));
        context.timers.cancel(self.id, Timer::ProbeTimeout(kind));
        self.cancel_round(context, kind);
    }

    fn cancel_round(&mut self, context: &mut Context<'_>, kind: ProbeKind) {
        let service = self.id;
        if let Some(flight) = self.probes.get_mut(kind).in_flight.as_mut().filter(|flight| !flight.cancelled) {
            flight.cancelled = true;
            context.effects.push(Effect::CancelProbe { service, probe: kind, round: flight.round });
        }
    }

    /// The probes follow a changed plan: those that are asked begin anew.
    pub(crate) fn probes_changed(&mut self, context: &mut Context<'_>) {
        for kind in ProbeKind::ALL {
            if self.probes.get(kind).active || self.probe_plan(kind).is_some() {
                self.end_probe(context, kind);
            }
        }
        context.timers.cancel(self.id, Timer::Watchdog);
        if self.plan.probes.liveness.is_none() {
            self.life.healthy = None;
        }
        match self.state() {
            State::Starting => {
                self.begin_startup_probe(context);
                self.check_up(context);
            }
            State::Running => self.resume_probes(context),
            State::Stopped
            | State::Waiting
            | State::Pausing
            | State::Paused
            | State::Continuing
            | State::Stopping
            | State::Backoff
            | State::Tripped
            | State::Completed
            | State::Failed => {}
        }
    }

    /// The time for the next round has come. A new one never starts while the last is running.
    pub(crate) fn probe_due(&mut self, context: &mut Context<'_>, kind: ProbeKind) {
        let Some(timeout) = self.probe_plan(kind).map(|plan| plan.timeout) else { return };
        let (service, now) = (self.id, context.now);
        let probing = self.probes.get_mut(kind);
        if !probing.active || probing.in_flight.is_some() {
            probing.overdue = probing.active;
            return;
        }
        probing.overdue = false;
        probing.rounds += 1;
        probing.rounds_since_begin = probing.rounds_since_begin.saturating_add(1);
        let round = probing.rounds;
        probing.in_flight = Some(InFlight { round, started: now, cancelled: false });
        context.timers.set(service, Timer::ProbeTimeout(kind), now + timeout);
        context.effects.push(Effect::Probe { service, probe: kind, round });
    }

    /// The round takes too long: it has failed, and the next one waits until it has really ended.
    pub(crate) fn probe_timed_out(&mut self, context: &mut Context<'_>, kind: ProbeKind) {
        let Some(timeout) = self.probe_plan(kind).map(|plan| plan.timeout) else { return };
        self.cancel_round(context, kind);
        self.probe_answered(context, kind, Err(format!("no answer within {}", format(timeout))));
    }

    /// A round has ended.
    pub(crate) fn probed(
        &mut self,
        context: &mut Context<'_>,
        kind: ProbeKind,
        round: u64,
        outcome: Result<(), String>,
    ) {
        let Some(flight) = self.end_round(context, kind, round) else { return };
        if self.probes.get(kind).active && !flight.cancelled {
            self.asked_again(context, kind);
            self.probe_answered(context, kind, outcome);
        }
        self.go_on_asking(context, kind, flight);
    }

    /// A round could not be asked, for a reason that says nothing of the service. There is no answer to weigh, as in Kubernetes
    /// when a prober fails: a program that works is not ended for what its guard lacks.
    pub(crate) fn not_probed(&mut self, context: &mut Context<'_>, kind: ProbeKind, round: u64, why: &str) {
        let Some(flight) = self.end_round(context, kind, round) else { return };
        let probing = self.probes.get_mut(kind);
        if probing.active && !flight.cancelled && !std::mem::replace(&mut probing.unasked, true) {
            let text = format!("its {kind} probe cannot be asked, and is passed over until it can be: {why}");
            self.record(context, RecordKind::Trouble { over: false }, text.clone(), None);
            self.alert(context, AlertKind::Trouble, text);
        }
        self.go_on_asking(context, kind, flight);
    }

    fn asked_again(&mut self, context: &mut Context<'_>, kind: ProbeKind) {
        if std::mem::take(&mut self.probes.get_mut(kind).unasked) {
            let text = format!("its {kind} probe is asked again");
            self.record(context, RecordKind::Trouble { over: true }, text.clone(), None);
            self.alert(context, AlertKind::Recovered, text);
        }
    }

    /// Ends the round that is in flight, if it is this one.
    fn end_round(&mut self, context: &mut Context<'_>, kind: ProbeKind, round: u64) -> Option<InFlight> {
        let probing = self.probes.get_mut(kind);
        let flight = probing.in_flight.take_if(|flight| flight.round == round)?;
        context.timers.cancel(self.id, Timer::ProbeTimeout(kind));
        Some(flight)
    }

    /// The answer may have ended the probe, or begun it anew; and meanwhile the definition may ask in another way.
    fn go_on_asking(&mut self, context: &mut Context<'_>, kind: ProbeKind, last: InFlight) {
        let asked = self.probe_plan(kind).is_some_and(|plan| plan.check.is_asked());
        if asked && self.probes.get(kind).active && context.timers.get(self.id, Timer::Probe(kind)).is_none() {
            self.schedule_round(context, kind, last.started);
        }
    }

    /// The next round comes one interval after the last began, or now if that has passed.
    fn schedule_round(&mut self, context: &mut Context<'_>, kind: ProbeKind, last: Instant) {
        let Some(interval) = self.probe_plan(kind).map(|plan| plan.interval) else { return };
        let probing = self.probes.get(kind);
        if probing.overdue {
            context.timers.set(self.id, Timer::Probe(kind), context.now);
            return;
        }
        let ramps = kind != ProbeKind::Liveness && !probing.succeeded_since_begin;
        let pace = if ramps {
            let doublings = probing.rounds_since_begin.saturating_sub(1).min(16);
            FIRST_PACE.saturating_mul(1 << doublings).min(interval)
        } else {
            interval
        };
        context.timers.set(self.id, Timer::Probe(kind), (last + pace).max(context.now));
    }

    /// Weighs an answer against the thresholds.
    fn probe_answered(&mut self, context: &mut Context<'_>, kind: ProbeKind, outcome: Result<(), String>) {
        let Some((needed, allowed)) = self.probe_plan(kind).map(|plan| (plan.success, plan.failure)) else { return };
        let probing = self.probes.get_mut(kind);
        match outcome {
            Ok(()) => {
                probing.successes = probing.successes.saturating_add(1);
                probing.failures = 0;
                probing.last_error = None;
                probing.succeeded_since_begin = true;
                if probing.successes >= needed {
                    self.probe_passed(context, kind);
                }
            }
            Err(error) => {
                probing.failures = probing.failures.saturating_add(1);
                probing.successes = 0;
                probing.last_error = Some(error);
                if probing.failures >= allowed {
                    self.probe_failed(context, kind);
                }
            }
        }
    }

    /// A probe counts as well: by its answers, or because the program said so.
    pub(crate) fn probe_passed(&mut self, context: &mut Context<'_>, kind: ProbeKind) {
        match kind {
            // Once is enough, even if the service has something else to show before it is up.
            ProbeKind::Startup => {
                self.life.startup_passed = true;
                self.end_probe(context, kind);
                self.check_up(context);
            }
            ProbeKind::Liveness => self.set_healthy(context, true, "answers"),
            ProbeKind::Readiness => {
                if self.state() == State::Running {
                    self.set_ready(context, true, "its readiness probe succeeded");
                }
            }
        }
    }

    fn probe_failed(&mut self, context: &mut Context<'_>, kind: ProbeKind) {
        let (failures, error) = {
            let probing = self.probes.get(kind);
            (probing.failures, probing.last_error.clone().unwrap_or_default())
        };
        match kind {
            // The start-up window decides, not the count: rounds come faster than the interval at first.
            ProbeKind::Startup => {}
            ProbeKind::Readiness => self.set_ready(context, false, &error),
            ProbeKind::Liveness => {
                self.set_healthy(context, false, &error);
                let times = counted(failures, "time", "times");
                let reason = format!("its liveness probe failed {times}: {error}");
                self.life.alerted = true;
                self.alert(context, AlertKind::Unhealthy, reason.clone());
                self.fail_running(context, reason);
            }
        }
    }

    /// A sign of life: the watchdog waits anew.
    pub(crate) fn feed_watchdog(&mut self, context: &mut Context<'_>) {
        let Some(window) =
            self.probe_plan(ProbeKind::Liveness).filter(|plan| !plan.check.is_asked()).map(ProbePlan::window)
        else {
            return;
        };
        if self.state() == State::Running {
            let window = self.life.watchdog_period.unwrap_or(window);
            context.timers.set(self.id, Timer::Watchdog, context.now + window);
            self.set_healthy(context, true, "gives signs of life");
        }
    }

    /// No sign of life for too long, or the program asked to be restarted.
    pub(crate) fn watchdog_expired(&mut self, context: &mut Context<'_>, why: &str) {
        if self.state() == State::Running {
            self.set_healthy(context, false, why);
            self.life.alerted = true;
            self.alert(context, AlertKind::Unhealthy, why);
            self.fail_running(context, why.to_owned());
        }
    }

    fn set_healthy(&mut self, context: &mut Context<'_>, healthy: bool, why: &str) {
        if self.life.healthy != Some(healthy) {
            self.life.healthy = Some(healthy);
            let kind = RecordKind::Probe { probe: ProbeKind::Liveness, passing: healthy };
            self.record(context, kind, why, None);
            context.changed.insert(self.id);
        }
    }

    pub(super) fn set_ready(&mut self, context: &mut Context<'_>, ready: bool, why: &str) {
        if self.life.ready == ready {
            return;
        }
        self.life.ready = ready;
        let kind = RecordKind::Probe { probe: ProbeKind::Readiness, passing: ready };
        self.record(context, kind, why, None);
        context.changed.insert(self.id);
        if !ready {
            context.timers.cancel(self.id, Timer::Close);
            context.timers.cancel(self.id, Timer::Forget);
            return;
        }
        if self.life.breaker.state == BreakerState::HalfOpen {
            context.timers.set(self.id, Timer::Close, context.now + self.plan.breaker.close_after);
        } else {
            self.recovered(context, "running and ready".to_owned());
        }
        self.arm_forget(context);
    }

    /// From now on, `reset_after` in Running and ready forgets the restarts.
    pub(super) fn arm_forget(&mut self, context: &mut Context<'_>) {
        if self.life.ready && self.state() == State::Running && self.life.restarts > 0 {
            context.timers.set(self.id, Timer::Forget, context.now + self.plan.restart.rules.reset_after);
        }
    }
}
