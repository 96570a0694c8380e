//! Timers as data: which service waits for what, and until when.

use std::collections::{BTreeMap, BTreeSet};

use menshen_plan::definition::ProbeKind;
use serde::{Deserialize, Serialize};

use crate::event::ServiceId;
use crate::time::Instant;

/// What a service can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// Being up (or, for a one-shot, done) by now.
    Start,
    /// Having ended after being asked to.
    Stop,
    /// Having ended after being killed.
    Kill,
    /// The end of the back-off.
    Retry,
    /// The breaker's trial.
    Trial,
    /// A trial that has stayed ready long enough.
    Close,
    /// Having run long enough to forget the restarts.
    Forget,
    /// Being frozen or thawed by now.
    Pause,
    /// The next sign of life.
    Watchdog,
    /// The next start of the fallback.
    FallbackRetry,
    /// The fallback having ended after being asked to.
    FallbackStop,
    /// The fallback having ended after being killed.
    FallbackKill,
    /// The next round of a probe.
    Probe(ProbeKind),
    /// The answer of a probe.
    ProbeTimeout(ProbeKind),
}

impl Timer {
    /// Whether the next guard takes it over. It asks and watches anew, so the probes' own timers begin again.
    pub(crate) const fn is_remembered(self) -> bool {
        match self {
            Self::Start
            | Self::Stop
            | Self::Kill
            | Self::Retry
            | Self::Trial
            | Self::Close
            | Self::Forget
            | Self::Pause
            | Self::FallbackRetry
            | Self::FallbackStop
            | Self::FallbackKill => true,
            Self::Watchdog | Self::Probe(_) | Self::ProbeTimeout(_) => false,
        }
    }
}

/// Every timer of every service.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Instant, ServiceId, Timer)>,
    set: BTreeMap<(ServiceId, Timer), Instant>,
}

impl Timers {
    /// Sets a timer; one that was set already is moved.
    pub(crate) fn set(&mut self, service: ServiceId, timer: Timer, at: Instant) {
        self.cancel(service, timer);
        self.set.insert((service, timer), at);
        self.queue.insert((at, service, timer));
    }

    pub(crate) fn cancel(&mut self, service: ServiceId, timer: Timer) {
        if let Some(at) = self.set.remove(&(service, timer)) {
            self.queue.remove(&(at, service, timer));
        }
    }

    pub(crate) fn get(&self, service: ServiceId, timer: Timer) -> Option<Instant> {
        self.set.get(&(service, timer)).copied()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, ..)| *at)
    }

    /// Takes out the earliest timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(ServiceId, Timer)> {
        let &(at, service, timer) = self.queue.first()?;
        if at > now {
            return None;
        }
        self.cancel(service, timer);
        Some((service, timer))
    }

    /// Every timer of one service.
    pub(crate) fn of(&self, service: ServiceId) -> impl Iterator<Item = (Timer, Instant)> {
        let last = Timer::ProbeTimeout(ProbeKind::Readiness);
        self.set.range((service, Timer::Start)..=(service, last)).map(|((_, timer), at)| (*timer, *at))
    }

    /// Those the next guard takes over.
    pub(crate) fn remembered(&self, service: ServiceId) -> Vec<(Timer, Instant)> {
        self.of(service).filter(|(timer, _)| timer.is_remembered()).collect()
    }

    pub(crate) fn cancel_all(&mut self, service: ServiceId) {
        let timers: Vec<Timer> = self.of(service).map(|(timer, _)| timer).collect();
        for timer in timers {
            self.cancel(service, timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_order_and_a_moved_one_comes_once() {
        let mut timers = Timers::default();
        let (a, b) = (ServiceId(1), ServiceId(2));
        timers.set(a, Timer::Stop, Instant(5));
        timers.set(b, Timer::Start, Instant(3));
        timers.set(a, Timer::Stop, Instant(1));
        assert_eq!(timers.next(), Some(Instant(1)));
        assert_eq!(timers.pop_due(Instant(4)), Some((a, Timer::Stop)));
        assert_eq!(timers.pop_due(Instant(4)), Some((b, Timer::Start)));
        assert_eq!(timers.pop_due(Instant(9)), None);
    }

    #[test]
    fn cancelling_all_of_one_service_leaves_the_others() {
        let mut timers = Timers::default();
        timers.set(ServiceId(1), Timer::Start, Instant(1));
        timers.set(ServiceId(1), Timer::ProbeTimeout(ProbeKind::Readiness), Instant(1));
        timers.set(ServiceId(2), Timer::Start, Instant(2));
        timers.cancel_all(ServiceId(1));
        assert_eq!(timers.pop_due(Instant(9)), Some((ServiceId(2), Timer::Start)));
        assert_eq!(timers.next(), None);
    }
}
