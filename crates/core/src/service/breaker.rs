//! The breaker: open after too many failures, half-open for a trial, closed when the trial holds.

use std::time::Duration;

use menshen_plan::count::counted;
use menshen_plan::definition::AlertKind;
use menshen_plan::duration::format;
use serde::{Deserialize, Serialize};

use super::{After, Context, Service};
use crate::effect::RecordKind;
use crate::time::Instant;
use crate::timer::Timer;
use crate::transition::Trigger;

/// The breaker of one service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Breaker {
    pub state: BreakerState,
    /// Openings in a row.
    pub trips: u32,
    /// Everything a trial needs is there, so a fallback in its way makes way.
    pub trial_cleared: bool,
}

/// The three states of a breaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Failures are waited out.
    #[default]
    Closed,
    /// Nothing is started until the trial.
    Open,
    /// The trial is under way.
    HalfOpen,
}

impl Service {
    /// Notes a failure. Whether it opens the breaker: it is one too many, or the trial failed.
    pub(super) fn breaker_opens(&mut self, now: Instant) -> bool {
        let plan = &self.plan.breaker;
        if plan.failures == 0 {
            return false;
        }
        let failures = &mut self.life.failures;
        failures.push_back(now);
        failures.retain(|at| now.since(*at) <= plan.within);
        while failures.len() > usize::from(plan.failures) {
            failures.pop_front();
        }
        self.life.breaker.state != BreakerState::Closed || failures.len() >= usize::from(plan.failures)
    }

    /// Notes a failure after which a guard, which did not live to note it, started the program again: a breaker that it opened
    /// has come to its trial since.
    pub(super) fn count_unnoted_failure(&mut self, now: Instant) {
        if self.breaker_opens(now) {
            self.life.failures.clear();
            self.life.breaker.trips = self.life.breaker.trips.saturating_add(1);
            self.life.breaker.state = BreakerState::HalfOpen;
        }
    }

    /// The breaker opens, once more or for the last time.
    pub(super) fn after_trip(&mut self, now: Instant, reason: &str) -> After {
        let plan = &self.plan.breaker;
        let again = self.life.breaker.state != BreakerState::Closed;
        let what = if again {
            "the trial failed".to_owned()
        } else {
            format!("{} within {}", counted(plan.failures, "failure", "failures"), format(plan.within))
        };
        self.life.breaker.trips = self.life.breaker.trips.saturating_add(1);
        self.life.failures.clear();
        let trips = self.life.breaker.trips;
        if plan.give_up_after > 0 && trips >= plan.give_up_after {
            let times = counted(trips, "time", "times");
            return After::Fail { reason: format!("gave up after the breaker opened {times}; {reason}") };
        }
        let open_for = self.open_for(trips);
        self.life.breaker.state = BreakerState::Open;
        self.life.breaker.trial_cleared = false;
        After::Trip { until: now + open_for, reason: format!("{reason}; {what}, trial in {}", format(open_for)) }
    }

    /// `open_for`, doubled with each opening in a row, and never more than `max_open`.
    fn open_for(&self, trips: u32) -> Duration {
        let plan = &self.plan.breaker;
        let doublings = trips.saturating_sub(1).min(31);
        plan.open_for.saturating_mul(1 << doublings).min(plan.max_open)
    }

    /// Stays down until `until`, with the fallback in its place.
    pub(super) fn trip(&mut self, context: &mut Context<'_>, until: Instant, reason: String) {
        self.enter(context, Trigger::Trip, reason.clone());
        context.timers.set(self.id, Timer::Trial, until);
        self.life.alerted = true;
        self.alert(context, AlertKind::Tripped, reason);
    }

    /// The time for a trial has come.
    pub(crate) fn trial(&mut self, context: &mut Context<'_>) {
        let waited = format(Duration::from_secs(context.now.since(self.life.since).as_secs()));
        self.make_due(context, format!("trial after {waited}"));
    }

    /// The trial has stayed ready for `close_after`.
    pub(crate) fn close_breaker(&mut self, context: &mut Context<'_>) {
        let reason = format!("ready for {}", format(self.plan.breaker.close_after));
        self.reset_breaker();
        self.record(context, RecordKind::BreakerClosed, reason.clone(), None);
        self.recovered(context, reason);
    }

    pub(crate) fn reset_breaker(&mut self) {
        self.life.breaker = Breaker::default();
        self.life.failures.clear();
    }

    /// Tells people that what they were told of is over.
    pub(super) fn recovered(&mut self, context: &mut Context<'_>, reason: String) {
        if std::mem::take(&mut self.life.alerted) {
            self.alert(context, AlertKind::Recovered, reason);
        }
    }
}
