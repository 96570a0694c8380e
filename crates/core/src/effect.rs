//! Everything the core can ask for: one closed vocabulary.

use std::sync::Arc;

use menshen_plan::definition::{AlertKind, ProbeKind};
use menshen_plan::signal::Signal;
use menshen_plan::{ServiceName, ServicePlan};
use serde::{Deserialize, Serialize};

use crate::event::{Command, Refusal, RunId, ServiceId, Ticket};
use crate::state::State;

/// Something to be done. Effects are to be carried out in the order they come.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Keep the service's [`Memory`](crate::Memory) (see [`Core::memory`](crate::Core::memory)) for the next guard. It
    /// comes before the effects it leads to.
    Remember {
        /// Of which service.
        service: ServiceId,
    },
    /// Start a program: the service's command, its fallback, or its stop command, by the plan that comes along.
    Spawn {
        /// Under this identity; [`Event::Spawned`](crate::Event::Spawned) or `SpawnFailed` answers.
        run: RunId,
        /// By this plan.
        plan: Arc<ServicePlan>,
        /// The main process of the service, if it has one: for the stop command's `MAINPID`.
        main_pid: Option<u32>,
    },
    /// Send a signal.
    Signal {
        /// To which run.
        run: RunId,
        /// To which of its processes.
        target: SignalTarget,
        /// Which.
        signal: Signal,
    },
    /// Kill at once.
    Kill {
        /// Which run.
        run: RunId,
        /// Its main process, or everything.
        target: SignalTarget,
    },
    /// Freeze a tree; `Frozen` or `FreezeFailed` answers.
    Freeze {
        /// Which run's.
        run: RunId,
    },
    /// Thaw a tree; `Thawed` answers.
    Thaw {
        /// Which run's.
        run: RunId,
    },
    /// Ask a probe; `Probed` or `NotProbed` answers.
    Probe {
        /// Of which service.
        service: ServiceId,
        /// Which.
        probe: ProbeKind,
        /// Under this number.
        round: u64,
    },
    /// End a probe with its tree; `Probed` answers when it has ended.
    CancelProbe {
        /// Of which service.
        service: ServiceId,
        /// Which.
        probe: ProbeKind,
        /// Under which number it was asked.
        round: u64,
    },
    /// Let go of the file descriptors the program left with the guard.
    DropFds {
        /// Of which service.
        service: ServiceId,
    },
    /// The service follows a new plan from now on: limits, logs and patterns may have changed.
    Replanned {
        /// Which service.
        service: ServiceId,
        /// The plan.
        plan: Arc<ServicePlan>,
    },
    /// The service is gone from the definition and has ended: forget it.
    Removed {
        /// Which service.
        service: ServiceId,
    },
    /// Write into the journal of events.
    Record(Record),
    /// Tell people.
    Alert(Alert),
    /// Answer whoever gave a command.
    Reply(Reply),
    /// Everything has ended; the guard may end with this exit code.
    ShutdownComplete {
        /// 0, or 7 if an essential service failed.
        code: u8,
    },
}

/// Which processes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalTarget {
    /// The main process.
    Main,
    /// Every process but the main one.
    Rest,
    /// Every process.
    Tree,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// About which service; none for the guard itself.
    pub service: Option<ServiceName>,
    /// What happened.
    #[serde(flatten)]
    pub kind: RecordKind,
    /// Why, for people.
    pub reason: String,
    /// Who asked, if somebody did.
    pub by: Option<String>,
}

/// What a line of the journal is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RecordKind {
    /// A service changed its state.
    Transition {
        /// From.
        from: State,
        /// To.
        to: State,
        /// The process, if there is one.
        pid: Option<u32>,
    },
    /// Somebody asked for something.
    Command {
        /// What.
        command: Command,
        /// Why not, if it was refused.
        refusal: Option<Refusal>,
    },
    /// The readiness or health of a service changed.
    Probe {
        /// Which probe.
        probe: ProbeKind,
        /// How it is now.
        passing: bool,
    },
    /// The breaker closed again.
    BreakerClosed,
    /// The restarts so far are forgotten.
    Forgotten,
    /// The fallback started, ended or failed.
    Fallback,
    /// A program that did not end in time, or what it left behind, is killed.
    Killed,
    /// The guard took over a running program from its predecessor.
    Adopted,
    /// A program had ended when the guard took over. That was while no guard was there: nobody knows when.
    EndedUnseen,
    /// Something of the guard itself does not work, or works again.
    Trouble {
        /// Whether it is over.
        over: bool,
    },
    /// The wall clock was set, or the machine was suspended.
    Clock,
    /// The definition was reloaded.
    Reloaded,
    /// The guard ends alone; what it guards runs on for the next one.
    Left,
    /// Another version is about to go on in the guard's place.
    Upgrading,
    /// It has.
    Upgraded,
    /// The guard began to look after its services.
    Started,
    /// The guard is stopping everything.
    ShuttingDown,
}

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What kind it is.
    pub kind: AlertKind,
    /// About which service.
    pub service: Option<ServiceName>,
    /// What happened, for people.
    pub text: String,
}

/// The answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// To which.
    pub ticket: Ticket,
    /// Accepted, or why not.
    pub result: Result<(), Refusal>,
}
