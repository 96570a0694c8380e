//! `<log>`.

use std::time::Duration;

use crate::size::{SIZE_MAX, Size};

use super::super::NoteKind;
use super::element::Element;
use super::note_of;
use super::service::Subject;

/// At which size files roll that do not say it, in KiB, and how many are kept.
const SIZE_KIB: u64 = 10 * 1024;
const KEEP: u32 = 8;
/// What is read of a `<log>`; the rest of it is noted.
const READ: [&str; 5] = ["sizethreshold", "keepfiles", "pattern", "period", "mode"];

pub(super) fn translate(subject: &mut Subject<'_, '_>) {
    if let Some(element) = subject.elements.take("logpath") {
        let path = &element.setting.value;
        let message = format!("output is kept in files by the guard, not in {path}; `menshen logs` shows it");
        subject.note(note_of(NoteKind::Changed, &element, message));
    }
    let old = subject.elements.take("logmode");
    let Some(element) = subject.elements.take("log").or(old) else { return };
    translate_mode(subject, &element);
    for inner in element.inner.rest() {
        if !READ.contains(&inner.setting.key.as_str()) {
            let message = "says how files are named or packed; the guard names and compresses them its own way";
            subject.note(note_of(NoteKind::Lost, &inner, message));
        }
    }
}

fn translate_mode(subject: &mut Subject<'_, '_>, element: &Element) {
    let mode = element.get("mode").unwrap_or(&element.setting.value).trim().to_ascii_lowercase();
    let message = match mode.as_str() {
        "roll" | "rotate" | "roll-by-size" => return by_size(subject, element),
        "roll-by-time" => return by_time(subject, element),
        "roll-by-size-time" => {
            by_size(subject, element);
            subject.draft.service.log.rotate.every = Duration::from_secs(86_400);
            return;
        }
        "append" | "" => {
            "one file that only grows; here a file is closed at 10 MiB or after a day, and the last 8 are kept (log.rotate)"
        }
        "none" | "ignore" => "output is kept in files by the guard; it cannot be thrown away",
        "reset" => "was begun anew at each start; here what was written before is kept",
        _ => "there is no such mode; output is kept in files by the guard",
    };
    subject.note(note_of(NoteKind::Changed, element, message));
}

fn by_size(subject: &mut Subject<'_, '_>, element: &Element) {
    let kibibytes = element.get("sizeThreshold").and_then(|text| text.trim().parse().ok()).unwrap_or(SIZE_KIB);
    let keep = element.get("keepFiles").and_then(|text| text.trim().parse().ok()).unwrap_or(KEEP);
    let rotate = &mut subject.draft.service.log.rotate;
    rotate.size = Size(kibibytes.saturating_mul(1024).clamp(4096, SIZE_MAX.0));
    // None at all cannot be kept: 0 keeps every file here.
    rotate.keep = keep.max(1);
}

fn by_time(subject: &mut Subject<'_, '_>, element: &Element) {
    let pattern = element.get("pattern").unwrap_or("yyyyMMdd");
    let has = |sign: &str| pattern.contains(sign);
    let unit: u64 = if has("ss") {
        1
    } else if has("mm") {
        60
    } else if has("HH") || has("hh") {
        3600
    } else if has("dd") || !has("MM") {
        86_400
    } else {
        30 * 86_400
    };
    let period: u64 = element.get("period").and_then(|text| text.trim().parse().ok()).unwrap_or(1);
    let rotate = &mut subject.draft.service.log.rotate;
    rotate.every = Duration::from_secs(unit.saturating_mul(period.max(1))).min(crate::duration::DURATION_MAX);
    rotate.size = Size(0);
    let message = "a file begins when the time has passed since the last one did, and has the guard's name for it";
    subject.note(note_of(NoteKind::Changed, element, message));
}
