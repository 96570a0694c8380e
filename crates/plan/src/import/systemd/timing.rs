//! When a service is started again, how long it may take, and how it is stopped.

use std::time::Duration;

use crate::definition::{ExitAction, ExitMatch, Probe, RestartPolicy, ServiceType};
use crate::signal::Signal;

use super::super::Note;
use super::super::draft::Draft;
use super::super::settings::Setting;
use super::super::values;
use super::Subject;
use super::service::time_span;

/// How long systemd waits for a stop where neither the unit nor its manager says (systemd-system.conf(5)).
const STOP_TIMEOUT: Duration = Duration::from_secs(90);
/// What systemd takes for a clean end besides exit code 0 (systemd.service(5), `SuccessExitStatus=`).
const CLEAN_SIGNALS: [Signal; 4] = [Signal::Hup, Signal::Int, Signal::Term, Signal::Pipe];

pub(super) fn translate(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    translate_policy(subject, draft);
    translate_statuses(subject, draft);
    translate_delays(subject, draft);
    translate_start_limit(subject, draft);
    translate_timeouts(subject, draft);
    translate_watchdog(subject, draft);
    translate_stop(subject, draft);
}

fn translate_policy(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let restart = &mut draft.service.restart;
    let Some(setting) = subject.unit.take("Service", "Restart") else {
        restart.policy = Some(RestartPolicy::Never);
        return;
    };
    let (policy, message) = match setting.value.as_str() {
        "no" => (RestartPolicy::Never, ""),
        "always" if draft.service.kind == ServiceType::Oneshot => (
            RestartPolicy::OnFailure,
            "a one-shot that is always started again would never be done; here it is on failure",
        ),
        "always" => (RestartPolicy::Always, ""),
        "on-failure" => (RestartPolicy::OnFailure, ""),
        "on-success" => {
            restart.on_exit.insert(ExitMatch::Code(0), ExitAction::Restart);
            (RestartPolicy::Never, "only exit code 0 is a success here")
        }
        "on-abnormal" | "on-abort" | "on-watchdog" => {
            (RestartPolicy::OnFailure, "restarts after fewer kinds of ends than on-failure, which is nearest")
        }
        _ => (RestartPolicy::OnFailure, "there is no such policy; on-failure is taken"),
    };
    restart.policy = Some(policy);
    if policy == RestartPolicy::OnFailure {
        restart.on_exit.extend(CLEAN_SIGNALS.map(|signal| (ExitMatch::Signal(signal), ExitAction::Stop)));
    }
    if !message.is_empty() {
        let message = format!("Restart={}: {message}", setting.value);
        subject.note(Note::changed(&setting, message).help("say in restart.on_exit what each end means"));
    }
}

/// What exit codes and signals mean.
fn translate_statuses(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let policy = draft.service.restart.policy;
    for (key, action) in [
        ("SuccessExitStatus", ExitAction::Stop),
        ("RestartPreventExitStatus", ExitAction::Fail),
        ("RestartForceExitStatus", ExitAction::Restart),
    ] {
        for setting in subject.unit.take_list("Service", key) {
            for word in setting.value.split_whitespace() {
                let Some(exit) = exit_match(word) else {
                    subject.note(Note::lost(
                        &setting,
                        format!("'{word}' names no exit code and no signal that is known here"),
                    ));
                    continue;
                };
                match (key, policy) {
                    // What is started again whatever happens is so after a success, too.
                    ("SuccessExitStatus", Some(RestartPolicy::Always)) => {}
                    ("SuccessExitStatus", _) if draft.service.kind == ServiceType::Oneshot => {
                        let message =
                            format!("a one-shot has completed when it exits with 0; {word} counts as a failure");
                        subject.note(Note::changed(&setting, message).help("have the command exit with 0"));
                    }
                    _ => _ = draft.service.restart.on_exit.insert(exit, action),
                }
            }
        }
    }
}

/// An exit code by its number or its name (systemd.exec(5), "Process Exit Codes"), or a signal.
fn exit_match(word: &str) -> Option<ExitMatch> {
    const NAMED: [(&str, i32); 19] = [
        ("SUCCESS", 0),
        ("FAILURE", 1),
        ("INVALIDARGUMENT", 2),
        ("NOTIMPLEMENTED", 3),
        ("NOPERMISSION", 4),
        ("NOTINSTALLED", 5),
        ("NOTCONFIGURED", 6),
        ("NOTRUNNING", 7),
        ("USAGE", 64),
        ("DATAERR", 65),
        ("NOINPUT", 66),
        ("UNAVAILABLE", 69),
        ("SOFTWARE", 70),
        ("OSERR", 71),
        ("CANTCREAT", 73),
        ("IOERR", 74),
        ("TEMPFAIL", 75),
        ("NOPERM", 77),
        ("CONFIG", 78),
    ];
    if let Ok(code) = word.parse::<u8>() {
        return Some(ExitMatch::Code(i32::from(code)));
    }
    let named = NAMED.iter().find(|(name, _)| *name == word).map(|(_, code)| ExitMatch::Code(*code));
    named.or_else(|| word.parse().ok().map(ExitMatch::Signal))
}

fn translate_delays(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let delay = subject.unit.take("Service", "RestartSec");
    let steps = subject.unit.take("Service", "RestartSteps");
    let longest = subject.unit.take("Service", "RestartMaxDelaySec");
    if draft.service.restart.policy == Some(RestartPolicy::Never) && draft.service.restart.on_exit.is_empty() {
        // Nothing is ever waited for.
        return;
    }
    let restart = &mut draft.service.restart;
    let mut bad = Vec::new();
    let mut span = |setting: &Option<Setting>| {
        let setting = setting.as_ref()?;
        let span = time_span(&setting.value);
        if span.is_none() {
            bad.push(Note::lost(setting, "this is not a time span"));
        }
        span
    };
    let (first, last) = (span(&delay), span(&longest));
    bad.into_iter().for_each(|note| subject.note(note));
    let steps: Option<u32> = steps.and_then(|setting| setting.value.parse().ok()).filter(|steps| *steps > 0);
    let Some(first) = first.or_else(|| last.map(|_| Duration::from_millis(100))) else { return };
    restart.delay = first;
    restart.max = first;
    // systemd always waits as long, unless it is told how the waits grow.
    restart.factor = 1.0;
    restart.jitter = 0.0;
    if let (Some(last), Some(steps)) = (last.filter(|last| *last > first && !first.is_zero()), steps) {
        let grown = last.as_secs_f64() / first.as_secs_f64();
        let factor = grown.powf(1.0 / f64::from(steps));
        restart.max = last;
        restart.factor = ((factor * 100.0).round() / 100.0).max(1.01);
    }
}

/// So many starts in so much time, and the unit has failed.
fn translate_start_limit(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let mut take = |unit_key: &str, service_key: &str| {
        let new = subject.unit.take("Unit", unit_key);
        new.or_else(|| subject.unit.take("Service", service_key)).or_else(|| subject.unit.take("Unit", service_key))
    };
    let interval = take("StartLimitIntervalSec", "StartLimitInterval");
    let burst = take("StartLimitBurst", "StartLimitBurst");
    let Some(setting) = burst.as_ref().or(interval.as_ref()).cloned() else { return };
    if draft.service.restart.policy == Some(RestartPolicy::Never) {
        return;
    }
    let within = interval.as_ref().map_or(Some(Duration::from_secs(10)), |setting| time_span(&setting.value));
    let starts = burst.as_ref().map_or(Some(5), |setting| setting.value.parse::<u16>().ok());
    let (Some(within), Some(starts)) = (within, starts) else {
        return subject.note(Note::lost(&setting, "this is not a number of starts in a time span"));
    };
    let breaker = &mut draft.service.breaker;
    if within.is_zero() || starts == 0 {
        breaker.failures = 0;
        return;
    }
    breaker.failures = starts;
    breaker.within = within;
    breaker.give_up_after = 1;
}

fn translate_timeouts(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let both = subject.unit.take("Service", "TimeoutSec");
    let start = subject.unit.take("Service", "TimeoutStartSec").or_else(|| both.clone());
    let stop = subject.unit.take("Service", "TimeoutStopSec").or(both);
    draft.service.stop.timeout = STOP_TIMEOUT;
    if let Some(setting) = stop {
        match time_span(&setting.value) {
            // systemd takes 0 for no limit at all.
            Some(span) if span.is_zero() => draft.service.stop.timeout = crate::duration::DURATION_MAX,
            Some(span) => draft.service.stop.timeout = span,
            None => subject.note(Note::lost(&setting, "this is not a time span; 90 s are taken")),
        }
    }
    let Some(setting) = start else { return };
    match (time_span(&setting.value), draft.service.kind) {
        (None, _) => subject.note(Note::lost(&setting, "this is not a time span")),
        (Some(span), ServiceType::Oneshot) if span >= crate::duration::DURATION_MAX => {}
        (Some(span), ServiceType::Notify | ServiceType::Oneshot) => {
            let span = if span.is_zero() { crate::duration::DURATION_MAX } else { span };
            draft.service.start_timeout = Some(span);
        }
        // It is up when it is started; what may take so long is what runs before it.
        (Some(span), ServiceType::Daemon) => subject.start_timeout = Some(span).filter(|span| !span.is_zero()),
    }
}

fn translate_watchdog(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let Some(setting) = subject.unit.take("Service", "WatchdogSec") else { return };
    match time_span(&setting.value) {
        Some(span) if span.is_zero() => {}
        Some(span) => {
            let probe = Probe { notify: true, interval: span, failure: 1, ..Probe::default() };
            draft.service.probe.liveness = Some(probe);
        }
        None => subject.note(Note::lost(&setting, "this is not a time span")),
    }
}

fn translate_stop(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    if let Some(setting) = subject.unit.take("Service", "KillSignal") {
        match values::signal(&setting.value) {
            Some(signal) => draft.service.stop.signal = signal,
            None => subject.note(Note::lost(&setting, "this is not a signal; SIGTERM is sent")),
        }
    }
    let Some(setting) = subject.unit.take("Service", "KillMode") else { return };
    let message = match setting.value.as_str() {
        "control-group" | "mixed" => return,
        "process" => {
            draft.service.stop.tree = false;
            return;
        }
        "none" => {
            draft.service.stop.tree = false;
            "nothing was signalled at all; here the main process is"
        }
        _ => "there is no such mode; the whole tree is stopped",
    };
    subject.note(Note::changed(&setting, message));
}
