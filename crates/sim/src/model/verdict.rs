//! What an end means, and how long the waits after it may be.

use std::time::Duration;

use menshen_core::Exit;
use menshen_plan::ServicePlan;
use menshen_plan::definition::{ExitAction, ExitMatch, OnOom, RestartPolicy, ServiceType};

use super::Next;

/// What an end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts, and it will be tried again.
    Failure,
    /// It is left alone.
    Rest(Next),
}

/// The exit rules come first, then the policy; a one-shot that exits with 0 is done whatever they say, unless it failed.
pub(super) fn of_exit(plan: &ServicePlan, exit: Exit, oom: bool) -> Verdict {
    if oom {
        return of_limit(plan);
    }
    let done = plan.kind == ServiceType::Oneshot && exit == Exit::Code(0);
    let matched = match exit {
        Exit::Code(code) => Some(ExitMatch::Code(code)),
        Exit::Signal(signal) => Some(ExitMatch::Signal(signal)),
        Exit::Unknown => None,
    };
    let rule = matched.and_then(|matched| plan.restart.rules.on_exit.get(&matched));
    match (rule, plan.restart.policy) {
        (Some(ExitAction::Fail), _) => Verdict::Rest(Next::Fail),
        (Some(ExitAction::Stop | ExitAction::Restart) | None, _) if done => Verdict::Rest(Next::Complete),
        (Some(ExitAction::Stop), _) => Verdict::Rest(Next::Stop),
        (Some(ExitAction::Restart), _) | (None, RestartPolicy::Always) => Verdict::Failure,
        (None, RestartPolicy::OnFailure | RestartPolicy::Never) if exit == Exit::Code(0) => Verdict::Rest(Next::Stop),
        (None, RestartPolicy::OnFailure) => Verdict::Failure,
        (None, RestartPolicy::Never) => Verdict::Rest(Next::Fail),
    }
}

/// Liveness, watchdog, start-up time, a failed spawn: the policy decides.
pub(super) fn of_failure(plan: &ServicePlan) -> Verdict {
    match plan.restart.policy {
        RestartPolicy::Always | RestartPolicy::OnFailure => Verdict::Failure,
        RestartPolicy::Never => Verdict::Rest(Next::Fail),
    }
}

/// Out of memory, or beyond another limit.
pub(super) fn of_limit(plan: &ServicePlan) -> Verdict {
    match plan.limits.oom {
        OnOom::Restart => of_failure(plan),
        OnOom::Stop => Verdict::Rest(Next::Stop),
        OnOom::Fail => Verdict::Rest(Next::Fail),
    }
}

/// The shortest and the longest wait after the `count`th death in a row.
pub(super) fn back_off(plan: &ServicePlan, count: u32) -> (Duration, Duration) {
    let rules = &plan.restart.rules;
    let longest = rules.max.as_secs_f64();
    let exponent = i32::try_from(count.saturating_sub(1)).unwrap_or(i32::MAX);
    // Nothing times infinity is nothing, too.
    let times = rules.factor.powi(exponent).min(f64::MAX);
    let wait = (rules.delay.as_secs_f64() * times).min(longest);
    // A nanosecond for rounding.
    let slack = 1e-9 + wait * 1e-9;
    let shortest = (wait * (1.0 - rules.jitter) - slack).max(0.0);
    let most = (wait * (1.0 + rules.jitter) + slack).min(longest);
    let duration = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(rules.max);
    (duration(shortest).min(rules.max), duration(most).min(rules.max))
}

/// How long the breaker stays open the `trips`th time in a row.
pub(super) fn open_for(plan: &ServicePlan, trips: u32) -> Duration {
    let mut open_for = plan.breaker.open_for;
    for _ in 1..trips {
        if open_for >= plan.breaker.max_open {
            break;
        }
        open_for = open_for.saturating_mul(2);
    }
    open_for.min(plan.breaker.max_open)
}
