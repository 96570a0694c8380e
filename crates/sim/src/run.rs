//! One run of a seed: a storm, then either a calm in which everything has to come right or an early end, then the shutdown.

mod change;
mod drive;

use std::sync::Arc;
use std::time::Duration;

use menshen_core::{Effect, Event, Instant, ServiceId, ServiceStatus};
use menshen_plan::Plan;

use crate::coverage::Coverage;
use crate::definition::{Definition, SERVICES_MAX};
use crate::guard::{Disk, Guard};
use crate::invariants::{Checker, Invariant, Violation};
use crate::model::Model;
use crate::operator::Operator;
use crate::random::Random;
use crate::theme::Theme;
use crate::trace::Trace;
use crate::world::World;

/// When the machine was started, so that no instant is zero by accident.
const BOOT: Instant = Instant(1_000_000_000_000);
/// A storm lasts no longer.
const STORM_MAX: Duration = Duration::from_secs(600);
/// Everything that has to come right comes right within this time of calm: it is a multiple of every wait a definition here
/// can name, one after the other through the longest chain of services.
const CALM_MAX: Duration = Duration::from_secs(1800);
/// Between two looks at it.
const CALM_STEP: Duration = Duration::from_secs(2);
/// What has come right stays so for this long.
const CALM_AFTER: Duration = Duration::from_secs(40);
/// A shutdown takes no longer, whatever the programs do.
const SHUTDOWN_MAX: Duration = Duration::from_secs(900);
/// A run that gives the core more events has lost its way.
const EVENTS_MAX: u64 = 400_000;

/// Which run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Everything is drawn from it.
    pub seed: u64,
    /// The most services.
    pub services_max: usize,
    /// The most actions of operators.
    pub actions_max: u64,
    /// Whether to write down every event and effect.
    pub traced: bool,
    /// Breaks something on the way, to see whether it is found.
    pub sabotage: Sabotage,
}

/// Ways to break what goes into the core and comes out of it, as a wrong core would.
#[derive(Debug, Clone, Copy)]
pub struct Sabotage {
    /// Changes the text of a definition.
    pub definition: fn(&mut String),
    /// Changes the effects of an event.
    pub effects: fn(&Event, &mut Vec<Effect>),
    /// Changes what the core shows.
    pub statuses: fn(&mut Vec<(ServiceId, ServiceStatus)>),
    /// Changes what the core is given.
    pub event: fn(&mut Event),
    /// Changes when a core at rest wakes up.
    pub wake_at_rest: fn(&mut Option<Instant>),
}

impl Default for Sabotage {
    fn default() -> Self {
        Self { definition: |_| {}, effects: |_, _| {}, statuses: |_| {}, event: |_| {}, wake_at_rest: |_| {} }
    }
}

impl Options {
    /// The whole run of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { seed, services_max: SERVICES_MAX, actions_max: u64::MAX, traced: false, sabotage: Sabotage::default() }
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which run it was.
    pub seed: u64,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// Events given to the core.
    pub events: u64,
    /// Effects that came out of it.
    pub effects: u64,
    /// How long it was for the core.
    pub time: Duration,
    /// How many guards there were.
    pub guards: u64,
    /// What was tried.
    pub coverage: Coverage,
    /// Every event and effect, if they were asked for.
    pub trace: String,
}

/// Runs a seed.
#[must_use]
pub fn run(options: &Options) -> Outcome {
    Simulation::run(options)
}

impl Outcome {
    fn new(seed: u64, violations: Vec<Violation>) -> Self {
        Self {
            seed,
            violations,
            events: 0,
            effects: 0,
            time: Duration::ZERO,
            guards: 0,
            coverage: Coverage::default(),
            trace: String::new(),
        }
    }
}

/// A run under way.
struct Simulation {
    random: Random,
    definition: Definition,
    plan: Arc<Plan>,
    world: World,
    disk: Disk,
    /// None while nobody guards.
    guard: Option<Guard>,
    /// When the next guard comes.
    guard_at: Option<Instant>,
    operator: Operator,
    checker: Checker,
    sabotage: Sabotage,
    /// The core's next time-out, and when the guard's loop will come to it.
    wake: Option<(Instant, Instant)>,
    /// After how many effects of the next event the guard dies, and for how long.
    cut: Option<(usize, Duration)>,
    /// Faults are over.
    calm: bool,
    panicked: bool,
    events: u64,
    effects: u64,
    guards: u64,
    tickets: u64,
    coverage: Coverage,
    trace: Trace,
}

impl Simulation {
    fn run(options: &Options) -> Outcome {
        let mut random = Random::new(options.seed);
        let theme = Theme::random(&mut random);
        let definition = Definition::random(&mut random.fork(), theme, options.services_max);
        match definition.load(options.sabotage.definition) {
            Ok(plan) => Self::new(options, random, (theme, definition), plan).play(options.seed),
            Err(findings) => {
                let what = format!("{findings}\n{}", definition.text());
                let violation =
                    Violation { invariant: Invariant::DefinitionLoads, at: BOOT, step: 0, service: None, what };
                Outcome::new(options.seed, vec![violation])
            }
        }
    }

    fn new(options: &Options, mut random: Random, (theme, definition): (Theme, Definition), plan: Arc<Plan>) -> Self {
        let world = World::new(BOOT, theme, random.fork());
        let operator = Operator::new(BOOT, random.fork(), theme, options.actions_max);
        let guard = Guard::new(BOOT, &plan, random.number());
        let model = Model::new(BOOT, &plan, guard.core().services());
        let mut trace = Trace::new(options.traced);
        trace.note(BOOT, || format!("{theme:?}\n{}", definition.text()));
        Self {
            random,
            definition,
            plan,
            world,
            disk: Disk::default(),
            guard: Some(guard),
            guard_at: None,
            operator,
            checker: Checker::new(model),
            sabotage: options.sabotage,
            wake: None,
            cut: None,
            calm: false,
            panicked: false,
            events: 0,
            effects: 0,
            guards: 1,
            tickets: 0,
            coverage: Coverage::default(),
            trace,
        }
    }

    fn play(mut self, seed: u64) -> Outcome {
        self.give(Event::Begin);
        self.storm();
        if !self.is_over() && self.random.percent(75) {
            self.calm();
        }
        self.shut_down();
        Outcome {
            seed,
            violations: self.checker.violations().to_vec(),
            events: self.events,
            effects: self.effects,
            time: self.world.now().since(BOOT),
            guards: self.guards,
            coverage: self.coverage,
            trace: self.trace.into_text(),
        }
    }

    fn storm(&mut self) {
        let longest = self.random.millis(1000, 240_000).min(STORM_MAX);
        let end = BOOT + longest;
        while self.step(end) {}
        if self.guard.is_none() {
            self.next_guard();
        }
        self.cut = None;
    }

    /// Nothing goes wrong any more: everything has to come right, and to stay so.
    fn calm(&mut self) {
        self.note(|| "calm".to_owned());
        self.calm = true;
        self.world.calm_down();
        self.settle();
        if self.random.percent(60) && !self.is_over() {
            let services: Vec<ServiceId> = self.checker.model.services.keys().copied().collect();
            for action in self.operator.last_words(&services) {
                self.act(action);
                let pause = self.random.pick(&[0, 0, 20, 700].map(Duration::from_millis));
                self.advance(pause);
            }
            self.settle();
        }
    }

    fn settle(&mut self) {
        let deadline = self.world.now() + CALM_MAX;
        loop {
            self.advance(CALM_STEP);
            if self.is_over() || self.is_quiet() {
                return;
            }
            if self.world.now() >= deadline {
                self.checker.check_settled(&self.world);
                return;
            }
        }
    }

    /// Whether everything is as it has to be, and stays so.
    fn is_quiet(&mut self) -> bool {
        let deadline = self.world.now() + CALM_AFTER;
        while self.checker.unsettled(&self.world).is_none() {
            if self.world.now() >= deadline || self.is_over() {
                return true;
            }
            self.advance(CALM_STEP);
        }
        false
    }

    fn shut_down(&mut self) {
        if self.checker.is_shut_down() || self.is_lost() {
            return;
        }
        self.note(|| "the end".to_owned());
        let hurry = self.random.percent(20);
        self.give(Event::Shutdown { reason: "the run is over".to_owned(), hurry });
        if self.random.percent(20) {
            let wait = self.random.millis(0, 3000);
            self.advance(wait);
            self.give(Event::Shutdown { reason: "now".to_owned(), hurry: true });
        }
        let deadline = self.world.now() + SHUTDOWN_MAX;
        while !self.checker.is_shut_down() && self.world.now() < deadline && !self.is_lost() {
            // The next guard does not know that the last one was to end.
            if self.guard.is_some() && !self.checker.model.shutting_down {
                self.give(Event::Shutdown { reason: "the run is over, again".to_owned(), hurry: false });
            }
            self.advance(Duration::from_secs(1));
        }
        if !self.checker.is_shut_down() && !self.is_lost() {
            let what = format!("the guard was told to stop and has not ended {SHUTDOWN_MAX:?} later");
            self.checker.broken(Invariant::ShutdownEnds, None, what);
        }
    }

    /// Whether there is no guard any more, or it is on its way out.
    fn is_over(&self) -> bool {
        self.checker.model.shutting_down || self.checker.is_shut_down() || self.is_lost()
    }

    /// Whether going on makes no sense.
    fn is_lost(&self) -> bool {
        self.panicked
            || self.checker.is_spinning()
            || self.events > EVENTS_MAX
            || self.checker.violations().len() >= LOST_AFTER
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        self.trace.note(self.world.now(), what);
    }
}

/// With this many violations the rest is noise.
const LOST_AFTER: usize = 5;
