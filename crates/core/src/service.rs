//! One service's life. The dependencies between services are `machine`'s business; everything here is about one.
//!
//! Every file is one part of that life, written as methods of [`Service`]. They change the state only through
//! [`Service::enter`], which asks the table in `transition`.

mod backoff;
mod breaker;
mod command;
mod end;
mod fallback;
mod notify;
mod pause;
mod probe;
mod start;
mod stop;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use menshen_plan::definition::{ServiceType, StartType};
use menshen_plan::{Fingerprint, ServicePlan};
use serde::{Deserialize, Serialize};

pub(crate) use breaker::Breaker;
pub use breaker::BreakerState;
pub use end::START_FAILED_WAIT;
pub(crate) use end::{After, WITH_GUARD};
pub(crate) use fallback::Fallback;
pub(crate) use probe::Probes;

use crate::effect::{Alert, Effect, Record, RecordKind};
use crate::event::{Exit, Role, RunId, ServiceId};
use crate::state::{State, Wanted};
use crate::time::Instant;
use crate::timer::{Timer, Timers};
use crate::transition::{self, Trigger};

/// What a service's methods work with besides the service itself.
pub(crate) struct Context<'a> {
    pub now: Instant,
    pub effects: &'a mut Vec<Effect>,
    pub timers: &'a mut Timers,
    pub random: &'a mut fastrand::Rng,
    /// The guard is stopping everything: nothing may be started.
    pub shutting_down: bool,
    /// Services whose state or facts changed, so that others may have to act.
    pub changed: &'a mut BTreeSet<ServiceId>,
    /// The service follows a plan that may name other dependencies.
    pub replanned: bool,
}

/// One service.
pub(crate) struct Service {
    pub id: ServiceId,
    pub plan: Arc<ServicePlan>,
    /// The plan to follow once the program that runs by the old one has ended.
    pub next_plan: Option<Arc<ServicePlan>>,
    /// It is no longer in the definition.
    pub gone: bool,
    pub life: Life,
    pub probes: Probes,
}

/// What a service remembers; all of it survives a change of guards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Life {
    pub state: State,
    /// When the state was entered.
    pub since: Instant,
    /// Why.
    pub reason: String,
    pub wanted: Wanted,
    /// Whether an operator said so, rather than the start type.
    pub wanted_by_operator: bool,
    /// It waits for the other services to come up first (`start = "delayed"`).
    pub delayed: bool,
    /// It is to be started as soon as what it needs is there.
    pub due: bool,
    /// Why it will be started, for people.
    pub due_reason: String,
    /// A rule (not an operator, not the guard's shutdown) left it stopped.
    pub stopped_by_rule: bool,
    /// The stop waits until the services that depend on this one have ended.
    pub stop_held: bool,
    /// What comes after the stop that is under way.
    pub after: Option<After>,
    /// How often the tree has been killed in the stop that is under way.
    pub kills: u32,
    /// The number of the next run.
    pub next_run: u64,
    pub main: Option<Run>,
    /// What the program was started with last; `None` if nobody noted that.
    pub definition: Option<Fingerprint>,
    /// What its configuration files were then, or when it was told to read them again; `None` if there are none, or nobody noted
    /// that.
    pub configuration: Option<Fingerprint>,
    pub stopper: Option<Run>,
    pub fallback: Fallback,
    /// Deaths since the count was forgotten.
    pub restarts: u32,
    /// Deaths in all.
    pub restarts_total: u64,
    pub breaker: Breaker,
    /// Deaths within the breaker's window.
    pub failures: VecDeque<Instant>,
    pub ready: bool,
    /// `None` without a liveness probe, or before its first result.
    pub healthy: Option<bool>,
    /// The program said READY=1, and has not since said RELOADING=1 or STOPPING=1.
    pub said_ready: bool,
    /// The line the readiness probe waits for has come in this run.
    pub log_ready: bool,
    /// The start-up probe succeeded in this run.
    pub startup_passed: bool,
    /// What a one-shot that is paused has left of its time.
    pub start_left: Option<Duration>,
    /// The time the program set its watchdog to (`WATCHDOG_USEC=`), instead of the definition's.
    pub watchdog_period: Option<Duration>,
    pub status_text: Option<String>,
    pub last_exit: Option<Exit>,
    pub last_failure: Option<String>,
    /// People were told that something is wrong and not yet that it is over.
    pub alerted: bool,
}

/// One start of a program, from the spawn until its tree is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub number: u64,
    pub pid: Option<u32>,
    pub started: Instant,
    /// The main process has ended; others of its tree have not.
    pub main_ended: bool,
}

impl Life {
    fn new(now: Instant, start: StartType) -> Self {
        Self {
            state: State::Stopped,
            since: now,
            reason: "not started yet".to_owned(),
            wanted: default_wanted(start),
            wanted_by_operator: false,
            delayed: start == StartType::Delayed,
            due: false,
            due_reason: String::new(),
            stopped_by_rule: false,
            stop_held: false,
            after: None,
            kills: 0,
            next_run: 1,
            main: None,
            definition: None,
            configuration: None,
            stopper: None,
            fallback: Fallback::default(),
            restarts: 0,
            restarts_total: 0,
            breaker: Breaker::default(),
            failures: VecDeque::new(),
            ready: false,
            healthy: None,
            said_ready: false,
            log_ready: false,
            startup_passed: false,
            start_left: None,
            watchdog_period: None,
            status_text: None,
            last_exit: None,
            last_failure: None,
            alerted: false,
        }
    }
}

impl Service {
    /// A service that has not run yet.
    pub(crate) fn new(id: ServiceId, plan: Arc<ServicePlan>, now: Instant) -> Self {
        let life = Life::new(now, plan.start);
        Self { id, plan, next_plan: None, gone: false, life, probes: Probes::default() }
    }

    pub(crate) const fn state(&self) -> State {
        self.life.state
    }

    pub(crate) fn is_oneshot(&self) -> bool {
        self.plan.kind == ServiceType::Oneshot
    }

    /// Whether each run of it is asked for by itself.
    pub(crate) fn is_run_by_hand(&self) -> bool {
        self.is_oneshot() && self.plan.start == StartType::Manual
    }

    /// Whether who waits for it to be ready may go on.
    pub(crate) fn is_ready(&self) -> bool {
        self.life.ready || self.state() == State::Completed
    }

    /// Whether any process of the service lives, its fallback included.
    pub(crate) const fn has_processes(&self) -> bool {
        self.life.main.is_some() || self.life.stopper.is_some() || self.life.fallback.run.is_some()
    }

    /// Whether the service is to end: an operator, the definition or the guard's shutdown wants it so.
    pub(crate) fn is_going_down(&self, context: &Context<'_>) -> bool {
        context.shutting_down || self.gone || self.life.wanted == Wanted::Down
    }

    pub(crate) const fn run_id(&self, role: Role, run: &Run) -> RunId {
        RunId { service: self.id, role, number: run.number }
    }

    /// The run in a role, if there is one.
    pub(crate) const fn run(&self, role: Role) -> Option<&Run> {
        match role {
            Role::Main => self.life.main.as_ref(),
            Role::Stop => self.life.stopper.as_ref(),
            Role::Fallback => self.life.fallback.run.as_ref(),
        }
    }

    /// Whether the main process is there, to be asked something.
    pub(crate) fn main_lives(&self) -> bool {
        self.life.main.as_ref().is_some_and(|run| run.pid.is_some() && !run.main_ended)
    }

    /// What its program was started with, if that is known and is not what the plan has that it follows: the definition was changed
    /// while no guard was there. Nothing where the next start follows the plan anyway, and is not waited for.
    pub(crate) fn earlier_definition(&self) -> Option<Fingerprint> {
        let matters = if matches!(self.state(), State::Backoff | State::Tripped) {
            !self.life.due
        } else {
            self.life.main.is_some() && self.state() != State::Stopping
        };
        let definition = self.life.definition.filter(|_| matters && self.next_plan.is_none());
        definition.filter(|definition| *definition != self.plan.fingerprint)
    }

    /// The same of its configuration files.
    pub(crate) fn earlier_configuration(&self) -> Option<Fingerprint> {
        let matters = self.life.main.is_some() && self.next_plan.is_none();
        let configuration = self.life.configuration.filter(|_| matters);
        configuration.filter(|configuration| Some(*configuration) != self.plan.configuration)
    }

    /// Whether it runs as it was defined earlier, and nothing is under way that would change that.
    pub(crate) fn is_outdated(&self) -> bool {
        !self.gone && self.main_lives() && self.earlier_definition().is_some()
    }

    /// The main run's identity.
    pub(crate) fn main_run(&self) -> Option<RunId> {
        self.life.main.as_ref().map(|run| self.run_id(Role::Main, run))
    }

    /// Changes the state. What belongs to the old one (timers, probes, facts) ends here.
    fn enter(&mut self, context: &mut Context<'_>, trigger: Trigger, reason: impl Into<String>) {
        let from = self.life.state;
        let Some(to) = transition::next(from, trigger) else {
            debug_assert!(false, "{}: {trigger:?} leads nowhere from {from:?}", self.plan.name);
            return;
        };
        self.life.state = to;
        self.life.since = context.now;
        self.life.reason = reason.into();
        if to.is_at_rest() || to == State::Starting {
            self.life.due = false;
        }
        // A stop that waited has begun, or something else came first.
        self.life.stop_held &= to.is_up();
        self.end_what_belongs_elsewhere(context, to);
        let pid = self.life.main.as_ref().and_then(|run| run.pid);
        let kind = RecordKind::Transition { from, to, pid };
        self.record(context, kind, self.life.reason.clone(), None);
        context.changed.insert(self.id);
    }

    fn end_what_belongs_elsewhere(&mut self, context: &mut Context<'_>, to: State) {
        let lost: Vec<Timer> =
            context.timers.of(self.id).map(|(timer, _)| timer).filter(|timer| !belongs(*timer, to)).collect();
        for timer in lost {
            context.timers.cancel(self.id, timer);
        }
        self.suspend_probes(context, to);
        if to != State::Running {
            self.life.ready = false;
        }
        if !to.is_up() {
            self.life.healthy = None;
        }
    }

    fn record(&self, context: &mut Context<'_>, kind: RecordKind, reason: impl Into<String>, by: Option<String>) {
        let service = Some(self.plan.name.clone());
        context.effects.push(Effect::Record(Record { service, kind, reason: reason.into(), by }));
    }

    fn alert(&self, context: &mut Context<'_>, kind: menshen_plan::definition::AlertKind, text: impl Into<String>) {
        let service = Some(self.plan.name.clone());
        context.effects.push(Effect::Alert(Alert { kind, service, text: text.into() }));
    }

    /// The identity and the record of a new run.
    fn new_run(&mut self, context: &Context<'_>) -> Run {
        let number = self.life.next_run;
        self.life.next_run += 1;
        Run { number, pid: None, started: context.now, main_ended: false }
    }

    /// Follows the new plan, if there is one waiting. Nothing may run by the old one.
    pub(crate) fn adopt_next_plan(&mut self, context: &mut Context<'_>) {
        if let Some(plan) = self.next_plan.take() {
            self.plan = Arc::clone(&plan);
            context.replanned = true;
            context.effects.push(Effect::Replanned { service: self.id, plan });
        }
    }
}

/// What is wanted of a service nobody has asked for.
pub(crate) const fn default_wanted(start: StartType) -> Wanted {
    match start {
        StartType::Auto | StartType::Delayed => Wanted::Up,
        StartType::Manual | StartType::Disabled => Wanted::Down,
    }
}

/// Whether a timer still means something in a state.
const fn belongs(timer: Timer, state: State) -> bool {
    match timer {
        Timer::Start => matches!(state, State::Starting | State::Running),
        Timer::Stop | Timer::Kill => matches!(state, State::Stopping),
        Timer::Retry => matches!(state, State::Backoff),
        Timer::Trial => matches!(state, State::Tripped),
        Timer::Close | Timer::Forget | Timer::Watchdog => matches!(state, State::Running),
        Timer::Pause => matches!(state, State::Pausing | State::Continuing),
        // The fallback and a probe that is being cancelled have lives of their own.
        Timer::FallbackRetry | Timer::FallbackStop | Timer::FallbackKill => true,
        Timer::Probe(_) | Timer::ProbeTimeout(_) => true,
    }
}
