//! Whether restart rules, back-off and breaker fit together.

use std::time::Duration;

use crate::check::{Code, Context, Subject};
use crate::definition::{ExitAction, ExitMatch, RestartPolicy, ServiceType};
use crate::diagnostic::Diagnostic;
use crate::duration::format;
use crate::plan::ServicePlan;

pub(crate) fn check(_: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    check_backoff(subject, diagnostics);
    check_oneshot(subject, diagnostics);
    check_breaker_window(subject, diagnostics);
    check_exit_rules(subject, diagnostics);
}

fn check_backoff(subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let rules = &subject.plan.restart.rules;
    if rules.max < rules.delay {
        let message =
            format!("the longest wait ({}) is shorter than the first one ({})", format(rules.max), format(rules.delay));
        let path: &[&str] =
            if subject.is_written(&["restart", "max"]) { &["restart", "max"] } else { &["restart", "delay"] };
        diagnostics.push(
            Diagnostic::new(Code::BackoffMax, message)
                .at(subject.value(path))
                .help("make `restart.max` at least as long as `restart.delay`"),
        );
    }
}

fn check_oneshot(subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = subject.plan;
    if plan.kind == ServiceType::Oneshot && plan.restart.policy == RestartPolicy::Always {
        let message = "a one-shot that is always restarted never completes";
        let help = "use policy = \"on-failure\", or type = \"daemon\"";
        diagnostics.push(
            Diagnostic::new(Code::OneshotDaemonRule, message).at(subject.value(&["restart", "policy"])).help(help),
        );
    }
}

fn check_breaker_window(subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = subject.plan;
    if !restarts(plan) || plan.breaker.failures < 2 || plan.restart.rules.max < plan.restart.rules.delay {
        return;
    }
    let fill = time_to_fill(plan);
    if fill > plan.breaker.within {
        let message = format!(
            "the breaker never opens: {} failures take at least {} with this back-off, and the window is {}",
            plan.breaker.failures,
            format(fill),
            format(plan.breaker.within)
        );
        let path: &[&str] = if subject.is_written(&["breaker"]) { &["breaker", "within"] } else { &["restart"] };
        diagnostics.push(
            Diagnostic::new(Code::BreakerWindow, message)
                .at(subject.value(path))
                .help("make `breaker.within` longer, `breaker.failures` smaller, or the waits shorter"),
        );
    }
}

/// The least time between the first and the last of the failures that open the breaker: the waits between them, each
/// shortened by all of its jitter.
fn time_to_fill(plan: &ServicePlan) -> Duration {
    let rules = &plan.restart.rules;
    let mut total = Duration::ZERO;
    let mut wait = rules.delay.as_secs_f64();
    let longest = rules.max.as_secs_f64();
    for _ in 1..plan.breaker.failures {
        let shortest = wait.min(longest) * (1.0 - rules.jitter.clamp(0.0, 1.0));
        total = total.saturating_add(Duration::try_from_secs_f64(shortest).unwrap_or(Duration::MAX));
        if wait < longest {
            wait *= rules.factor.clamp(1.0, 1000.0);
        }
    }
    total
}

/// Whether anything ever starts this service again.
fn restarts(plan: &ServicePlan) -> bool {
    plan.restart.policy != RestartPolicy::Never
        || plan.restart.rules.on_exit.values().any(|action| *action == ExitAction::Restart)
}

fn check_exit_rules(subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = subject.plan;
    let mut unreachable = |path: &[&str], message: String, help: &str| {
        diagnostics.push(Diagnostic::new(Code::UnreachableRule, message).at(subject.key(path)).help(help));
    };
    for (exit, action) in &plan.restart.rules.on_exit {
        let key = exit.to_string();
        let path = ["restart", "on_exit", key.as_str()];
        match (exit, action) {
            (ExitMatch::Code(code), _) if !(0..=255).contains(code) && is_small(*code) => {
                unreachable(
                    &path,
                    format!("no program exits with {code}: exit codes go from 0 to 255"),
                    "take the rule out",
                );
            }
            (ExitMatch::Code(0), ExitAction::Restart) if plan.kind == ServiceType::Oneshot => {
                unreachable(
                    &path,
                    "a one-shot that exits with 0 has completed; it is not started again".to_owned(),
                    "use type = \"daemon\" for what runs again and again",
                );
            }
            (ExitMatch::Code(_) | ExitMatch::Signal(_), _) => {}
        }
    }
    if !restarts(plan) {
        for key in ["delay", "factor", "max", "jitter"] {
            if subject.is_written(&["restart", key]) {
                unreachable(
                    &["restart", key],
                    format!("`{key}` has no effect: policy = \"never\" restarts nothing"),
                    "take it out, or choose another policy",
                );
            }
        }
        if subject.is_written(&["breaker"]) {
            unreachable(
                &["breaker"],
                "the breaker never opens: policy = \"never\" restarts nothing".to_owned(),
                "take it out, or choose another policy",
            );
        }
    }
}

/// Windows has 32-bit exit codes (0xC0000005 is an access violation), written without a sign or as the same bits with one.
/// Small codes out of range are mistakes on every platform.
const fn is_small(code: i32) -> bool {
    code > -65_536 && code < 65_536
}
