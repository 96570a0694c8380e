//! How a text is written in a unit so that systemd reads exactly it: systemd.service(5), systemd.syntax(7), systemd.unit(5).

use std::fmt::Write as _;

/// A text as one word of `ExecStart=` and its like: in quotes unless it is plain, with C's escapes, `%%` for what would begin a
/// specifier and `$$` for what would begin a variable.
pub(super) fn command_word(text: &str) -> String {
    word(text, Dollar::Doubled)
}

/// Words of a command.
pub(super) fn command<Word: AsRef<str>>(words: &[Word]) -> String {
    words.iter().map(|word| command_word(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// A text as one word of `Environment=` and its like, where a dollar is one.
pub(super) fn setting_word(text: &str) -> String {
    word(text, Dollar::Single)
}

/// A text that is the rest of its line, as in `Description=`. It is in one line, and blank neither at its beginning nor at its
/// end.
pub(super) fn rest_of_line(text: &str) -> String {
    let text = text.replace('%', "%%");
    let backslashes = text.len() - text.trim_end_matches('\\').len();
    // A line whose end is escaped goes on in the next. A blank is taken away, and takes the escape with it.
    if backslashes % 2 == 1 { format!("{text} ") } else { text }
}

/// Whether a text can be the rest of a line.
pub(super) fn is_one_line(text: &str) -> bool {
    !text.is_empty() && text.trim_matches([' ', '\t']) == text && !text.contains(char::is_control)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dollar {
    Single,
    Doubled,
}

fn word(text: &str, dollar: Dollar) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-:,@+=~".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut word = String::with_capacity(text.len() + 2);
    word.push('"');
    for character in text.chars() {
        match character {
            '"' => word.push_str("\\\""),
            '\\' => word.push_str("\\\\"),
            '\n' => word.push_str("\\n"),
            '\r' => word.push_str("\\r"),
            '\t' => word.push_str("\\t"),
            '%' => word.push_str("%%"),
            '$' if dollar == Dollar::Doubled => word.push_str("$$"),
            control if control.is_ascii_control() => {
                write!(word, "\\x{:02x}", u32::from(control)).expect("a text takes whatever is written to it");
            }
            other => word.push(other),
        }
    }
    word.push('"');
    word
}
