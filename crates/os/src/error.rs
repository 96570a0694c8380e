//! Errors of the operating system in people's words.

use std::io;

/// The system's words as a lower-case fragment, without the number: `no such file or directory`.
#[must_use]
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.find(" (os error").map_or(text.as_str(), |end| &text[..end]);
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    first + characters.as_str()
}

/// Adds what was being done to an error of the system.
pub(crate) fn context(what: impl Into<String>) -> impl FnOnce(io::Error) -> io::Error {
    let what = what.into();
    move |error| io::Error::new(error.kind(), format!("{what}: {}", describe(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_are_a_fragment() {
        assert_eq!(describe(&io::Error::from_raw_os_error(2)), "no such file or directory");
    }
}
