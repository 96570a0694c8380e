//! Everything that can happen: one closed vocabulary.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use menshen_plan::Plan;
use menshen_plan::definition::ProbeKind;
use menshen_plan::signal::Signal;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A service within one guard. Numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceId(pub u32);

/// What a process is to its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The guarded program.
    Main,
    /// The breaker's fallback.
    Fallback,
    /// The stop command.
    Stop,
}

/// One start of one program. What happens to an earlier one is never mistaken for this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// Whose.
    pub service: ServiceId,
    /// Which of its programs.
    pub role: Role,
    /// The how manieth, counted over all roles of the service.
    pub number: u64,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// It exited with a code.
    Code(i32),
    /// A signal killed it.
    Signal(Signal),
    /// It ended while nobody looked and the system does not tell how; this counts as a failure.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exit {code}"),
            Self::Signal(signal) => write!(formatter, "killed by {signal}"),
            Self::Unknown => formatter.write_str("ended with unknown status"),
        }
    }
}

/// Whether anything of a process tree is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tree {
    /// Nothing.
    Empty,
    /// Some process of it lives.
    Alive,
}

/// Whether a process tree may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frost {
    /// Nothing of it runs.
    Frozen,
    /// It runs.
    Thawed,
}

/// What a program says to its guard over the notify socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notification {
    /// `READY=1`.
    Ready,
    /// `RELOADING=1`.
    Reloading,
    /// `STOPPING=1`.
    Stopping,
    /// `STATUS=…`.
    Status(String),
    /// `WATCHDOG=1`.
    Watchdog,
    /// `WATCHDOG=trigger`.
    WatchdogTrigger,
    /// `WATCHDOG_USEC=…`.
    WatchdogPeriod(Duration),
    /// `EXTEND_TIMEOUT_USEC=…`.
    ExtendTimeout(Duration),
}

/// What somebody can ask of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Run, and stay so.
    Start,
    /// Stop, and stay so.
    Stop,
    /// Stop if running, then run.
    Restart,
    /// Freeze.
    Pause,
    /// Thaw.
    Continue,
    /// Forget restarts, failures and the breaker, and go on as wanted.
    Reset,
    /// Send a signal to the main process.
    Signal(Signal),
    /// Send the reload signal to the main process.
    Reload,
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => formatter.write_str("start"),
            Self::Stop => formatter.write_str("stop"),
            Self::Restart => formatter.write_str("restart"),
            Self::Pause => formatter.write_str("pause"),
            Self::Continue => formatter.write_str("continue"),
            Self::Reset => formatter.write_str("reset"),
            Self::Signal(signal) => write!(formatter, "signal {signal}"),
            Self::Reload => formatter.write_str("reload"),
        }
    }
}

/// Identifies a command, so that whoever gave it hears what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// Why a command is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no such service (any more).
    #[error("there is no such service")]
    NoSuchService,
    /// The definition says `start = "disabled"`.
    #[error("the service is disabled in the definition")]
    Disabled,
    /// Only a running program can be paused or signalled.
    #[error("the service is not running")]
    NotRunning,
    /// It is not paused.
    #[error("the service is not paused")]
    NotPaused,
    /// The definition names no reload signal.
    #[error("the definition names no reload signal for the service")]
    NoReloadSignal,
    /// The guard is stopping everything.
    #[error("the guard is shutting down")]
    ShuttingDown,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The guard is set up: start what is to be started.
    Begin,
    /// The instant of `poll_timeout` has come.
    Timeout,
    /// Somebody asks for something.
    Command {
        /// Of which service.
        service: ServiceId,
        /// What.
        command: Command,
        /// Who, for the journal.
        by: String,
        /// Where the answer goes.
        ticket: Option<Ticket>,
    },
    /// A program was started.
    Spawned {
        /// Which start.
        run: RunId,
        /// Its process.
        pid: u32,
    },
    /// A program could not be started.
    SpawnFailed {
        /// Which start.
        run: RunId,
        /// Why, as a fragment for people.
        error: String,
    },
    /// The main process is another one now (`MAINPID=`).
    MainChanged {
        /// Of which run.
        run: RunId,
        /// The new one.
        pid: u32,
    },
    /// A main process ended.
    Exited {
        /// Of which run.
        run: RunId,
        /// How.
        exit: Exit,
        /// Whether the memory limit killed it.
        oom: bool,
        /// Whether others of its tree live.
        tree: Tree,
    },
    /// The last process of a tree whose main process had ended is gone.
    TreeEmpty {
        /// Of which run.
        run: RunId,
    },
    /// A tree is frozen.
    Frozen {
        /// Of which run.
        run: RunId,
    },
    /// The program of an earlier guard runs on, and this is what its tree is like.
    Adopted {
        /// Its run.
        run: RunId,
        /// Whether it is frozen.
        frost: Frost,
    },
    /// A tree could not be frozen.
    FreezeFailed {
        /// Of which run.
        run: RunId,
        /// Why.
        error: String,
    },
    /// A tree runs again.
    Thawed {
        /// Of which run.
        run: RunId,
    },
    /// A probe that was asked for has ended, by itself or because it was cancelled.
    Probed {
        /// Of which service.
        service: ServiceId,
        /// Which probe.
        probe: ProbeKind,
        /// Which round.
        round: u64,
        /// Success, or what was wrong.
        outcome: Result<(), String>,
    },
    /// A probe could not be asked, for want of something that says nothing of the service: the guard has no descriptors left,
    /// or the machine no processes.
    NotProbed {
        /// Of which service.
        service: ServiceId,
        /// Which probe.
        probe: ProbeKind,
        /// Which round.
        round: u64,
        /// What was wanting.
        why: String,
    },
    /// A line of output matched the pattern of a `log` probe.
    LogMatched {
        /// Of which run.
        run: RunId,
        /// Which probe.
        probe: ProbeKind,
    },
    /// The program said something.
    Notified {
        /// Which run.
        run: RunId,
        /// What.
        notification: Notification,
    },
    /// The program uses more than it may, and the kernel does not enforce it.
    LimitExceeded {
        /// Which run.
        run: RunId,
        /// What, for people: `memory 600MiB of 512MiB`.
        what: String,
    },
    /// The kernel says a tree cannot be killed for now.
    Unkillable {
        /// Which run.
        run: RunId,
        /// What is left, for people: `pid 12 (uninterruptible)`.
        what: String,
    },
    /// Something of the guard itself does not work: a log cannot be written.
    Trouble {
        /// Whose, if it is one service's.
        service: Option<ServiceId>,
        /// What, for people.
        text: String,
    },
    /// That trouble is over.
    TroubleOver {
        /// Whose.
        service: Option<ServiceId>,
        /// What, for people.
        text: String,
    },
    /// The definition changed.
    Reload {
        /// The new plan.
        plan: Arc<Plan>,
        /// Who asked.
        by: String,
    },
    /// The guard is to end: stop everything, in order.
    Shutdown {
        /// Why, for people.
        reason: String,
        /// Whether to kill instead of asking.
        hurry: bool,
    },
}
