//! What the core tells: every change, every answer, and nothing that is not so.

use menshen_core::transition::TABLE;
use menshen_core::{Command, Effect, Event, RecordKind, Refusal, ServiceId, ServiceStatus, State, Wanted};
use menshen_plan::definition::Condition;

use super::{Checker, Invariant};

/// What was told in one event.
#[derive(Debug, Default)]
pub(super) struct Told {
    answers: Vec<Result<(), Refusal>>,
    must_refuse: Option<bool>,
}

impl Checker {
    pub(super) fn check_journal(&mut self, event: &Event, effect: &Effect) {
        if let (Effect::Reply(reply), Event::Command { ticket, .. }) = (effect, event) {
            if Some(reply.ticket) == *ticket {
                self.journal.answers.push(reply.result);
            } else {
                self.broken(Invariant::CommandsAreAnswered, None, format!("{reply:?} answers nobody"));
            }
        }
        let Effect::Record(record) = effect else { return };
        let id = record.service.as_ref().and_then(|name| self.model.id(name));
        match record.kind {
            RecordKind::Transition { from, to, .. } => self.check_transition(id, from, to),
            RecordKind::Command { command, .. } => {
                self.journal.must_refuse = id.and_then(|id| self.must_refuse(id, command));
            }
            RecordKind::Probe { probe: menshen_plan::definition::ProbeKind::Readiness, passing } => {
                self.check_readiness(id, passing);
            }
            RecordKind::Probe { .. }
            | RecordKind::BreakerClosed
            | RecordKind::Forgotten
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

    fn check_transition(&mut self, id: Option<ServiceId>, from: State, to: State) {
        let known = id.and_then(|id| self.model.services.get(&id)).map(|service| service.state);
        if known != Some(from) {
            let what = format!("the journal says {from} to {to}, and it was {known:?}");
            self.broken(Invariant::JournalTellsAll, id, what);
        }
        if !TABLE.iter().any(|(start, _, end)| (*start, *end) == (from, to)) {
            self.broken(Invariant::JournalTellsAll, id, format!("no row of the table leads from {from} to {to}"));
        }
    }

    fn check_readiness(&mut self, id: Option<ServiceId>, passing: bool) {
        let Some(service) = id.and_then(|id| self.model.services.get(&id)) else { return };
        let shown = if passing { service.shows_ready() } else { service.shows_unready() };
        if !shown {
            let word = if passing { "ready" } else { "unready" };
            self.broken(Invariant::EvidenceDecides, id, format!("it is called {word} without evidence"));
        }
    }

    /// Whether a command has to be refused; `None` where the model has no opinion.
    fn must_refuse(&self, id: ServiceId, command: Command) -> Option<bool> {
        let service = self.model.services.get(&id)?;
        let disabled = service.plan.start == menshen_plan::definition::StartType::Disabled;
        match command {
            Command::Stop => Some(false),
            Command::Start | Command::Restart => Some(self.model.shutting_down || disabled || service.gone),
            Command::Pause => {
                Some(self.model.shutting_down || service.state.is_at_rest() || service.wanted == Wanted::Down)
            }
            Command::Continue => Some(self.model.shutting_down || service.wanted != Wanted::Paused),
            Command::Reset => Some(self.model.shutting_down),
            Command::Signal(_) | Command::Reload => None,
        }
    }

    pub(super) fn check_answers(&mut self, event: &Event) {
        let Event::Command { service, command, ticket, .. } = event else { return };
        let Told { answers, must_refuse } = std::mem::take(&mut self.journal);
        if answers.len() != usize::from(ticket.is_some()) {
            let what = format!("{command} was answered {} times", answers.len());
            self.broken(Invariant::CommandsAreAnswered, Some(*service), what);
        }
        let refused = answers.first().is_some_and(Result::is_err);
        if must_refuse.is_some_and(|must| must != refused) && ticket.is_some() {
            let what = if refused { "refused, for no reason" } else { "accepted, and should have been refused" };
            self.broken(Invariant::CommandsAreAnswered, Some(*service), format!("{command} was {what}"));
        }
    }

    /// What the core shows is what the model knows.
    pub(super) fn check_statuses(&mut self, statuses: &[(ServiceId, ServiceStatus)]) {
        for (id, status) in statuses {
            let Some(service) = self.model.services.get(id) else {
                self.broken(Invariant::StatusIsTrue, None, format!("{} is shown, and nobody told of it", status.name));
                continue;
            };
            let shown = (status.state, status.ready, status.wanted, status.restarts, status.restarts_total);
            let ready = service.holds(Condition::Ready);
            let real = (service.state, ready, service.wanted, service.restarts, service.restarts_total);
            let breaker = (status.breaker.state, status.breaker.trips);
            if shown != real || breaker != (service.breaker, service.trips) {
                let what = format!(
                    "state, ready, wanted, restarts, total, breaker, trips are shown as {shown:?} {breaker:?}, and have \
                     to be {real:?} {:?}",
                    (service.breaker, service.trips)
                );
                self.broken(Invariant::StatusIsTrue, Some(*id), what);
            } else if status.outdated != service.is_outdated() {
                let what = format!("outdated is shown as {}", status.outdated);
                self.broken(Invariant::StatusIsTrue, Some(*id), what);
            }
        }
        if let Some(id) = self.model.services.keys().find(|id| !statuses.iter().any(|(shown, _)| shown == *id)).copied()
        {
            self.broken(Invariant::StatusIsTrue, Some(id), "it is not shown any more");
        }
    }
}
