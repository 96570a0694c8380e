//! What the program says about itself.

use std::time::Duration;

use menshen_plan::definition::ProbeKind;
use menshen_plan::plan::ProbeCheck;

use super::{Context, Service};
use crate::event::Notification;
use crate::state::State;
use crate::timer::Timer;

impl Service {
    pub(crate) fn notified(&mut self, context: &mut Context<'_>, notification: Notification) {
        match notification {
            Notification::Ready => self.said_ready(context),
            Notification::Reloading => self.said_unready(context, "it is reloading"),
            Notification::Stopping => self.said_unready(context, "it is stopping by itself"),
            Notification::Status(text) => self.life.status_text = Some(text),
            Notification::Watchdog => self.fed_by(context, &ProbeCheck::Notify),
            Notification::WatchdogTrigger => {
                self.watchdog_expired(context, "it asked to be restarted (WATCHDOG=trigger)");
            }
            Notification::WatchdogPeriod(period) => self.set_watchdog(context, period),
            Notification::ExtendTimeout(by) => self.extend_timeout(context, by),
        }
    }

    fn said_ready(&mut self, context: &mut Context<'_>) {
        self.life.said_ready = true;
        if self.asks_notify(ProbeKind::Startup) && self.state() == State::Starting {
            self.life.startup_passed = true;
        }
        self.check_up(context);
        if self.ready_by_notify() && self.state() == State::Running {
            self.set_ready(context, true, "it said READY=1");
        }
    }

    fn said_unready(&mut self, context: &mut Context<'_>, why: &str) {
        self.life.said_ready = false;
        if self.ready_by_notify() {
            self.set_ready(context, false, why);
        }
    }

    /// A line of output matched.
    pub(crate) fn log_matched(&mut self, context: &mut Context<'_>, kind: ProbeKind) {
        let Some(check) = self
            .plan
            .probes
            .get(kind)
            .map(|plan| plan.check.clone())
            .filter(|check| matches!(check, ProbeCheck::Log(_)))
        else {
            return;
        };
        match kind {
            ProbeKind::Liveness => self.fed_by(context, &check),
            ProbeKind::Startup if self.state() == State::Starting => self.probe_passed(context, kind),
            ProbeKind::Startup => {}
            // A line that comes before the service is up must not be lost: it may come only once.
            ProbeKind::Readiness => {
                self.life.log_ready = true;
                self.probe_passed(context, kind);
            }
        }
    }

    /// A sign of life of this kind feeds the watchdog if that is what it waits for.
    fn fed_by(&mut self, context: &mut Context<'_>, check: &ProbeCheck) {
        if self.plan.probes.liveness.as_ref().is_some_and(|plan| plan.check == *check) {
            self.feed_watchdog(context);
        }
    }

    /// From now on the program feeds its watchdog at another pace.
    fn set_watchdog(&mut self, context: &mut Context<'_>, period: Duration) {
        if period.is_zero() || !self.asks_notify(ProbeKind::Liveness) {
            return;
        }
        self.life.watchdog_period = Some(period);
        if context.timers.get(self.id, Timer::Watchdog).is_some() {
            context.timers.set(self.id, Timer::Watchdog, context.now + period);
        }
    }

    fn asks_notify(&self, kind: ProbeKind) -> bool {
        self.plan.probes.get(kind).is_some_and(|plan| plan.check == ProbeCheck::Notify)
    }
}
