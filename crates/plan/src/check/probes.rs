//! Whether probes can do what they are there for.

use crate::check::{Code, Context, Subject};
use crate::definition::{ProbeKind, ServiceType, StartType};
use crate::diagnostic::Diagnostic;
use crate::duration::format;
use crate::plan::ProbeCheck;

pub(crate) fn check(_: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = subject.plan;
    for kind in ProbeKind::ALL {
        let Some(probe) = plan.probes.get(kind) else { continue };
        let at = |key| subject.value(&["probe", kind.as_str(), key]);
        if probe.check.is_asked() && probe.timeout > probe.interval {
            let message = format!(
                "the {kind} probe may take {}, longer than its interval of {}",
                format(probe.timeout),
                format(probe.interval)
            );
            let help =
                "a new probe waits for the last one, so slow answers stretch the interval; make the time-out shorter";
            diagnostics.push(Diagnostic::new(Code::ProbeTimeout, message).at(at("timeout")).help(help));
        }
        if plan.kind == ServiceType::Oneshot && kind != ProbeKind::Liveness {
            let message = format!("a one-shot has no {kind}: it is done when it exits");
            diagnostics.push(
                Diagnostic::new(Code::OneshotDaemonRule, message)
                    .at(subject.key(&["probe", kind.as_str()]))
                    .help("take the probe out"),
            );
        }
    }
    check_startup_window(subject, diagnostics);
    let has_health = plan.probes.liveness.is_some() || plan.probes.readiness.is_some();
    let any_faulty = subject.is_faulty(&["probe"]);
    if plan.kind == ServiceType::Daemon && plan.start != StartType::Disabled && !has_health && !any_faulty {
        let message =
            format!("nothing tells whether '{}' works: it has neither a liveness nor a readiness probe", subject.name);
        let help = "give it one, such as probe.readiness.tcp = \":8080\"";
        diagnostics.push(Diagnostic::new(Code::NoHealthProbe, message).at(subject.key(&[])).help(help));
    }
}

fn check_startup_window(subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = subject.plan;
    let Some((probe, window)) = plan.probes.startup.as_ref().zip(plan.start_timeout) else { return };
    let asked_once = probe.delay.saturating_add(if probe.check == ProbeCheck::Notify {
        std::time::Duration::ZERO
    } else {
        probe.interval
    });
    if window < asked_once {
        let message = format!(
            "start-up is given {}, but the first interval of its probe ends after {}",
            format(window),
            format(asked_once)
        );
        let help = "make `start_timeout` longer, or the probe's `interval` shorter";
        diagnostics
            .push(Diagnostic::new(Code::StartupWindow, message).at(subject.value(&["start_timeout"])).help(help));
    }
}
