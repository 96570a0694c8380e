//! Failures: counting them, waiting after them, forgetting them.

use std::time::Duration;

use menshen_plan::definition::AlertKind;
use menshen_plan::duration::format;

use super::{After, BreakerState, Context, Service};
use crate::effect::RecordKind;
use crate::time::Instant;
use crate::timer::Timer;
use crate::transition::Trigger;

impl Service {
    /// Counts a death. Says when the service is started again, or that the breaker opens. The wait is `at_least` this long.
    pub(super) fn count_failure(&mut self, context: &mut Context<'_>, reason: &str, at_least: Duration) -> After {
        self.life.restarts = self.life.restarts.saturating_add(1);
        self.life.restarts_total = self.life.restarts_total.saturating_add(1);
        self.life.last_failure = Some(reason.to_owned());
        self.alert(context, AlertKind::Restarting, reason);
        if self.breaker_opens(context.now) {
            return self.after_trip(context.now, reason);
        }
        let wait = self.next_wait(context).max(at_least);
        After::Retry {
            at: context.now + wait,
            reason: format!("{reason}; restart {} in {}", self.life.restarts, rounded(wait)),
        }
    }

    /// `delay × factor^(n-1)` with jitter, and never more than `max`.
    fn next_wait(&self, context: &mut Context<'_>) -> Duration {
        let rules = &self.plan.restart.rules;
        let longest = rules.max.as_secs_f64();
        let mut wait = rules.delay.as_secs_f64().min(longest);
        for _ in 1..self.life.restarts {
            if wait == 0.0 || wait >= longest || rules.factor <= 1.0 {
                break;
            }
            wait = (wait * rules.factor).min(longest);
        }
        let jitter = 1.0 + rules.jitter * (2.0 * context.random.f64() - 1.0);
        Duration::try_from_secs_f64((wait * jitter).clamp(0.0, longest)).unwrap_or(rules.max).min(rules.max)
    }

    /// Waits until `at` before the next start.
    pub(super) fn back_off(&mut self, context: &mut Context<'_>, at: Instant, reason: String) {
        self.enter(context, Trigger::Crash, reason);
        if at <= context.now {
            self.retry(context);
        } else {
            context.timers.set(self.id, Timer::Retry, at);
        }
    }

    /// The wait is over.
    pub(crate) fn retry(&mut self, context: &mut Context<'_>) {
        let reason = format!("restart {}", self.life.restarts);
        self.make_due(context, reason);
    }

    /// The service has been running and ready for `reset_after`.
    pub(crate) fn forget_restarts(&mut self, context: &mut Context<'_>) {
        if self.life.restarts > 0 {
            let reason = format!("running and ready for {}", format(self.plan.restart.rules.reset_after));
            self.record(context, RecordKind::Forgotten, reason, None);
        }
        self.life.restarts = 0;
        if self.life.breaker.state == BreakerState::Closed {
            self.life.failures.clear();
        }
    }
}

/// A wait as people read it: milliseconds are exact enough.
fn rounded(wait: Duration) -> String {
    let milliseconds = u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
    format(Duration::from_millis(milliseconds))
}
