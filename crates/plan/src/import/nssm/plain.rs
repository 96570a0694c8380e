//! A service of Windows that nssm has nothing to do with: its program is one that speaks to the service control manager.

use std::time::Duration;

use crate::definition::{Inherit, RestartPolicy};

use super::super::draft::command;
use super::super::template::Template;
use super::super::{Note, windows};
use super::Data;
use super::service::{Subject, expanded, setting};

/// The bits of `Type` that make a service a driver, and the one of a service that shares its process with others.
const DRIVER: u64 = 0x0b;
const SHARED: u64 = 0x20;
/// Where services work.
const DIRECTORY: &str = r"%SystemRoot%\System32";
/// An action of `FailureActions` that starts the service again.
const RESTART: u32 = 1;

/// Translates what nssm would have said otherwise: the program, its environment, and when it is started again.
pub(super) fn translate(subject: &mut Subject<'_, '_>) {
    let kind = subject.take_number("Type").map_or(0, |(_, kind)| kind);
    let Some((value, line)) = subject.take_text("ImagePath") else { return };
    let refusal = if kind & DRIVER != 0 {
        Some("this is a driver, no program")
    } else if kind & SHARED != 0 || line.to_ascii_lowercase().contains("svchost") {
        Some("it is a library that a process of Windows runs along with others, no program of its own")
    } else {
        None
    };
    if let Some(why) = refusal {
        return subject.note(Note::lost(&setting(&value), why));
    }
    subject.draft.service.command = Some(command(words(&line)));
    subject.draft.service.directory = Some(expanded(DIRECTORY).into_text());
    let message =
        "its program expects to be started by the service control manager; started by a guard, it may end at once";
    let help = "add the arguments by which it runs in a console, if it has any; else leave it a service of Windows";
    subject.note(Note::advice(&setting(&value), message).help(help));
    subject.draft.service.inherit = Inherit::All;
    if let Some(value) = subject.take("Environment")
        && let Data::Texts(pairs) = &value.data
    {
        for (name, text) in pairs.iter().filter_map(|pair| pair.split_once('=')) {
            subject.draft.set_environment(name, expanded(text));
        }
    }
    translate_failures(subject);
}

/// The program and its arguments. A path with blanks that nobody quoted ends, for Windows, where there is a program.
fn words(line: &str) -> Vec<Template> {
    let lower = line.to_ascii_lowercase();
    let end = lower
        .match_indices(".exe")
        .map(|(at, end)| at + end.len())
        .find(|end| lower[*end..].is_empty() || lower[*end..].starts_with([' ', '\t']));
    let words = match end.filter(|_| !line.starts_with('"')) {
        Some(end) => std::iter::once(line[..end].to_owned()).chain(windows::split(&line[end..])).collect(),
        None => windows::split(line),
    };
    words.iter().map(|word| expanded(word)).collect()
}

/// Windows starts a service again that has failed, if it is told to.
fn translate_failures(subject: &mut Subject<'_, '_>) {
    subject.draft.service.restart.policy = Some(RestartPolicy::Never);
    let Some(value) = subject.take("FailureActions") else { return };
    let Data::Bytes(bytes) = &value.data else { return };
    let Some(failures) = Failures::read(bytes) else {
        return subject.note(Note::lost(&setting(&value), "this cannot be read"));
    };
    let restart = &mut subject.draft.service.restart;
    let Some((_, delay)) = failures.actions.first().filter(|(kind, _)| *kind == RESTART) else { return };
    restart.policy = Some(RestartPolicy::OnFailure);
    restart.delay = Duration::from_millis((*delay).into());
    restart.max = restart.max.max(restart.delay);
    if failures.reset > 0 && failures.reset < u32::MAX {
        restart.reset_after = Duration::from_secs(failures.reset.into()).min(crate::duration::DURATION_MAX);
    }
    if failures.actions.iter().any(|action| Some(action) != failures.actions.first()) {
        let message = "does something else for each failure; here the waits between restarts grow";
        subject.note(Note::changed(&setting(&value), message));
    }
}

/// `SERVICE_FAILURE_ACTIONS` as the registry keeps it: five numbers, of which the fourth says how many actions follow them; each
/// is what to do, and after how many milliseconds.
struct Failures {
    reset: u32,
    actions: Vec<(u32, u32)>,
}

impl Failures {
    fn read(bytes: &[u8]) -> Option<Self> {
        let number = |index: usize| {
            let bytes = bytes.get(index * 4..index * 4 + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let count = usize::try_from(number(3)?).ok().filter(|count| *count <= bytes.len() / 8)?;
        let actions = (0..count).map(|action| Some((number(5 + action * 2)?, number(6 + action * 2)?)));
        Some(Self { reset: number(0)?, actions: actions.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_a_line_that_nobody_quoted() {
        let of = |line: &str| words(line).into_iter().map(Template::into_text).collect::<Vec<_>>();
        assert_eq!(of(r#""C:\a b\c.exe" -x "y z""#), [r"C:\a b\c.exe", "-x", "y z"]);
        assert_eq!(of(r"C:\a b\c.EXE -x"), [r"C:\a b\c.EXE", "-x"]);
        assert_eq!(of(r"C:\a.exe.d\c.exe"), [r"C:\a.exe.d\c.exe"]);
        assert_eq!(of(r"C:\run me"), [r"C:\run", "me"]);
    }

    #[test]
    fn failure_actions_are_read_as_far_as_they_go() {
        let bytes = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
        let whole = Failures::read(&bytes(&[60, 0, 0, 2, 20, 1, 500, 0, 0])).unwrap();
        assert_eq!((whole.reset, whole.actions), (60, vec![(1, 500), (0, 0)]));
        assert!(Failures::read(&bytes(&[60, 0, 0, 2, 20, 1, 500])).is_none());
        assert!(Failures::read(&bytes(&[60, 0, 0, u32::MAX, 20])).is_none());
        assert!(Failures::read(&[]).is_none());
    }
}
