//! Everything that reaches the loop from elsewhere than the operating system: one closed type.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use menshen_api::types::{Service, Trouble, Upgraded, Upgrading, WaitFor};
use menshen_api::{Problem, Time};
use menshen_core::{Command, Outcome, ServiceId};
use menshen_os::event::Ask;
use menshen_os::file::Lock;
use menshen_os::{Token, Waker};
use menshen_plan::definition::ProbeKind;
use menshen_plan::diff::PlanDiff;
use menshen_plan::{Plan, ServiceName};
use tokio::sync::{mpsc, oneshot};

use super::alert::Delivery;
use super::hold::HoldNext;
use crate::disk::DiskReport;
use crate::logs::Report;
use crate::probe::Miss;

/// How many inputs may wait for the loop; whoever has more waits himself.
const INPUTS_MAX: usize = 1024;

/// Something the loop has to know or do.
pub(crate) enum Input {
    /// Somebody asks over the control socket.
    Request(Request),
    /// A probe that was asked outside the loop has an answer.
    Probed { service: ServiceId, probe: ProbeKind, round: u64, outcome: Result<(), Miss> },
    /// The logs have something to say; see [`LogReports`].
    Logs,
    /// From the disk.
    Disk(DiskReport),
    /// The lock of what is remembered was tried again; without a lock, another guard has it.
    MemoryLocked(std::io::Result<Option<Lock>>),
    /// Something of the control socket does not work.
    Trouble(ControlTrouble, String),
    /// It works again.
    TroubleOver(ControlTrouble, String),
    /// Somebody who calls has not done as callers should.
    CallerTrouble(String),
    /// Somebody who follows does not read. Answered with whether that was told: only then is it told when it is over.
    FollowerTrouble { text: String, told: oneshot::Sender<bool> },
    /// He reads again, or is gone.
    FollowerTroubleOver(String),
    /// An alert's command is to be run (again).
    RunAlert(Delivery),
    /// An alert's command has taken too long.
    AlertTimeout(Token),
    /// An alert got through, or was given up.
    AlertEnded(Delivery, Result<(), String>),
    /// The binary of an upgrade has taken too long to answer.
    CheckTimeout(Token),
    /// Whoever asked for an upgrade has been told that it comes.
    UpgradeAnswered,
    /// It is time to try again to attach the logs that could not be attached.
    AttachLogs,
    /// It is time to look whether something is held for the next guard again.
    LookAtHolder(HoldNext),
    /// The service manager asks for something.
    Asked(Ask),
    /// It is time to ask the service manager for more of it.
    Extend,
    /// It is time to look what services use.
    Sample,
    /// The definition is to be read again (SIGHUP); what came of it.
    Reloaded(Result<Arc<Plan>, String>),
}

/// What can be wrong with the control socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ControlTrouble {
    /// No connection can be accepted.
    Accepting,
    /// So many are open that some are refused.
    Crowded,
}

/// What somebody asks over the control socket.
pub(crate) enum Request {
    /// Every service, and what does not work now.
    List(oneshot::Sender<(Vec<Service>, Vec<Trouble>)>),
    /// One service, with what only the loop knows of it.
    Detail(String, oneshot::Sender<Option<Box<Detail>>>),
    /// A command, answered when it is remembered.
    Command { name: String, command: Command, by: String, reply: oneshot::Sender<Result<Service, Problem>> },
    /// Answered when a service has come to a state.
    Wait { name: String, until: WaitFor, reply: oneshot::Sender<Result<Service, Problem>> },
    /// The number of a service.
    Find(String, oneshot::Sender<Option<ServiceId>>),
    /// The plan.
    Plan(oneshot::Sender<Arc<Plan>>),
    /// Another plan is to be followed.
    Follow { plan: Arc<Plan>, by: String, reply: oneshot::Sender<Foreseen> },
    /// What would come of that.
    Foresee { plan: Arc<Plan>, reply: oneshot::Sender<Foreseen> },
    /// Another binary is to take the guard's place. `answered` ends when the connection of the caller does.
    Upgrade {
        binary: PathBuf,
        by: String,
        reply: oneshot::Sender<Result<Upgrading, Problem>>,
        answered: oneshot::Receiver<()>,
    },
    /// Everything is to be stopped.
    Shutdown { by: String, now: bool, reply: oneshot::Sender<()> },
    /// The guard is to end alone.
    Leave { by: String, reply: oneshot::Sender<Result<(), Problem>> },
    /// The guard itself.
    Info(oneshot::Sender<Info>),
    /// Every service with what it uses.
    Measure(oneshot::Sender<Vec<Measured>>),
}

/// What changes with another plan, and what comes of it for each service that changes.
pub(crate) type Foreseen = (PlanDiff, BTreeMap<ServiceName, Outcome>);

/// One service, with what only the loop knows of it.
pub(crate) struct Detail {
    pub service: Service,
    pub plan: Arc<menshen_plan::ServicePlan>,
    pub probes: Vec<menshen_core::ProbeStatus>,
    pub depends_on: Vec<menshen_api::types::Dependency>,
    pub usage: Option<menshen_os::usage::Usage>,
    /// Of the service, and of the guard itself.
    pub troubles: Vec<Trouble>,
}

/// The guard itself.
pub(crate) struct Info {
    pub started: Time,
    pub trees: &'static str,
    pub services: usize,
    pub shutting_down: bool,
    pub upgraded: Option<Upgraded>,
    pub service: Option<String>,
}

/// A service with what it uses.
pub(crate) struct Measured {
    pub service: Service,
    pub usage: menshen_os::usage::Usage,
}

/// Sends inputs to the loop and wakes it.
#[derive(Clone)]
pub(crate) struct Inputs {
    sender: mpsc::Sender<Input>,
    waker: Waker,
}

impl Inputs {
    /// Both ends.
    pub(crate) fn channel(waker: Waker) -> (Self, mpsc::Receiver<Input>) {
        let (sender, receiver) = mpsc::channel(INPUTS_MAX);
        (Self { sender, waker }, receiver)
    }

    /// From a task. Nobody hears it when the guard has ended.
    pub(crate) async fn send(&self, input: Input) {
        if self.sender.send(input).await.is_ok() {
            self.waker.wake();
        }
    }

    /// From a thread that may wait.
    pub(crate) fn send_blocking(&self, input: Input) {
        if self.sender.blocking_send(input).is_ok() {
            self.waker.wake();
        }
    }

    /// Asks the loop and waits for its answer; `None` when the guard has ended.
    pub(crate) async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Request(request(reply))).await;
        answer.await.ok()
    }
}

/// What the logs have to say. Their thread never waits for the loop here, because the loop may be waiting for it. The same
/// thing said twice is heard once, so there are never more than a few for each service.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogReports(Arc<Mutex<Vec<Report>>>);

impl LogReports {
    /// From the logs' thread.
    pub(crate) fn push(&self, report: Report, inputs: &Inputs) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What has been said of the same meanwhile is said anew.
        reports.retain(|earlier| !earlier.is_about_what(&report));
        reports.push(report);
        drop(reports);
        // A loop with a full queue of inputs looks here anyway.
        if inputs.sender.try_send(Input::Logs).is_ok() {
            inputs.waker.wake();
        }
    }

    /// By the loop.
    pub(crate) fn take(&self) -> Vec<Report> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
