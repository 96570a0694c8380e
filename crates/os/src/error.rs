//! Errors of the operating system in people's words.

#[cfg(unix)]
#[path = "error/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "error/windows.rs"]
mod platform;

use std::error::Error;
use std::fmt;
use std::io;

/// The system's words as a lower-case fragment, without the number: `no such file or directory`.
#[must_use]
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.find(" (os error").map_or(text.as_str(), |end| &text[..end]).trim_end_matches('.');
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    first + characters.as_str()
}

/// Whether something is lacking that comes back by itself: file descriptors, memory, processes, ports. What fails for this
/// says something of the guard and its machine, and nothing of whom it was about.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    let doing = error.get_ref().and_then(|inner| inner.downcast_ref::<Doing>());
    match (doing, error.raw_os_error()) {
        (Some(doing), _) => is_shortage(&doing.source),
        (None, Some(number)) => is_number_of_shortage(number),
        (None, None) => false,
    }
}

/// The same of an error's number.
#[must_use]
pub fn is_number_of_shortage(number: i32) -> bool {
    platform::SHORTAGES.contains(&number)
}

/// Adds what was being done to an error of the system.
pub(crate) fn context(what: impl Into<String>) -> impl FnOnce(io::Error) -> io::Error {
    let what = what.into();
    move |source| io::Error::new(source.kind(), Doing { what, source })
}

/// An error of the system with what was being done.
#[derive(Debug)]
struct Doing {
    what: String,
    source: io::Error,
}

impl fmt::Display for Doing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.what, describe(&self.source))
    }
}

/// It says everything by itself, so it names no source.
impl Error for Doing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_known_whatever_was_being_done() {
        let of = io::Error::from_raw_os_error;
        let shortage = platform::SHORTAGES[0];
        assert!(is_shortage(&context("b")(context("a")(of(shortage)))));
        // No such file, on every system.
        assert!(!is_shortage(&context("a")(of(2))));
        assert!(!is_shortage(&io::Error::other("too many open files")));
        let said = context("b")(context("a")(of(shortage))).to_string();
        assert_eq!(said, format!("b: a: {}", describe(&of(shortage))));
    }

    #[test]
    fn the_systems_words_are_a_fragment() {
        let said = describe(&io::Error::from_raw_os_error(2));
        assert!(said.starts_with(char::is_lowercase) && !said.ends_with('.') && !said.contains("os error"), "{said}");
    }
}
