//! The model follows what the core is given and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use menshen_core::{
    BreakerState, Command, Effect, Event, Exit, Instant, Notification, Record, RecordKind, Role, RunId, ServiceId,
    State, Tree, Wanted,
};
use menshen_plan::definition::{AlertKind, ProbeKind, ServiceType, StartType};
use menshen_plan::plan::ProbeCheck;
use menshen_plan::{Cost, Plan, ServicePlan, diff};

use super::service::{Next, Run, Service};
use super::{DELAY, Model, verdict, wanted_by};

/// One `EXTEND_TIMEOUT_USEC` gives at most this much.
const EXTENSION_MAX: Duration = Duration::from_secs(3600);

/// What the answer of a round is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Counts,
    IsAwaitedNoMore,
}

impl Model {
    /// An event is about to be given to the core.
    pub fn event(&mut self, now: Instant, event: &Event) {
        match event {
            Event::Begin => self.begin(now),
            Event::Timeout => self.time_passes(now),
            Event::Spawned { run, .. } => {
                if let Some(run) = self.service_of(*run).and_then(|service| service.runs.get_mut(&run.role)) {
                    run.spawned = true;
                }
            }
            Event::SpawnFailed { run, .. } => self.spawn_failed(now, *run),
            Event::Exited { run, exit, oom, tree } => self.exited(now, *run, (*exit, *oom, *tree)),
            Event::TreeEmpty { run } => {
                if let Some(service) = self.service_of(*run) {
                    service.tree_is_empty(run.role);
                }
            }
            Event::Probed { service, probe, round, outcome } => self.probed(*service, *probe, *round, outcome.is_ok()),
            Event::NotProbed { service, probe, round, .. } => drop(self.round_ends(*service, *probe, *round)),
            Event::LogMatched { run, probe } => self.log_matched(now, *run, *probe),
            Event::Notified { run, notification } => self.notified(now, *run, notification),
            Event::LimitExceeded { run, .. } => self.limit_exceeded(*run),
            Event::Reload { plan, .. } => self.reload(plan),
            Event::Shutdown { hurry, .. } => self.shut_down(*hurry),
            Event::Command { .. }
            | Event::MainChanged { .. }
            | Event::Frozen { .. }
            | Event::Adopted { .. }
            | Event::FreezeFailed { .. }
            | Event::Thawed { .. }
            | Event::Unkillable { .. }
            | Event::Trouble { .. }
            | Event::TroubleOver { .. } => {}
        }
    }

    /// An effect of the event has come out of the core.
    pub fn effect(&mut self, now: Instant, event: &Event, effect: &Effect) {
        match effect {
            Effect::Spawn { run, plan, .. } => self.spawns(*run, plan),
            Effect::Signal { run, .. } if run.role == Role::Fallback => self.fallback_ends(now, *run, false),
            Effect::Kill { run, .. } => self.kills(now, *run),
            Effect::Probe { service, probe, round } => self.asks(now, *service, *probe, *round),
            Effect::CancelProbe { service, probe, .. } => self.cancels(now, event, *service, *probe),
            Effect::Replanned { service, plan } => {
                if let Some(known) = self.services.get_mut(service) {
                    known.follow(now, plan);
                } else {
                    let mut new = Service::new(now, plan);
                    new.delayed = false;
                    self.services.insert(*service, new);
                    self.start_what_is_new();
                }
            }
            Effect::Removed { service } => {
                self.services.remove(service);
            }
            Effect::Record(record) => self.record(now, event, record),
            Effect::Alert(alert) if alert.kind == AlertKind::Restarting => {
                let id = alert.service.as_ref().and_then(|name| self.id(name));
                if let Some(service) = id.and_then(|id| self.services.get_mut(&id)) {
                    service.count(now);
                }
            }
            Effect::Signal { .. }
            | Effect::Remember { .. }
            | Effect::Freeze { .. }
            | Effect::Thaw { .. }
            | Effect::DropFds { .. }
            | Effect::Alert(_)
            | Effect::Reply(_)
            | Effect::ShutdownComplete { .. } => {}
        }
    }

    // Events.

    fn begin(&mut self, now: Instant) {
        self.delayed_until = self.services.values().any(Service::is_delayed).then_some(now + DELAY);
        let ids: Vec<ServiceId> = self.services.keys().copied().collect();
        for id in ids {
            match self.services.get_mut(&id) {
                Some(service) if service.gone => service.leave(),
                Some(service) if service.state == State::Running => service.begin_probes(now),
                Some(service) if service.state == State::Starting => service.begin_probe(ProbeKind::Startup),
                Some(_) => self.start_by_itself(id),
                None => {}
            }
        }
    }

    fn time_passes(&mut self, now: Instant) {
        if self.delayed_until.is_some_and(|until| until <= now) {
            self.let_delayed_go();
        }
        let is_past = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let overdue: Vec<ServiceId> = self
            .services
            .iter()
            .filter(|(_, service)| match service.state {
                State::Starting => is_past(service.start_deadline),
                State::Running => is_past(service.watchdog) || is_past(service.start_deadline),
                State::Stopped
                | State::Waiting
                | State::Pausing
                | State::Paused
                | State::Continuing
                | State::Stopping
                | State::Backoff
                | State::Tripped
                | State::Completed
                | State::Failed => false,
            })
            .map(|(id, _)| *id)
            .collect();
        overdue.into_iter().for_each(|id| self.fails(id));
    }

    fn spawn_failed(&mut self, now: Instant, run: RunId) {
        let Some(service) = self.service_of(run) else { return };
        service.runs.remove(&run.role);
        match run.role {
            Role::Main if service.state != State::Stopping => {
                service.could_not_start = true;
                self.fails(run.service);
            }
            Role::Fallback => service.fallback_dies(now),
            Role::Main | Role::Stop => {}
        }
    }

    fn exited(&mut self, now: Instant, run: RunId, (exit, oom, tree): (Exit, bool, Tree)) {
        let ending = self.services.get(&run.service).is_some_and(|service| self.is_going_down(service));
        let Some(service) = self.service_of(run) else { return };
        if run.role == Role::Main && service.state != State::Stopping {
            if ending {
                service.next = Some(Next::Wanted);
            } else {
                service.dies(verdict::of_exit(&service.plan, exit, oom));
            }
        }
        if run.role == Role::Fallback && service.runs.get(&Role::Fallback).is_some_and(|run| !run.ended) {
            service.fallback_dies(now);
        }
        let rest_may_live = run.role == Role::Main && !service.plan.stop.tree;
        if tree == Tree::Empty || rest_may_live {
            service.runs.remove(&run.role);
        } else if let Some(run) = service.runs.get_mut(&run.role) {
            run.ended = true;
        }
    }

    fn probed(&mut self, id: ServiceId, kind: ProbeKind, round: u64, well: bool) {
        if self.round_ends(id, kind, round) == Some(Answer::Counts) {
            self.weigh(id, kind, well);
        }
    }

    /// A round that is in flight ends.
    fn round_ends(&mut self, id: ServiceId, kind: ProbeKind, round: u64) -> Option<Answer> {
        let probe = self.services.get_mut(&id)?.probes.entry(kind).or_default();
        let (_, _, cancelled) = probe.round.take_if(|(number, ..)| *number == round)?;
        Some(if cancelled { Answer::IsAwaitedNoMore } else { Answer::Counts })
    }

    /// An answer, or none in time.
    fn weigh(&mut self, id: ServiceId, kind: ProbeKind, well: bool) {
        let Some(service) = self.services.get_mut(&id) else { return };
        let asks = if kind == ProbeKind::Startup { State::Starting } else { State::Running };
        let Some(allowed) = service.plan.probes.get(kind).map(|plan| plan.failure) else { return };
        if service.state != asks {
            return;
        }
        let probe = service.probes.entry(kind).or_default();
        probe.successes = if well { probe.successes.saturating_add(1) } else { 0 };
        probe.failures = if well { 0 } else { probe.failures.saturating_add(1) };
        let failed = probe.failures >= allowed;
        service.startup_shown |= kind == ProbeKind::Startup && well;
        // What ends already does not die of it again.
        let ends = service.next.is_some() || service.died;
        if kind == ProbeKind::Liveness && failed && !ends {
            self.fails(id);
        }
    }

    fn log_matched(&mut self, now: Instant, run: RunId, kind: ProbeKind) {
        let Some(service) = self.service_of(run) else { return };
        if !service.plan.probes.get(kind).is_some_and(|plan| matches!(plan.check, ProbeCheck::Log(_))) {
            return;
        }
        match kind {
            ProbeKind::Startup => service.startup_shown |= service.state == State::Starting,
            ProbeKind::Readiness => service.log_ready = true,
            ProbeKind::Liveness => service.feed_watchdog(now),
        }
    }

    fn notified(&mut self, now: Instant, run: RunId, notification: &Notification) {
        let Some(service) = self.service_of(run) else { return };
        let by_notify = service.plan.probes.liveness.as_ref().is_some_and(|plan| plan.check == ProbeCheck::Notify);
        match notification {
            Notification::Ready => service.says_ready(),
            Notification::Reloading | Notification::Stopping => service.said_ready = false,
            Notification::Status(_) => {}
            Notification::Watchdog if by_notify => service.feed_watchdog(now),
            Notification::Watchdog => {}
            Notification::WatchdogTrigger if service.state == State::Running => self.fails(run.service),
            Notification::WatchdogTrigger => {}
            Notification::WatchdogPeriod(period) if by_notify && !period.is_zero() => {
                service.watchdog_period = Some(*period);
                service.feed_watchdog(now);
            }
            Notification::WatchdogPeriod(_) => {}
            Notification::ExtendTimeout(by) => service.extend(now + (*by).min(EXTENSION_MAX)),
        }
    }

    fn limit_exceeded(&mut self, run: RunId) {
        let ending = self.services.get(&run.service).is_some_and(|service| self.is_going_down(service));
        let Some(service) = self.service_of(run) else { return };
        if service.state != State::Starting && !service.state.is_up() {
            return;
        }
        if ending {
            service.next = Some(Next::Wanted);
        } else {
            service.dies(verdict::of_limit(&service.plan));
        }
    }

    fn reload(&mut self, plan: &Arc<Plan>) {
        let changes = diff(&self.plan, plan).services;
        let costs_restart = |service: &Service, newest: &Arc<ServicePlan>| {
            let cost = changes.iter().find(|change| change.name == service.name).map(|change| change.cost);
            // What comes back was stopped because it had left.
            // What is being stopped follows the plans alone.
            let costs_it_anyway =
                cost == Some(Cost::New) || (cost == Some(Cost::Restart) && service.state == State::Stopping);
            let waits = matches!(service.state, State::Backoff | State::Tripped);
            let matters = waits || (service.runs.contains_key(&Role::Main) && service.state != State::Stopping);
            costs_it_anyway || (matters && service.was_started_otherwise_than(newest))
        };
        self.plan = Arc::clone(plan);
        let mut newly_wanted = Vec::new();
        for (id, service) in &mut self.services {
            let Some(newest) = plan.services.get(&service.name) else {
                service.leave();
                continue;
            };
            if std::mem::take(&mut service.gone) {
                service.come_back(newest);
            }
            let costs_restart = costs_restart(service, newest);
            if *service.plan == **newest && !costs_restart {
                service.newest = Arc::clone(&service.plan);
                service.replan_waits = false;
                continue;
            }
            service.newest = Arc::clone(newest);
            service.replan_waits = service.runs.contains_key(&Role::Main) && (service.replan_waits || costs_restart);
            if !service.by_operator && service.plan.start != newest.start && service.wanted == Wanted::Down {
                service.wanted = wanted_by(newest);
                newly_wanted.extend((service.wanted != Wanted::Down).then_some(*id));
            }
            // What was wanted and could not be started can be now.
            if service.plan.start == StartType::Disabled && newest.start != StartType::Disabled {
                newly_wanted.extend((service.wanted != Wanted::Down).then_some(*id));
            }
            // The change may be the mend.
            if matches!(service.state, State::Backoff | State::Tripped) {
                service.become_due();
            }
        }
        newly_wanted.into_iter().for_each(|id| self.start_by_itself(id));
    }

    /// The guard is to end.
    pub(crate) fn shut_down(&mut self, hurry: bool) {
        self.shutting_down = true;
        self.hurried |= hurry;
        self.delayed_until = None;
        for service in self.services.values_mut() {
            service.due = false;
            if service.state == State::Stopping {
                service.next = service.next.or(Some(Next::Wanted));
            }
        }
    }

    // Effects.

    /// New services are started when all of them are known, since one may need another.
    fn start_what_is_new(&mut self) {
        let new: Vec<ServiceId> =
            self.services.iter().filter(|(_, service)| service.is_fresh()).map(|(id, _)| *id).collect();
        if !self.shutting_down {
            new.into_iter().for_each(|id| self.start_by_itself(id));
        }
    }

    fn spawns(&mut self, run: RunId, plan: &Arc<ServicePlan>) {
        let Some(service) = self.services.get_mut(&run.service) else { return };
        if run.role == Role::Main {
            service.started_by = Some(Arc::clone(plan));
            service.could_not_start = false;
            service.differs = false;
        }
        service.runs.insert(run.role, Run::new(run.number));
        if run.role == Role::Fallback {
            service.fallback_asked = None;
            service.fallback_killed = None;
            service.fallback_died = None;
        }
    }

    fn kills(&mut self, now: Instant, run: RunId) {
        match run.role {
            Role::Main => {
                if let Some(service) = self.services.get_mut(&run.service) {
                    service.killed_at = Some(now);
                }
            }
            Role::Fallback => self.fallback_ends(now, run, true),
            Role::Stop => {}
        }
    }

    fn fallback_ends(&mut self, now: Instant, run: RunId, killed: bool) {
        if let Some(service) = self.services.get_mut(&run.service) {
            service.fallback_asked = service.fallback_asked.or(Some(now));
            if killed {
                service.fallback_killed = Some(now);
            }
        }
    }

    fn asks(&mut self, now: Instant, id: ServiceId, kind: ProbeKind, round: u64) {
        if let Some(service) = self.services.get_mut(&id) {
            let timeout = service.plan.probes.get(kind).map(|plan| plan.timeout).unwrap_or_default();
            service.probes.entry(kind).or_default().round = Some((round, now + timeout, false));
        }
    }

    /// A round is cancelled because its time is over, or because it does not matter any more.
    fn cancels(&mut self, now: Instant, event: &Event, id: ServiceId, kind: ProbeKind) {
        let Some(service) = self.services.get_mut(&id) else { return };
        let Some(round) = &mut service.probes.entry(kind).or_default().round else { return };
        round.2 = true;
        if *event == Event::Timeout && round.1 <= now {
            self.weigh(id, kind, false);
        }
    }

    fn record(&mut self, now: Instant, event: &Event, record: &Record) {
        let Some(id) = record.service.as_ref().and_then(|name| self.id(name)) else { return };
        match &record.kind {
            RecordKind::Transition { from, to, .. } => self.transition(now, event, id, (*from, *to)),
            RecordKind::Command { command, refusal: None } => self.command(id, *command),
            RecordKind::Probe { probe: ProbeKind::Readiness, passing } => {
                if let Some(service) = self.services.get_mut(&id) {
                    service.set_ready(now, *passing);
                }
            }
            RecordKind::BreakerClosed => {
                if let Some(service) = self.services.get_mut(&id) {
                    service.close_breaker();
                }
            }
            RecordKind::Forgotten => {
                if let Some(service) = self.services.get_mut(&id) {
                    service.forget();
                }
            }
            RecordKind::Command { .. }
            | RecordKind::Probe { .. }
            | RecordKind::Fallback
            | RecordKind::Killed
            | RecordKind::Adopted
            | RecordKind::EndedUnseen
            | RecordKind::Trouble { .. }
            | RecordKind::Clock
            | RecordKind::Reloaded
            | RecordKind::Left
            | RecordKind::Upgrading
            | RecordKind::Upgraded
            | RecordKind::Started
            | RecordKind::ShuttingDown => {}
        }
    }

    fn command(&mut self, id: ServiceId, command: Command) {
        let Some(service) = self.services.get_mut(&id) else { return };
        match command {
            Command::Start | Command::Restart => {
                if service.state == State::Failed {
                    service.close_breaker();
                }
                self.ask_for(id);
            }
            Command::Stop => {
                service.wanted = Wanted::Down;
                service.by_operator = true;
                service.due = false;
                if service.state == State::Stopping {
                    service.next = Some(Next::Wanted);
                }
            }
            Command::Pause | Command::Continue => {
                service.wanted = if command == Command::Pause { Wanted::Paused } else { Wanted::Up };
                service.by_operator = true;
            }
            Command::Reset => service.forgive(),
            Command::Signal(_) | Command::Reload => {}
        }
    }

    fn transition(&mut self, now: Instant, event: &Event, id: ServiceId, (from, to): (State, State)) {
        let reason = self.reason_to_stop(id, event);
        let ends = self.shutting_down;
        if to == State::Starting && self.services.get(&id).is_some_and(Service::is_delayed) {
            // If one is free, all are.
            self.let_delayed_go();
        }
        let Some(service) = self.services.get_mut(&id) else { return };
        service.state = to;
        if to != State::Running {
            service.set_ready(now, false);
            service.watchdog = None;
        }
        match to {
            State::Starting => service.starts(now),
            State::Running => service.runs_now(now),
            State::Pausing => service.pauses(now),
            State::Continuing => {
                // Nobody asked for it: freezing failed.
                let failed = from == State::Pausing && !matches!(event, Event::Command { .. });
                if failed && service.wanted == Wanted::Paused {
                    service.wanted = Wanted::Up;
                }
            }
            State::Stopping => {
                service.next = reason.or(Some(Next::Wanted));
                service.stop_deadline = now + service.plan.stop.timeout;
                service.killed_at = None;
            }
            State::Backoff | State::Tripped => {
                service.wait = match service.next.take() {
                    Some(Next::Retry(earliest, latest)) => Some((earliest, latest)),
                    Some(Next::Trip(until)) => Some((until, until)),
                    Some(Next::Wanted | Next::Stop | Next::Fail | Next::Complete) | None => None,
                };
            }
            State::Stopped | State::Completed | State::Failed => service.rests(from, ends),
            State::Waiting => service.next = None,
            State::Paused => {}
        }
        let overdue = to == State::Running && service.start_deadline.is_some_and(|deadline| deadline <= now);
        if overdue && *event == Event::Timeout {
            // It was late already when it was paused.
            self.fails(id);
        }
    }
}

impl Service {
    fn starts(&mut self, now: Instant) {
        self.delayed = false;
        self.fallback_died = None;
        self.due = false;
        self.rests = false;
        self.next = None;
        self.wait = None;
        self.startup_shown = false;
        self.said_ready = false;
        self.log_ready = false;
        self.watchdog_period = None;
        self.timers_are_old = false;
        self.start_left = None;
        self.begin_probe(ProbeKind::Startup);
        if self.breaker == BreakerState::Open {
            self.breaker = BreakerState::HalfOpen;
        }
        let window = self.plan.probes.startup.as_ref().map(|plan| plan.delay + plan.window());
        self.start_deadline = [self.plan.start_timeout, window].into_iter().flatten().min().map(|time| now + time);
    }

    fn runs_now(&mut self, now: Instant) {
        if let Some(left) = self.start_left.take() {
            self.start_deadline = Some(now + left);
        } else if !self.is_oneshot() {
            self.start_deadline = None;
        }
        self.begin_probes(now);
    }

    /// A pause stops the clock of a one-shot.
    fn pauses(&mut self, now: Instant) {
        if let Some(deadline) = self.start_deadline.take() {
            self.start_left = Some(deadline.since(now));
        }
    }

    /// It comes to rest: by a rule, or, where the guard ends, because of that.
    fn rests(&mut self, from: State, guard_ends: bool) {
        let next = self.next.take();
        self.rests = matches!(next, Some(Next::Stop | Next::Fail | Next::Complete)) && !guard_ends;
        self.wait = None;
        if self.rests && self.is_run_by_hand() && self.wanted != Wanted::Down && !self.gone {
            // What was asked for is done. Another run is another wish.
            self.wanted = Wanted::Down;
            self.by_operator = false;
        }
        if self.state == State::Completed {
            self.close_breaker();
        }
        // An operator's reset goes on from here.
        self.due = from == State::Failed && self.due;
    }

    /// Its fallback ended, by itself or because it was asked to.
    fn fallback_dies(&mut self, now: Instant) {
        if self.fallback_asked.is_none() {
            self.fallback_died = Some(now);
        }
    }

    /// Its exit is not known as long as it is only seen that the tree is empty.
    fn tree_is_empty(&mut self, role: Role) {
        if self.runs.get(&role).is_some_and(|run| run.ended) {
            self.runs.remove(&role);
        }
    }

    fn says_ready(&mut self) {
        self.said_ready = true;
        let asked = self.plan.probes.startup.as_ref().is_some_and(|plan| plan.check == ProbeCheck::Notify);
        self.startup_shown |= asked && self.state == State::Starting;
    }

    fn extend(&mut self, until: Instant) {
        match self.state {
            State::Stopping if self.killed_at.is_none() => self.stop_deadline = self.stop_deadline.max(until),
            State::Starting => self.start_deadline = self.start_deadline.map(|deadline| deadline.max(until)),
            State::Running if self.plan.kind == ServiceType::Oneshot => {
                self.start_deadline = self.start_deadline.map(|deadline| deadline.max(until));
            }
            State::Stopped
            | State::Waiting
            | State::Running
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

    fn forget(&mut self) {
        self.restarts = 0;
        if self.breaker == BreakerState::Closed {
            self.failures.clear();
        }
    }

    fn forgive(&mut self) {
        self.restarts = 0;
        self.close_breaker();
        let goes_on = self.wanted != Wanted::Down;
        match self.state {
            State::Failed | State::Backoff | State::Tripped if goes_on => self.become_due(),
            State::Stopping if matches!(self.next, Some(Next::Retry(..) | Next::Trip(_) | Next::Fail)) => {
                self.next = Some(Next::Wanted);
            }
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
            | State::Failed => {}
        }
    }

    fn leave(&mut self) {
        self.gone = true;
        self.due = false;
        if self.state == State::Stopping {
            self.next = Some(Next::Wanted);
        }
    }

    fn come_back(&mut self, plan: &ServicePlan) {
        if !self.by_operator {
            self.wanted = wanted_by(plan);
        }
        if self.state == State::Stopping && self.wanted != Wanted::Down {
            self.next = Some(Next::Wanted);
        }
    }

    /// It has never been anything but new.
    fn is_fresh(&self) -> bool {
        self.state == State::Stopped && !self.by_operator && !self.rests && self.restarts_total == 0 && !self.has_runs()
    }
}
