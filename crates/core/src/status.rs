//! What there is to know about a service right now.

use menshen_plan::definition::ProbeKind;
use menshen_plan::{ServiceName, ServicePlan};

use crate::event::Exit;
use crate::service::{BreakerState, Service};
use crate::state::{State, Wanted};
use crate::time::Instant;
use crate::timer::{Timer, Timers};

/// A service as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceStatus {
    /// Its name.
    pub name: ServiceName,
    /// Its state.
    pub state: State,
    /// When it entered the state.
    pub since: Instant,
    /// Why.
    pub reason: String,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// It is about to be started.
    pub due: bool,
    /// The main process.
    pub pid: Option<u32>,
    /// When the main process was started.
    pub started: Option<Instant>,
    /// It runs as it was defined earlier: what was changed while no guard was there takes a restart.
    pub outdated: bool,
    /// The process of the fallback.
    pub fallback_pid: Option<u32>,
    /// Whether it can be used; a one-shot, whether it has completed: what those who wait for it to be ready wait for.
    pub ready: bool,
    /// Whether it works, if that is known.
    pub healthy: Option<bool>,
    /// Deaths since the count was forgotten.
    pub restarts: u32,
    /// Deaths in all.
    pub restarts_total: u64,
    /// When it is started again, if that is known.
    pub next_start: Option<Instant>,
    /// The breaker.
    pub breaker: BreakerStatus,
    /// How it ended last.
    pub last_exit: Option<Exit>,
    /// What went wrong last.
    pub last_failure: Option<String>,
    /// What it says of itself.
    pub status_text: Option<String>,
    /// Its probes.
    pub probes: Vec<ProbeStatus>,
}

/// A breaker as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerStatus {
    /// Closed, open or half-open.
    pub state: BreakerState,
    /// Openings in a row.
    pub trips: u32,
}

/// A probe as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeStatus {
    /// Which.
    pub kind: ProbeKind,
    /// Successes in a row.
    pub successes: u16,
    /// Failures in a row.
    pub failures: u16,
    /// What was wrong the last time.
    pub last_error: Option<String>,
}

pub(crate) fn status(service: &Service, timers: &Timers) -> ServiceStatus {
    let life = &service.life;
    let next_start = [Timer::Retry, Timer::Trial].into_iter().find_map(|timer| timers.get(service.id, timer));
    let main = life.main.as_ref().filter(|run| !run.main_ended);
    ServiceStatus {
        name: service.plan.name.clone(),
        state: life.state,
        since: life.since,
        reason: life.reason.clone(),
        wanted: life.wanted,
        due: life.due,
        pid: main.and_then(|run| run.pid),
        started: main.map(|run| run.started),
        outdated: service.is_outdated(),
        fallback_pid: life.fallback.run.as_ref().and_then(|run| run.pid),
        ready: service.is_ready(),
        healthy: life.healthy,
        restarts: life.restarts,
        restarts_total: life.restarts_total,
        next_start,
        breaker: BreakerStatus { state: life.breaker.state, trips: life.breaker.trips },
        last_exit: life.last_exit,
        last_failure: life.last_failure.clone(),
        status_text: life.status_text.clone(),
        probes: probes(&service.plan, service),
    }
}

fn probes(plan: &ServicePlan, service: &Service) -> Vec<ProbeStatus> {
    let planned = ProbeKind::ALL.into_iter().filter(|kind| plan.probes.get(*kind).is_some());
    let status = |kind| {
        let last_error = service.probes.last_error(kind).map(str::to_owned);
        let probing = service.probes.get(kind);
        ProbeStatus { kind, successes: probing.successes(), failures: probing.failures(), last_error }
    };
    planned.map(status).collect()
}
