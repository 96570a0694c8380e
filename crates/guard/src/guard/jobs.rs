//! What each process and task is there for.

use std::collections::HashMap;

use menshen_core::{RunId, ServiceId};
use menshen_os::{Place, Token};
use menshen_plan::definition::ProbeKind;
use tokio::task::AbortHandle;

use super::alert::Delivery;
use crate::probe::Miss;

/// What a process is there for.
#[derive(Debug)]
pub(super) enum Job {
    /// A program of a service.
    Run(RunId),
    /// A probe's command; what came of it, once only what it left behind is waited for.
    Probe { service: ServiceId, kind: ProbeKind, round: u64, outcome: Option<Result<(), Miss>> },
    /// An alert's command.
    Alert(Box<AlertJob>),
    /// The binary of an upgrade is asked something.
    Check(Box<CheckJob>),
}

/// The binary of an upgrade, being asked something.
#[derive(Debug)]
pub(super) struct CheckJob {
    /// Where it runs: alone.
    pub place: Place,
    /// Ends its time-out.
    pub timeout: AbortHandle,
    /// What came of it, once that is known and only its tree is waited for.
    pub outcome: Option<Result<(), String>>,
    /// The last it wrote.
    pub said: String,
}

/// An alert's command.
#[derive(Debug)]
pub(super) struct AlertJob {
    pub delivery: Delivery,
    /// Where it runs.
    pub place: Place,
    /// Ends its time-out.
    pub timeout: AbortHandle,
    /// What came of it, once that is known and only its tree is waited for.
    pub outcome: Option<Result<(), String>>,
}

/// A probe under way.
#[derive(Debug)]
pub(super) enum Asking {
    /// A task asks.
    Task(AbortHandle),
    /// A process does.
    Process(Token),
}

/// Every process and task of the guard.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    next: u64,
    jobs: HashMap<Token, Job>,
    runs: HashMap<RunId, Token>,
    probes: HashMap<(ServiceId, ProbeKind), (u64, Asking)>,
    /// Notify sockets, by the service whose they are.
    sockets: HashMap<Token, ServiceId>,
}

impl Jobs {
    /// A token nobody has had.
    pub(super) fn token(&mut self) -> Token {
        self.next += 1;
        Token(self.next)
    }

    pub(super) fn add_run(&mut self, token: Token, run: RunId) {
        self.jobs.insert(token, Job::Run(run));
        self.runs.insert(run, token);
    }

    pub(super) fn add(&mut self, token: Token, job: Job) {
        self.jobs.insert(token, job);
    }

    pub(super) fn get(&self, token: Token) -> Option<&Job> {
        self.jobs.get(&token)
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Job> {
        self.jobs.get_mut(&token)
    }

    /// The commands of alerts.
    pub(super) fn alerts(&self) -> Vec<Token> {
        let alerts = self.jobs.iter().filter(|(_, job)| matches!(job, Job::Alert(_)));
        alerts.map(|(token, _)| *token).collect()
    }

    /// Whether an alert's command runs there.
    pub(super) fn is_alert_at(&self, place: &Place) -> bool {
        self.jobs.values().any(|job| matches!(job, Job::Alert(alert) if alert.place == *place))
    }

    /// Gives up every probe, because nobody will hear its answer; the commands that still run.
    pub(super) fn give_up_probes(&mut self) -> Vec<Token> {
        for (_, (_, asking)) in self.probes.drain() {
            if let Asking::Task(task) = asking {
                task.abort();
            }
        }
        let probes = self.jobs.iter().filter(|(_, job)| matches!(job, Job::Probe { .. }));
        probes.map(|(token, _)| *token).collect()
    }

    pub(super) fn token_of(&self, run: RunId) -> Option<Token> {
        self.runs.get(&run).copied()
    }

    /// The process is gone with its tree.
    pub(super) fn remove(&mut self, token: Token) -> Option<Job> {
        let job = self.jobs.remove(&token);
        if let Some(Job::Run(run)) = &job {
            self.runs.remove(run);
        }
        job
    }

    pub(super) fn begin_probe(&mut self, service: ServiceId, kind: ProbeKind, round: u64, asking: Asking) {
        self.probes.insert((service, kind), (round, asking));
    }

    /// The probe under way, if it is of this round.
    pub(super) fn probe(&self, service: ServiceId, kind: ProbeKind, round: u64) -> Option<&Asking> {
        self.probes.get(&(service, kind)).filter(|(under_way, _)| *under_way == round).map(|(_, asking)| asking)
    }

    /// The probe has ended. Whether it was under way.
    pub(super) fn end_probe(&mut self, service: ServiceId, kind: ProbeKind, round: u64) -> bool {
        let under_way = self.probe(service, kind, round).is_some();
        if under_way {
            self.probes.remove(&(service, kind));
        }
        under_way
    }

    pub(super) fn add_socket(&mut self, token: Token, service: ServiceId) {
        self.sockets.insert(token, service);
    }

    pub(super) fn socket(&self, token: Token) -> Option<ServiceId> {
        self.sockets.get(&token).copied()
    }

    pub(super) fn remove_socket(&mut self, token: Token) {
        self.sockets.remove(&token);
    }
}
