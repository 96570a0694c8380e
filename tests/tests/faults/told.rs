//! What people are told of a fault.

use menshen_tests::events::Mark;
use menshen_tests::{Bed, Event};

/// An alert that writes each thing it tells into the file `alerts`: `trouble the disk is full`.
pub(crate) const ALERTS: &str = r#"
    [alert.ops]
    exec = ["sh", "-c", 'echo "$$MENSHEN_ALERT_KIND $$MENSHEN_ALERT_TEXT" >> alerts']
    on = ["trouble", "recovered"]
    repeat_after = "0s"
"#;

/// Waits until events and alerts tell that a fault has begun.
pub(crate) fn begun(bed: &Bed, mark: Mark, word: &str) -> Event {
    told(bed, mark, word, false)
}

/// Waits until events and alerts tell that it is over.
pub(crate) fn over(bed: &Bed, mark: Mark, word: &str) -> Event {
    told(bed, mark, word, true)
}

/// Waits until events tell it.
pub(crate) fn heard(bed: &Bed, mark: Mark, word: &str, over: bool) -> Event {
    bed.await_event(mark, &format!("{word}, over: {over}"), |event| {
        event.kind == "trouble" && event.details["over"] == over && event.reason.contains(word)
    })
}

fn told(bed: &Bed, mark: Mark, word: &str, over: bool) -> Event {
    let event = heard(bed, mark, word, over);
    let alert = format!("{} {}", if over { "recovered" } else { "trouble" }, event.reason);
    menshen_tests::wait::until(&format!("an alert: {alert}"), || {
        std::fs::read_to_string(bed.path("alerts")).is_ok_and(|text| text.lines().any(|line| line == alert))
    });
    event
}
