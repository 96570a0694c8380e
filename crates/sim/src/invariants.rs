//! What must always hold, each under a name, and the checker that holds a run against all of it.
//!
//! The checks see the world as it really is, the model, and what comes out of the core. What only has to come true in the
//! end is in `eventually`.

mod breaker;
mod counts;
mod eventually;
mod guards;
mod journal;
mod probes;
mod processes;
mod starts;
mod stops;
mod waits;
mod whole;

use std::fmt;

use menshen_core::{Effect, Event, Instant, ServiceId, ServiceStatus};
use menshen_plan::ServiceName;

use crate::model::Model;
use crate::world::World;

macro_rules! invariants {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal),+ $(,)?) => {
        /// What must always hold.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Invariant {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Invariant {
            /// Every invariant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }
    };
}

invariants! {
    /// No service ever has two live main processes, two fallbacks or two stop commands.
    OneOfEach = "one-of-each",
    /// A service that is not running has no process, and one that says so has an empty tree.
    TreeIsEmpty = "tree-is-empty",
    /// Every effect can be carried out, and is about a run that lives.
    EffectsMakeSense = "effects-make-sense",
    /// Nothing starts before what it needs is there.
    DependenciesHold = "dependencies-hold",
    /// Nothing starts that nobody wants, that a rule left at rest, or whose wait is not over.
    NothingStartsUnasked = "nothing-starts-unasked",
    /// A service waits only for what is really missing.
    WaitsForSomething = "waits-for-something",
    /// After the guard is told to stop, nothing is started.
    NothingAfterShutdown = "nothing-after-shutdown",
    /// A program is started by the newest definition.
    NewestDefinition = "newest-definition",
    /// A stop has a reason.
    StopsForAReason = "stops-for-a-reason",
    /// What is left to run when a stop command has ended is asked by the signal.
    SignalFollowsCommand = "signal-follows-command",
    /// A stop asks, kills when its time is over, and ends as soon as nothing is left.
    StopEnds = "stop-ends",
    /// What a stop leads to is what the end of the program means, unless somebody asked for something else.
    EndMeansWhatItMeans = "end-means-what-it-means",
    /// Dependants end first.
    StopOrder = "stop-order",
    /// A lost dependency does what `on_loss` says, at once.
    OnLoss = "on-loss",
    /// Every death counts, once, and nothing else does.
    DeathsCount = "deaths-count",
    /// The count is forgotten after `reset_after` in Running and ready, not earlier and not later.
    ForgottenInTime = "forgotten-in-time",
    /// Waits never exceed their maximum, are never shorter than they may be, and end.
    WaitsAreBounded = "waits-are-bounded",
    /// The breaker opens, tries and closes by its rules.
    BreakerKeepsItsRules = "breaker-keeps-its-rules",
    /// The fallback runs while the breaker is open and never spins.
    FallbackStandsIn = "fallback-stands-in",
    /// One round of a probe at a time, only where the probe belongs, and none after its time-out.
    ProbesInTurn = "probes-in-turn",
    /// Ready, up and healthy are said when there is evidence, and not otherwise.
    EvidenceDecides = "evidence-decides",
    /// States change as the table says, and the journal tells every change.
    JournalTellsAll = "journal-tells-all",
    /// What the core shows is what has to be.
    StatusIsTrue = "status-is-true",
    /// Every command is answered once, and refused where it has to be.
    CommandsAreAnswered = "commands-are-answered",
    /// What the next guard needs is kept before anything else is done.
    MemoryIsCurrent = "memory-is-current",
    /// The next guard goes on where the last one was.
    GoesOnWhereItWas = "goes-on-where-it-was",
    /// A guard at rest sleeps, and none spins.
    IdleIsSilent = "idle-is-silent",
    /// A shutdown ends, with nothing left and the right code.
    ShutdownEnds = "shutdown-ends",
    /// In the end every service is where it is wanted.
    WantedWins = "wanted-wins",
    /// People who were told of trouble are told of its end.
    AlertsEnd = "alerts-end",
    /// The definition is accepted.
    DefinitionLoads = "definition-loads",
    /// The core does not panic.
    NoPanic = "no-panic",
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When.
    pub at: Instant,
    /// In the how manieth event.
    pub step: u64,
    /// Whose, if it is one service's.
    pub service: Option<ServiceName>,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, at, step, service, what } = self;
        write!(formatter, "{invariant} does not hold at {at} (event {step}): ")?;
        match service {
            Some(service) => write!(formatter, "{service}: {what}"),
            None => formatter.write_str(what),
        }
    }
}

/// After so many violations nothing new is learned.
const VIOLATIONS_MAX: usize = 20;

/// Holds one run against every invariant.
#[derive(Debug)]
pub struct Checker {
    /// What has to be.
    pub model: Model,
    violations: Vec<Violation>,
    now: Instant,
    step: u64,
    journal: journal::Told,
    asked: stops::Asked,
    spin: whole::Spin,
    shutdown: whole::Shutdown,
    /// The last alert about each service that is not over.
    alerts: eventually::OpenAlerts,
}

impl Checker {
    /// A checker of a guard that has not begun.
    #[must_use]
    pub fn new(model: Model) -> Self {
        Self {
            model,
            violations: Vec::new(),
            now: Instant::default(),
            step: 0,
            journal: journal::Told::default(),
            asked: stops::Asked::default(),
            spin: whole::Spin::default(),
            shutdown: whole::Shutdown::default(),
            alerts: eventually::OpenAlerts::default(),
        }
    }

    /// What did not hold so far.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// An event is about to be given to the core.
    pub fn event(&mut self, now: Instant, event: &Event) {
        self.now = now;
        self.step += 1;
        self.journal = journal::Told::default();
        self.asked = stops::Asked::default();
        self.check_spin(event);
        self.check_shutdown_event(event);
        self.model.event(now, event);
    }

    /// An effect has come out of the core, and has not been carried out.
    pub fn effect(&mut self, event: &Event, effect: &Effect, world: &World) {
        self.check_processes(effect, world);
        self.check_start(event, effect);
        self.check_stop(event, effect);
        self.check_count(effect);
        self.check_breaker(effect);
        self.check_probe(effect);
        self.check_journal(event, effect);
        self.check_whole(effect, world);
        self.model.effect(self.now, event, effect);
    }

    /// Every effect of the event has come out of the core.
    pub fn settled(&mut self, event: &Event, statuses: &[(ServiceId, ServiceStatus)], world: &World) {
        self.check_statuses(statuses);
        self.check_answers(event);
        self.check_asked(event);
        self.model.settled();
        for (id, status) in statuses {
            self.check_trees(*id, world);
            self.check_waiting(*id);
            self.check_stopping(*id, event);
            self.check_losses(*id);
            self.check_counts(*id, event);
            self.check_waits(*id, event, status);
            self.check_fallback(*id, event);
            self.check_evidence(*id, event, status);
        }
    }

    /// Something does not hold.
    pub fn broken(&mut self, invariant: Invariant, id: Option<ServiceId>, what: impl Into<String>) {
        if self.violations.len() < VIOLATIONS_MAX {
            let service = id.and_then(|id| self.model.services.get(&id)).map(|service| service.name.clone());
            let (at, step) = (self.now, self.step);
            self.violations.push(Violation { invariant, at, step, service, what: what.into() });
        }
    }
}
