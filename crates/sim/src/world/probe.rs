//! Rounds of probes in flight.

use std::time::Duration;

use menshen_core::{Role, ServiceId};
use menshen_plan::definition::ProbeKind;

use super::report::{News, Report};
use super::{Happening, TreeId, World};

/// One round in so many cannot be asked, because the guard lacks something. It is no matter of chance, so that the seeds of
/// old bugs go on to mean what they meant.
const CANNOT_BE_ASKED: u64 = 17;

/// One round that has not ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    service: ServiceId,
    probe: ProbeKind,
    round: u64,
    /// Whom it asks; `None` if nobody was there.
    tree: Option<TreeId>,
    /// Whether its end is on its way to the guard.
    ended: bool,
}

impl Round {
    pub(super) const fn answer(&self) -> Happening {
        Happening::Answers { service: self.service, probe: self.probe, round: self.round }
    }
}

impl World {
    /// Asks a program.
    pub(super) fn ask(&mut self, service: ServiceId, probe: ProbeKind, round: u64) {
        let now = self.clock.now();
        let mut asked = self.runs.range(super::carry_out::runs_of(service)).filter_map(|(run, id)| {
            let tree = self.trees.get(id).filter(|tree| tree.is_main_alive())?;
            (run.role == Role::Main).then_some((*id, tree.answer(now, probe)))
        });
        let asked = asked.next_back();
        let flight = Round { service, probe, round, tree: asked.map(|(id, _)| id), ended: false };
        self.rounds.insert((service, probe), flight);
        if round.is_multiple_of(CANNOT_BE_ASKED) {
            return self.end_round((service, probe, round), News::NotProbed { service, probe, round }, Duration::ZERO);
        }
        let wait = match asked {
            None => Some(Duration::from_millis(1)),
            Some((_, answer)) => answer.map(|(wait, _)| wait),
        };
        if let Some(wait) = wait {
            self.clock.after(wait, flight.answer());
        }
    }

    /// The program answers, if it still can.
    pub(super) fn answers(&mut self, service: ServiceId, probe: ProbeKind, round: u64) {
        let now = self.clock.now();
        let Some(flight) = self.rounds.get(&(service, probe)).filter(|flight| flight.round == round) else { return };
        let tree = flight.tree.and_then(|id| self.trees.get(&id)).filter(|tree| tree.is_main_alive());
        let outcome = match tree {
            None => Err("connection refused"),
            // It hangs until the round is cancelled.
            Some(tree) if !tree.is_awake() => return,
            Some(tree) => match tree.answer(now, probe) {
                Some((_, true)) => Ok(()),
                Some((_, false)) => Err("503 Service Unavailable"),
                None => return,
            },
        };
        self.end_round((service, probe, round), News::Probed { service, probe, round, outcome }, Duration::ZERO);
    }

    /// Ends a round: the probe's processes are killed, which may take its time.
    pub(super) fn cancel(&mut self, service: ServiceId, probe: ProbeKind, round: u64) {
        let wait = self.random.weighted(&[(75, 0), (20, 20), (5, 3000)]);
        let news = News::Probed { service, probe, round, outcome: Err("cancelled") };
        self.end_round((service, probe, round), news, Duration::from_millis(wait));
    }

    fn end_round(&mut self, which: (ServiceId, ProbeKind, u64), news: News, wait: Duration) {
        let (service, probe, round) = which;
        let Some(flight) = self.rounds.get_mut(&(service, probe)) else { return };
        if flight.round == round && !std::mem::replace(&mut flight.ended, true) {
            self.clock.after(wait, Happening::Told(Report { tree: flight.tree.unwrap_or(TreeId(0)), news }));
        }
    }
}
