//! All services together: what one waits for of another, the order of stopping, reload, and the guard's own end.

mod depend;
mod reload;
mod resume;
mod shutdown;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use menshen_plan::count::counted;
use menshen_plan::definition::StartType;
use menshen_plan::{Plan, ServiceName, ServicePlan};

use crate::effect::{Effect, Record, RecordKind, Reply};
use crate::event::{Command, Event, Exit, Refusal, Role, RunId, ServiceId, Ticket, Tree};
use crate::memory::Memory;
use crate::service::{Context, Service, WITH_GUARD};
use crate::state::{State, Wanted};
use crate::status::{ServiceStatus, status};
use crate::time::Instant;
use crate::timer::{Timer, Timers};

pub use reload::Outcome;
use shutdown::Shutdown;

/// The core of one guard.
pub struct Core {
    now: Instant,
    plan: Arc<Plan>,
    services: BTreeMap<ServiceId, Service>,
    ids: BTreeMap<ServiceName, ServiceId>,
    /// Who depends on whom, the other way round: for each service those that wait for it.
    dependants: BTreeMap<ServiceId, Vec<ServiceId>>,
    next_id: u32,
    timers: Timers,
    random: fastrand::Rng,
    effects: VecDeque<Effect>,
    /// The effects of the event at hand.
    batch: Vec<Effect>,
    /// The services whose memory the event at hand changed.
    touched: BTreeSet<ServiceId>,
    /// Services somebody may have to look at again.
    changed: BTreeSet<ServiceId>,
    shutdown: Option<Shutdown>,
    /// Until when `start = "delayed"` services wait for the others; `None` once they were let go.
    delay_until: Option<Instant>,
    begun: bool,
}

/// How long `start = "delayed"` waits at most; the Windows service control manager's own delay.
const DELAYED_START_MAX: std::time::Duration = std::time::Duration::from_secs(120);

impl Core {
    /// A core for a plan, at rest. The seed decides the jitter.
    #[must_use]
    pub fn new(now: Instant, plan: &Arc<Plan>, seed: u64) -> Self {
        let mut core = Self {
            now,
            plan: Arc::clone(plan),
            services: BTreeMap::new(),
            ids: BTreeMap::new(),
            dependants: BTreeMap::new(),
            next_id: 1,
            timers: Timers::default(),
            random: fastrand::Rng::with_seed(seed),
            effects: VecDeque::new(),
            batch: Vec::new(),
            touched: BTreeSet::new(),
            changed: BTreeSet::new(),
            shutdown: None,
            delay_until: None,
            begun: false,
        };
        for service in plan.services.values() {
            core.add(Arc::clone(service));
        }
        core.link();
        core
    }

    /// Takes in one event that happened at `now`. Afterwards [`Self::poll_effect`] is to be drained.
    pub fn handle(&mut self, now: Instant, event: Event) {
        self.now = self.now.max(now);
        self.dispatch(event);
        self.settle();
        // Remembered first: what follows may outlive this guard, or be told to somebody.
        let remembered = std::mem::take(&mut self.touched).into_iter().filter(|id| self.services.contains_key(id));
        self.effects.extend(remembered.map(|service| Effect::Remember { service }));
        self.effects.extend(self.batch.drain(..));
    }

    /// The next thing to do, if there is one.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Event::Timeout`] is due, if it is.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let shutdown = self.shutdown.as_ref().and_then(Shutdown::deadline);
        [self.timers.next(), self.delay_until, shutdown].into_iter().flatten().min()
    }

    /// The plan the core follows.
    #[must_use]
    pub const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The number of a service.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<ServiceId> {
        self.ids.get(name).copied()
    }

    /// The name of a service.
    #[must_use]
    pub fn name(&self, id: ServiceId) -> Option<&ServiceName> {
        self.services.get(&id).map(|service| &service.plan.name)
    }

    /// What there is to know about a service.
    #[must_use]
    pub fn status(&self, id: ServiceId) -> Option<ServiceStatus> {
        self.services.get(&id).map(|service| status(service, &self.timers))
    }

    /// A service's state, and whether it can be used: what of its status costs nothing.
    #[must_use]
    pub fn state(&self, id: ServiceId) -> Option<(State, bool)> {
        self.services.get(&id).map(|service| (service.state(), service.is_ready()))
    }

    /// Whether nothing of a service lives and, because everything is being stopped, nothing of it will be started again.
    #[must_use]
    pub fn is_over(&self, id: ServiceId) -> bool {
        let rests = |service: &Service| service.state().is_at_rest() && !service.has_processes();
        self.shutdown.is_some() && self.services.get(&id).is_some_and(rests)
    }

    /// Every service, in the order of the definition; services that are gone and still stopping come last.
    pub fn services(&self) -> impl Iterator<Item = ServiceId> {
        let planned = self.plan.services.keys().filter_map(|name| self.ids.get(name).copied());
        let gone = self
            .services
            .values()
            .filter(|service| !self.plan.services.contains_key(&service.plan.name))
            .map(|service| service.id);
        planned.chain(gone)
    }

    /// The run of a service's program, if one is under way.
    #[must_use]
    pub fn main_run(&self, id: ServiceId) -> Option<RunId> {
        self.services.get(&id)?.main_run()
    }

    /// What the next guard needs to take a service over.
    #[must_use]
    pub fn memory(&self, id: ServiceId) -> Option<Memory> {
        let service = self.services.get(&id)?;
        Some(Memory::new(service.plan.name.clone(), service.life.clone(), self.timers.remembered(id)))
    }

    /// Whether every service has come to rest and nothing will happen by itself.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.services
            .values()
            .all(|service| service.state().is_at_rest() && !service.life.due && !service.has_processes())
    }

    fn add(&mut self, plan: Arc<ServicePlan>) -> ServiceId {
        let id = ServiceId(self.next_id);
        self.next_id += 1;
        self.ids.insert(plan.name.clone(), id);
        self.services.insert(id, Service::new(id, plan, self.now));
        id
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Begin => self.begin(),
            Event::Timeout => self.timeout(),
            Event::Command { service, command, by, ticket } => self.command(service, (command, by, ticket)),
            Event::Reload { plan, by } => self.reload(&plan, &by),
            Event::Shutdown { reason, hurry } => self.shut_down(&reason, hurry, 0),
            Event::Trouble { service, text } => self.trouble(service, &text, false),
            Event::TroubleOver { service, text } => self.trouble(service, &text, true),
            Event::Spawned { run, pid } => self.with_run(run, |service, context| match run.role {
                Role::Main => service.spawned(context, pid),
                Role::Stop => service.stopper_spawned(context, pid),
                Role::Fallback => service.fallback_spawned(context, pid),
            }),
            Event::SpawnFailed { run, error } => self.with_run(run, |service, context| match run.role {
                Role::Main => service.spawn_failed(context, &error),
                Role::Stop => service.stopper_exited(context, Err(&error), Tree::Empty),
                Role::Fallback => service.fallback_over(context, &format!("could not be started: {error}")),
            }),
            Event::Exited { run, exit, oom, tree } => self.exited(run, (exit, oom, tree)),
            Event::TreeEmpty { run } => self.with_run(run, |service, context| {
                // Before the main process's exit is known it says nothing yet; the exit will say that the tree is empty.
                if service.run(run.role).is_some_and(|run| run.main_ended) {
                    service.tree_empty(context, run.role);
                }
            }),
            Event::MainChanged { run, pid } => self.with_run(run, |service, _| {
                if let Some(main) = &mut service.life.main {
                    main.pid = Some(pid);
                }
            }),
            Event::Frozen { run } => self.with_run(run, Service::frozen),
            Event::Adopted { run, frost } => {
                self.with_run(run, |service, context| service.adopted(context, frost));
            }
            Event::FreezeFailed { run, error } => {
                self.with_run(run, |service, context| service.freeze_failed(context, &error));
            }
            Event::Thawed { run } => self.with_run(run, Service::thawed),
            Event::Probed { service, probe, round, outcome } => {
                self.with_service(service, |service, context| service.probed(context, probe, round, outcome));
            }
            Event::NotProbed { service, probe, round, why } => {
                self.with_service(service, |service, context| service.not_probed(context, probe, round, &why));
            }
            Event::LogMatched { run, probe } => {
                self.with_run(run, |service, context| service.log_matched(context, probe));
            }
            Event::Notified { run, notification } => {
                self.with_run(run, |service, context| service.notified(context, notification));
            }
            Event::LimitExceeded { run, what } => {
                self.with_run(run, |service, context| service.limit_exceeded(context, &what));
            }
            Event::Unkillable { run, what } => self.with_run(run, |service, _| {
                if service.state() == State::Stopping {
                    service.life.reason = format!("killed, but still there: {what}");
                }
            }),
        }
    }

    fn exited(&mut self, run: RunId, (exit, oom, tree): (Exit, bool, Tree)) {
        self.with_run(run, |service, context| match run.role {
            Role::Main => service.main_exited(context, exit, oom, tree),
            Role::Stop => service.stopper_exited(context, Ok(exit), tree),
            Role::Fallback => service.fallback_exited(context, &exit.to_string(), tree),
        });
    }

    /// Calls `act` with a service and what it works with; its memory may have changed afterwards.
    fn with_service<R>(&mut self, id: ServiceId, act: impl FnOnce(&mut Service, &mut Context<'_>) -> R) -> Option<R> {
        let service = self.services.get_mut(&id)?;
        let before = (service.life.clone(), self.timers.remembered(id));
        let plan_before = Arc::clone(&service.plan);
        let mut context = Context {
            now: self.now,
            effects: &mut self.batch,
            timers: &mut self.timers,
            random: &mut self.random,
            shutting_down: self.shutdown.is_some(),
            changed: &mut self.changed,
            replanned: false,
        };
        let result = act(service, &mut context);
        let replanned = context.replanned;
        if service.life != before.0 || self.timers.remembered(id) != before.1 {
            self.touched.insert(id);
        }
        if replanned {
            // What it no longer needs may have waited with its own end for this.
            self.changed.extend(plan_before.depends_on.keys().filter_map(|name| self.ids.get(name)));
            self.link();
        }
        Some(result)
    }

    /// The same for an event of a run; events of runs that are over are passed over.
    fn with_run(&mut self, run: RunId, act: impl FnOnce(&mut Service, &mut Context<'_>)) {
        let current = self.services.get(&run.service).and_then(|service| service.run(run.role));
        if current.is_some_and(|current| current.number == run.number) {
            self.with_service(run.service, act);
        }
    }

    fn begin(&mut self) {
        self.begun = true;
        let reason = format!("guarding {}", counted(self.services.len(), "service", "services"));
        self.batch.push(Effect::Record(Record { service: None, kind: RecordKind::Started, reason, by: None }));
        if self.services.values().any(Service::is_delayed) {
            self.delay_until = Some(self.now + DELAYED_START_MAX);
        }
        let ids: Vec<ServiceId> = self.services.keys().copied().collect();
        for id in ids {
            self.begin_one(id);
        }
    }

    /// A service that is wanted and not on its way starts; so does what it needs, unless an operator stopped that.
    fn begin_one(&mut self, id: ServiceId) {
        let Some(service) = self.services.get(&id) else { return };
        if service.gone {
            self.with_service(id, |service, context| {
                service.go_down(context, "no longer in the definition".to_owned());
            });
            return;
        }
        let fresh = service.state() == State::Stopped && !service.life.stopped_by_rule && !service.has_processes();
        let may = service.plan.start != StartType::Disabled && service.life.wanted != Wanted::Down;
        if may && fresh {
            self.with_service(id, |service, context| service.make_due(context, WITH_GUARD));
            self.pull_in(id, false);
        } else if !service.state().is_at_rest() {
            self.with_service(id, Service::carry_on);
            self.changed.insert(id);
        }
    }

    fn timeout(&mut self) {
        if self.delay_until.is_some_and(|at| at <= self.now) {
            self.release_delayed();
        }
        self.check_shutdown_deadline();
        while let Some((id, timer)) = self.timers.pop_due(self.now) {
            // It is no longer set, whatever comes of it.
            self.touched.extend(timer.is_remembered().then_some(id));
            self.with_service(id, |service, context| service.timer(context, timer));
        }
    }

    fn command(&mut self, id: ServiceId, (command, by, ticket): (Command, String, Option<Ticket>)) {
        let result = self
            .with_service(id, |service, context| service.command(context, command, &by))
            .unwrap_or(Err(Refusal::NoSuchService));
        if result.is_ok() && matches!(command, Command::Start | Command::Restart) {
            self.pull_in(id, true);
        }
        if let Some(ticket) = ticket {
            self.batch.push(Effect::Reply(Reply { ticket, result }));
        }
    }

    fn trouble(&mut self, service: Option<ServiceId>, text: &str, over: bool) {
        let service = service.and_then(|id| self.name(id)).cloned();
        let kind = RecordKind::Trouble { over };
        self.batch.push(Effect::Record(Record { service: service.clone(), kind, reason: text.to_owned(), by: None }));
        let kind = if over {
            menshen_plan::definition::AlertKind::Recovered
        } else {
            menshen_plan::definition::AlertKind::Trouble
        };
        self.batch.push(Effect::Alert(crate::effect::Alert { kind, service, text: text.to_owned() }));
    }
}

impl Service {
    /// One of its timers has come.
    fn timer(&mut self, context: &mut Context<'_>, timer: Timer) {
        match timer {
            Timer::Start => self.start_timed_out(context),
            Timer::Stop => self.stop_timed_out(context),
            Timer::Kill => self.kill(context),
            Timer::Retry => self.retry(context),
            Timer::Trial => self.trial(context),
            Timer::Close => self.close_breaker(context),
            Timer::Forget => self.forget_restarts(context),
            Timer::Pause => self.pause_timed_out(context),
            Timer::Watchdog => self.watchdog_expired(context, "its watchdog was not fed in time"),
            Timer::FallbackRetry => {
                context.changed.insert(self.id);
            }
            Timer::FallbackStop | Timer::FallbackKill => self.kill_fallback(context),
            Timer::Probe(kind) => self.probe_due(context, kind),
            Timer::ProbeTimeout(kind) => self.probe_timed_out(context, kind),
        }
    }

    /// The last process of one of its trees is gone.
    fn tree_empty(&mut self, context: &mut Context<'_>, role: Role) {
        match role {
            Role::Main => self.main_over(context),
            Role::Stop => self.stopper_over(context),
            Role::Fallback => self.fallback_over(context, "nothing is left of it"),
        }
    }
}
