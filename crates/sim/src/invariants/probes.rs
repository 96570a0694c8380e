//! Probes: in turn, where they belong, and what follows from their answers.

use menshen_core::{Effect, Event, ServiceId, ServiceStatus, State};
use menshen_plan::definition::ProbeKind;

use super::{Checker, Invariant};
use crate::model::Service;

impl Checker {
    pub(super) fn check_probe(&mut self, effect: &Effect) {
        match effect {
            Effect::Probe { service, probe, round } => {
                let why = self.model.services.get(service).and_then(|service| out_of_turn(service, *probe));
                if let Some(why) = why {
                    let what = format!("round {round} of {probe} is asked, {why}");
                    self.broken(Invariant::ProbesInTurn, Some(*service), what);
                }
            }
            Effect::CancelProbe { service, probe, round } => {
                let known = self.model.services.get(service).and_then(|service| service.probes.get(probe));
                let flies = known
                    .and_then(|probe| probe.round)
                    .is_some_and(|(number, _, cancelled)| number == *round && !cancelled);
                if !flies {
                    let what = format!("round {round} of {probe} is cancelled, which is not in flight");
                    self.broken(Invariant::ProbesInTurn, Some(*service), what);
                }
            }
            Effect::Remember { .. }
            | Effect::Spawn { .. }
            | Effect::Signal { .. }
            | Effect::Kill { .. }
            | Effect::Freeze { .. }
            | Effect::Thaw { .. }
            | Effect::DropFds { .. }
            | Effect::Replanned { .. }
            | Effect::Removed { .. }
            | Effect::Record(_)
            | Effect::Alert(_)
            | Effect::Reply(_)
            | Effect::ShutdownComplete { .. } => {}
        }
    }

    /// What the evidence demands is so.
    pub(super) fn check_evidence(&mut self, id: ServiceId, event: &Event, status: &ServiceStatus) {
        let Some(service) = self.model.services.get(&id) else { return };
        if let Some(what) = against_evidence(service, status) {
            self.broken(Invariant::EvidenceDecides, Some(id), what);
            return;
        }
        if *event != Event::Timeout {
            return;
        }
        for (probe, (round, until, cancelled)) in
            service.probes.iter().filter_map(|(kind, probe)| probe.round.map(|round| (*kind, round)))
        {
            if until <= self.now && !cancelled {
                let what = format!("round {round} of {probe} should have been cancelled at {until}");
                self.broken(Invariant::ProbesInTurn, Some(id), what);
                return;
            }
        }
    }
}

/// Why a round may not be asked now.
fn out_of_turn(service: &Service, kind: ProbeKind) -> Option<&'static str> {
    let belongs = match kind {
        ProbeKind::Startup => service.state == State::Starting,
        ProbeKind::Liveness | ProbeKind::Readiness => service.state == State::Running,
    };
    let in_flight = service.probes.get(&kind).is_some_and(|probe| probe.round.is_some());
    match service.plan.probes.get(kind) {
        None => Some("and the definition has no such probe"),
        Some(plan) if !plan.check.is_asked() => Some("and only the program itself can tell"),
        Some(_) if !belongs => Some("and the service is not where this probe belongs"),
        Some(_) if in_flight => Some("and the last round has not ended"),
        Some(_) if kind == ProbeKind::Startup && service.startup_shown => Some("and has succeeded already"),
        Some(_) => None,
    }
}

fn against_evidence(service: &Service, status: &ServiceStatus) -> Option<String> {
    let running = status.state == State::Running;
    let daemon = service.plan.kind != menshen_plan::definition::ServiceType::Oneshot;
    if status.ready && !running && status.state != State::Completed {
        return Some(format!("it is called ready, and is {}", status.state));
    }
    if running && status.ready && service.shows_unready() {
        return Some("it is called ready, and has shown that it is not".to_owned());
    }
    if running && daemon && !status.ready && service.shows_ready() {
        return Some("it is not called ready, and has shown that it is".to_owned());
    }
    if status.state == State::Starting && service.shows_up() {
        return Some("it is still called starting, and has shown that it is up".to_owned());
    }
    if !status.state.is_up() && status.healthy.is_some() {
        return Some(format!("it has a health, and is {}", status.state));
    }
    None
}
