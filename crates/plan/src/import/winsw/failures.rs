//! `<onfailure>` and `<resetfailure>`.

use std::time::Duration;

use crate::definition::RestartPolicy;

use super::super::{Note, NoteKind, values};
use super::element::Element;
use super::note_of;
use super::service::Subject;

/// How long WinSW waits for a stop where the file does not say.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// After this long without a failure Windows begins anew, where the file does not say.
const RESET_FAILURE: Duration = Duration::from_secs(86_400);

/// What one `<onfailure>` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Restart(Duration),
    Reboot,
    None,
}

pub(super) fn translate(subject: &mut Subject<'_, '_>) {
    let elements = subject.elements.take_all("onfailure");
    let reset = subject.elements.take("resetfailure").and_then(|element| time_span(&element.setting.value));
    let reset = reset.unwrap_or(RESET_FAILURE);
    let actions: Vec<Action> = elements.iter().map(action).collect();
    for (element, _) in elements.iter().zip(&actions).filter(|(_, action)| **action == Action::Reboot) {
        let message = "restarts the machine; a guard restarts programs";
        let help = "an [alert.NAME] with exec can run what restarts it";
        subject.note(note_of(NoteKind::Lost, element, message).help(help));
    }
    let delays: Vec<Duration> = actions.iter().map_while(delay).collect();
    if delays.is_empty() {
        subject.draft.service.restart.policy = Some(RestartPolicy::Never);
        if elements.is_empty() {
            let place = subject.draft.place.clone();
            let message = "there is none: nothing starts the program again when it fails";
            let note = Note::new(NoteKind::Advice, &place, "<onfailure>", message);
            subject.note(note.help("take restart.policy out to have it started again"));
        }
        return;
    }
    translate_delays(subject, &delays, reset);
    if delays.len() < actions.len() {
        // After so many restarts it is left alone.
        let breaker = &mut subject.draft.service.breaker;
        breaker.failures = u16::try_from(delays.len() + 1).unwrap_or(u16::MAX);
        breaker.within = reset.max(Duration::from_secs(1));
        breaker.give_up_after = 1;
    }
}

fn action(element: &Element) -> Action {
    let delay = element.get("delay").and_then(time_span).unwrap_or_default();
    match element.get("action").unwrap_or_default().to_ascii_lowercase().as_str() {
        "restart" => Action::Restart(delay),
        "reboot" => Action::Reboot,
        _ => Action::None,
    }
}

const fn delay(action: &Action) -> Option<Duration> {
    match action {
        Action::Restart(delay) => Some(*delay),
        Action::Reboot | Action::None => None,
    }
}

/// The waits grow from the first to the last one; the last one is that of all further restarts.
fn translate_delays(subject: &mut Subject<'_, '_>, delays: &[Duration], reset: Duration) {
    let (Some(first), Some(last)) = (delays.first().copied(), delays.last().copied()) else { return };
    let restart = &mut subject.draft.service.restart;
    // Exit code 0 is an orderly end for WinSW.
    restart.policy = Some(RestartPolicy::OnFailure);
    restart.delay = first;
    restart.max = last.max(first);
    restart.factor = 1.0;
    restart.jitter = 0.0;
    restart.reset_after = reset;
    if last > first && !first.is_zero() {
        let steps = i32::try_from(delays.len() - 1).unwrap_or(i32::MAX).max(1);
        let factor = (last.as_secs_f64() / first.as_secs_f64()).powf(1.0 / f64::from(steps));
        restart.factor = ((factor * 100.0).round() / 100.0).max(1.01);
    }
}

/// A time span of WinSW: a number with a unit, or milliseconds.
pub(super) fn time_span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "ms" => 0.001,
        "sec" | "secs" | "s" => 1.0,
        "min" | "mins" => 60.0,
        "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "day" | "days" => 86_400.0,
        _ => return None,
    };
    values::duration(number.parse::<f64>().ok()? * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_those_of_winsw() {
        for (text, milliseconds) in [("10 sec", 10_000), ("1 hour", 3_600_000), ("500", 500), ("2 mins", 120_000)] {
            assert_eq!(time_span(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(time_span("soon"), None);
    }
}
