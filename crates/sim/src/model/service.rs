//! One service, as it has to be.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use menshen_core::{BreakerState, Instant, Role, RunId, START_FAILED_WAIT, State, Wanted};
use menshen_plan::definition::{Condition, FallbackUntil, ProbeKind, ServiceType, StartType};
use menshen_plan::diff::service_diff;
use menshen_plan::plan::ProbeCheck;
use menshen_plan::{Cost, ServiceName, ServicePlan};

use super::verdict::{self, Verdict};
use super::wanted_by;

/// One service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// The plan it follows.
    pub plan: Arc<ServicePlan>,
    /// The plan its program was started by, whichever guard did.
    pub(super) started_by: Option<Arc<ServicePlan>>,
    /// What runs has to be started anew to be as the plan it follows has it.
    pub(super) differs: bool,
    /// The plan of the definition as it is now.
    pub newest: Arc<ServicePlan>,
    /// What runs has to end before it can follow that.
    pub(super) replan_waits: bool,
    /// Whether it has left the definition.
    pub gone: bool,
    /// Its state.
    pub state: State,
    /// Whether it can be used.
    pub ready: bool,
    /// Since when it has been running and ready.
    pub ready_since: Option<Instant>,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// Whether an operator said so.
    pub by_operator: bool,
    /// Whether it may start from where it is, without waiting any longer.
    pub due: bool,
    /// Whether a rule left it where it is.
    pub rests: bool,
    /// Whether it waits for the others to come up.
    pub delayed: bool,
    /// What the guard knows to live.
    pub runs: BTreeMap<Role, Run>,
    /// It died in this event, and that has to be counted.
    pub died: bool,
    /// It did not even begin to live.
    pub could_not_start: bool,
    /// Where it goes when nothing of its program is left.
    pub next: Option<Next>,
    /// Deaths since the count was forgotten.
    pub restarts: u32,
    /// Deaths in all.
    pub restarts_total: u64,
    /// The breaker.
    pub breaker: BreakerState,
    /// Openings in a row.
    pub trips: u32,
    /// Deaths in the breaker's window.
    pub failures: VecDeque<Instant>,
    /// Between which instants Backoff or Tripped has to end.
    pub wait: Option<(Instant, Instant)>,
    /// By when it has to be up or done.
    pub start_deadline: Option<Instant>,
    /// What was left of that when it was paused.
    pub(super) start_left: Option<Duration>,
    /// By when it has to give a sign of life.
    pub watchdog: Option<Instant>,
    /// By when what is being stopped has to be killed.
    pub stop_deadline: Instant,
    /// When it was killed last in this stop.
    pub killed_at: Option<Instant>,
    /// When its fallback was asked to end, or killed.
    pub fallback_asked: Option<Instant>,
    /// When its fallback was killed last.
    pub fallback_killed: Option<Instant>,
    /// When its fallback died by itself.
    pub fallback_died: Option<Instant>,
    /// Its start-up probe has succeeded in this run.
    pub startup_shown: bool,
    /// It said READY=1, and not that this is over.
    pub said_ready: bool,
    /// The line readiness waits for has come.
    pub log_ready: bool,
    /// What the program set its watchdog's time to.
    pub(super) watchdog_period: Option<Duration>,
    /// Its probes, by kind.
    pub probes: BTreeMap<ProbeKind, Probe>,
    /// When its plan changed last.
    pub replanned_at: Instant,
    /// The definition changed while no guard was there: its timers may be those of the old one until the next start.
    pub timers_are_old: bool,
}

/// A program the guard knows to live.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The how manieth start.
    pub number: u64,
    /// Whether there is a process yet.
    pub spawned: bool,
    /// Whether only what it left behind lives.
    pub ended: bool,
}

/// A probe.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    /// The round in flight, by when it must have ended, and whether it was cancelled.
    pub round: Option<(u64, Instant, bool)>,
    /// Successes in a row.
    pub successes: u16,
    /// Failures in a row.
    pub failures: u16,
}

/// Where a service goes when nothing of its program is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Where it is wanted.
    Wanted,
    /// Stopped, by a rule.
    Stop,
    /// Failed.
    Fail,
    /// Completed.
    Complete,
    /// Backoff, until some instant between these.
    Retry(Instant, Instant),
    /// Tripped, until this instant.
    Trip(Instant),
}

impl Run {
    pub(super) const fn new(number: u64) -> Self {
        Self { number, spawned: false, ended: false }
    }
}

impl Service {
    pub(super) fn new(now: Instant, plan: &Arc<ServicePlan>) -> Self {
        Self {
            name: plan.name.clone(),
            plan: Arc::clone(plan),
            started_by: None,
            differs: false,
            newest: Arc::clone(plan),
            replan_waits: false,
            gone: false,
            state: State::Stopped,
            ready: false,
            ready_since: None,
            wanted: wanted_by(plan),
            by_operator: false,
            due: false,
            rests: false,
            delayed: plan.start == StartType::Delayed,
            runs: BTreeMap::new(),
            died: false,
            could_not_start: false,
            next: None,
            restarts: 0,
            restarts_total: 0,
            breaker: BreakerState::Closed,
            trips: 0,
            failures: VecDeque::new(),
            wait: None,
            start_deadline: None,
            start_left: None,
            watchdog: None,
            stop_deadline: now,
            killed_at: None,
            fallback_asked: None,
            fallback_killed: None,
            fallback_died: None,
            startup_shown: false,
            said_ready: false,
            log_ready: false,
            watchdog_period: None,
            probes: BTreeMap::new(),
            replanned_at: now,
            timers_are_old: false,
        }
    }

    /// Whether the guard knows of anything of it that lives.
    #[must_use]
    pub fn has_runs(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Whether nothing stands in for it where it is, or where it is going.
    #[must_use]
    pub fn comes_to_rest(&self) -> bool {
        self.state.is_at_rest() || matches!(self.next, Some(Next::Stop | Next::Fail | Next::Complete))
    }

    /// Whether its fallback, which still lives, would be in its way.
    #[must_use]
    pub fn waits_for_fallback(&self) -> bool {
        let until = self.plan.breaker.fallback.as_ref().map(|fallback| fallback.until);
        until == Some(FallbackUntil::Trial) && self.runs.contains_key(&Role::Fallback)
    }

    /// Whether the program, or a stop command of it, lives as far as the guard knows.
    #[must_use]
    pub fn has_own_runs(&self) -> bool {
        self.runs.contains_key(&Role::Main) || self.runs.contains_key(&Role::Stop)
    }

    /// Whether this is a run the guard knows to live.
    #[must_use]
    pub fn is_current(&self, run: RunId) -> bool {
        self.runs.get(&run.role).is_some_and(|current| current.number == run.number)
    }

    /// Whether it is in a condition another service waits for.
    #[must_use]
    pub fn holds(&self, condition: Condition) -> bool {
        let completed = self.state == State::Completed;
        match condition {
            Condition::Started => completed || self.state.is_up(),
            Condition::Ready => completed || self.ready,
            Condition::Completed => completed,
        }
    }

    pub(super) fn may_be_started(&self) -> bool {
        self.plan_now().start != StartType::Disabled && !self.gone
    }

    /// The plan it follows once the event at hand is over: the newest, unless that costs what runs a restart.
    pub(super) fn plan_now(&self) -> &ServicePlan {
        if self.replan_waits { &self.plan } else { &self.newest }
    }

    /// Whether what runs has to be started anew to be as a plan has it.
    pub(super) fn was_started_otherwise_than(&self, plan: &Arc<ServicePlan>) -> bool {
        let costs_restart = |old: &Arc<ServicePlan>| {
            let change = if Arc::ptr_eq(old, plan) { None } else { service_diff(old, plan) };
            change.is_some_and(|change| change.cost >= Cost::Restart)
        };
        self.started_by.as_ref().is_some_and(costs_restart)
    }

    /// Whether it runs as it was defined earlier, and nothing is under way that would change that.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        let runs = self.runs.get(&Role::Main).is_some_and(|run| run.spawned && !run.ended);
        let stays = !self.gone && self.state != State::Stopping;
        stays && runs && !self.replan_waits && self.differs
    }

    /// Whether it is one that waits for the others.
    #[must_use]
    pub fn is_delayed(&self) -> bool {
        self.delayed && self.plan.start == StartType::Delayed && self.wanted != Wanted::Down
    }

    /// Whether each run of it is a wish of its own.
    pub(super) fn is_run_by_hand(&self) -> bool {
        self.is_oneshot() && self.plan.start == StartType::Manual
    }

    pub(super) fn is_oneshot(&self) -> bool {
        self.plan.kind == ServiceType::Oneshot
    }

    /// It may start, wherever it is, unless it runs.
    pub(super) fn become_due(&mut self) {
        if self.state.is_at_rest() || matches!(self.state, State::Backoff | State::Tripped) {
            self.due = true;
        }
        if self.state.is_at_rest() {
            self.rests = false;
        }
    }

    // Deaths.

    pub(super) fn dies(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Failure => self.died = true,
            Verdict::Rest(next) => self.next = Some(next),
        }
    }

    /// A death is counted: it is waited out, or opens the breaker.
    pub(super) fn count(&mut self, now: Instant) {
        self.died = false;
        let could_not_start = std::mem::take(&mut self.could_not_start);
        self.restarts += 1;
        self.restarts_total += 1;
        let breaker = &self.plan.breaker;
        let mut opens = false;
        if breaker.failures > 0 {
            self.failures.push_back(now);
            self.failures.retain(|at| now.since(*at) <= breaker.within);
            opens = self.failures.len() >= usize::from(breaker.failures) || self.breaker != BreakerState::Closed;
        }
        if !opens {
            let (shortest, longest) = verdict::back_off(&self.plan, self.restarts);
            let at_least =
                if could_not_start { START_FAILED_WAIT.min(self.plan.restart.rules.max) } else { Duration::ZERO };
            self.next = Some(Next::Retry(now + shortest.max(at_least), now + longest.max(at_least)));
            return;
        }
        self.trips += 1;
        self.failures.clear();
        if breaker.give_up_after > 0 && self.trips >= breaker.give_up_after {
            self.next = Some(Next::Fail);
            return;
        }
        self.breaker = BreakerState::Open;
        self.next = Some(Next::Trip(now + verdict::open_for(&self.plan, self.trips)));
    }

    pub(super) fn close_breaker(&mut self) {
        self.breaker = BreakerState::Closed;
        self.trips = 0;
        self.failures.clear();
    }

    // What it says and shows.

    /// Whether there is evidence that it can be used.
    #[must_use]
    pub fn shows_ready(&self) -> bool {
        let successes = self.probes.get(&ProbeKind::Readiness).map_or(0, |probe| probe.successes);
        match self.plan.probes.readiness.as_ref().map(|plan| (&plan.check, plan.success)) {
            None => self.plan.kind != ServiceType::Notify || self.said_ready,
            Some((ProbeCheck::Notify, _)) => self.said_ready,
            Some((ProbeCheck::Log(_), _)) => self.log_ready,
            Some((_, needed)) => successes >= needed,
        }
    }

    /// Whether there is evidence that it cannot.
    #[must_use]
    pub fn shows_unready(&self) -> bool {
        let failures = self.probes.get(&ProbeKind::Readiness).map_or(0, |probe| probe.failures);
        match self.plan.probes.readiness.as_ref() {
            None => self.plan.kind == ServiceType::Notify && !self.said_ready,
            Some(plan) if plan.check == ProbeCheck::Notify => !self.said_ready,
            Some(plan) => plan.check.is_asked() && failures >= plan.failure,
        }
    }

    /// The probes that belong to a running program begin.
    pub(super) fn begin_probes(&mut self, now: Instant) {
        for kind in [ProbeKind::Liveness, ProbeKind::Readiness] {
            self.begin_probe(kind);
        }
        let told = self.plan.probes.liveness.as_ref().filter(|plan| !plan.check.is_asked());
        self.watchdog = told.map(|plan| now + plan.delay + self.watchdog_period.unwrap_or(plan.window()));
    }

    /// The answers so far count no more.
    pub(super) fn begin_probe(&mut self, kind: ProbeKind) {
        let probe = self.probes.entry(kind).or_default();
        *probe = Probe { round: probe.round, ..Probe::default() };
    }

    pub(super) fn set_ready(&mut self, now: Instant, ready: bool) {
        self.ready = ready;
        self.ready_since = ready.then_some(self.ready_since.unwrap_or(now));
    }

    /// Whether it has shown that it is up.
    #[must_use]
    pub fn shows_up(&self) -> bool {
        let said = self.plan.kind != ServiceType::Notify || self.said_ready;
        let passed = self.plan.probes.startup.is_none() || self.startup_shown;
        said && passed && self.runs.get(&Role::Main).is_some_and(|run| run.spawned)
    }

    /// A sign of life.
    pub(super) fn feed_watchdog(&mut self, now: Instant) {
        let window = self.plan.probes.liveness.as_ref().map(|plan| self.watchdog_period.unwrap_or(plan.window()));
        if self.state == State::Running && self.watchdog.is_some() {
            self.watchdog = window.map(|window| now + window);
        }
    }

    /// Follows a plan from now on.
    pub(super) fn follow(&mut self, now: Instant, plan: &Arc<ServicePlan>) {
        let probes_change = self.plan.probes != plan.probes || self.plan.kind != plan.kind;
        self.differs = self.was_started_otherwise_than(plan);
        self.plan = Arc::clone(plan);
        self.replan_waits = false;
        self.replanned_at = now;
        if probes_change && self.state == State::Running {
            self.begin_probes(now);
        } else if probes_change && self.state == State::Starting {
            self.begin_probe(ProbeKind::Startup);
        }
    }
}
