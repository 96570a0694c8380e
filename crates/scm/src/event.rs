//! Events as the Event Log of Windows takes them.

/// The longest text an event may have, in UTF-16 units and without the zero at its end: the documentation of `ReportEventW` says
/// 31,839 characters.
pub const TEXT_MAX: usize = 31_839;

/// How grave an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may fail.
    Warning,
    /// Something is so.
    Information,
}

impl Level {
    /// The number that Windows has for it: `EVENTLOG_ERROR_TYPE` and its like.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Error => 1,
            Self::Warning => 2,
            Self::Information => 4,
        }
    }
}

/// What an event is, for whoever filters by it: one of the numbers that Windows' own message file for events made by hand
/// (`EventCreate.exe`) knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(u16);

impl Id {
    /// A number from 1 to 1000.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number >= 1 && number <= 1000 { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The text of an event, with a zero at its end. A NUL would end it, and what begins like `%1` would be shown as something else
/// (so it is with addresses of IPv6 and their zones): both are changed so that everybody sees that something stood there. What is
/// too long is cut between two characters.
#[must_use]
pub fn text(text: &str) -> Vec<u16> {
    let mut units = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let shown = if character == '\0' { '\u{fffd}' } else { character };
        let is_insertion = shown == '%' && characters.peek().is_some_and(|next| next.is_ascii_digit() || *next == '!');
        let length = shown.len_utf16() + usize::from(is_insertion);
        if units.len() + length > TEXT_MAX {
            break;
        }
        units.extend_from_slice(shown.encode_utf16(&mut [0; 2]));
        if is_insertion {
            units.push(u16::from(b' '));
        }
    }
    units.push(0);
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(units: &[u16]) -> String {
        let (end, rest) = units.split_last().expect("a text has an end");
        assert_eq!((*end, rest.contains(&0)), (0, false), "{units:?}");
        String::from_utf16(rest).unwrap()
    }

    #[test]
    fn what_windows_would_take_for_something_else_is_changed_and_nothing_else() {
        for (written, logged) in [
            ("plain, 100% of it, %n %PATH% 5%", "plain, 100% of it, %n %PATH% 5%"),
            ("from fe80::1%1 and %%2", "from fe80::1% 1 and %% 2"),
            ("%1!s!", "% 1!s!"),
            ("a\0b", "a\u{fffd}b"),
            ("two\r\nlines 门神 🦀", "two\r\nlines 门神 🦀"),
            ("", ""),
        ] {
            assert_eq!(back(&text(written)), logged);
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_two_characters() {
        assert_eq!(text(&"x".repeat(TEXT_MAX)).len(), TEXT_MAX + 1);
        assert_eq!(text(&"x".repeat(TEXT_MAX + 1)).len(), TEXT_MAX + 1);
        let crab_at_the_end = format!("{}🦀", "x".repeat(TEXT_MAX - 1));
        assert_eq!(back(&text(&crab_at_the_end)), "x".repeat(TEXT_MAX - 1));
        let insertion_at_the_end = format!("{}%1", "x".repeat(TEXT_MAX - 1));
        assert_eq!(back(&text(&insertion_at_the_end)), "x".repeat(TEXT_MAX - 1));
        assert_eq!(back(&text(&"🦀".repeat(TEXT_MAX))).chars().count(), TEXT_MAX / 2);
    }

    #[test]
    fn an_event_has_a_number_that_the_message_file_knows() {
        assert_eq!([0, 1, 1000, 1001].map(Id::new).map(|id| id.map(Id::number)), [None, Some(1), Some(1000), None]);
        assert_eq!([Level::Error, Level::Warning, Level::Information].map(Level::number), [1, 2, 4]);
    }
}
