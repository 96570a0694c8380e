//! Splitting command lines into words as POSIX shells, Python's shlex and pm2 do.

use std::sync::LazyLock;

use regex::Regex;
use thiserror::Error;

/// A quote without its partner, or a backslash at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a quote is not closed, or the text ends with a backslash")]
pub(crate) struct Unbalanced;

/// Splits as Python's `shlex.split` does, which is what supervisord uses: as a POSIX shell splits words, but that `#` begins
/// no comment and a backslash between double quotes escapes only `"` and itself.
pub(crate) fn posix(text: &str) -> Result<Vec<String>, Unbalanced> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => single_quoted(&mut characters, word.get_or_insert_default())?,
            '"' => double_quoted(&mut characters, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(characters.next().ok_or(Unbalanced)?),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn single_quoted(characters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Unbalanced> {
    loop {
        match characters.next().ok_or(Unbalanced)? {
            '\'' => return Ok(()),
            other => word.push(other),
        }
    }
}

fn double_quoted(characters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Unbalanced> {
    loop {
        match characters.next().ok_or(Unbalanced)? {
            '"' => return Ok(()),
            '\\' => match characters.next().ok_or(Unbalanced)? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

/// What pm2 splits a text of arguments at: blanks, and quoted pieces, which are words of their own. A quoted value after
/// `name=` keeps its quotes.
static PM2_PIECES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?P<assigned>[0-9A-Za-z_-]+="[^"]*"|[0-9A-Za-z_-]+='[^']*')|"(?P<double>[^"]*)"|'(?P<single>[^']*)'|\s"#,
    )
    .expect("the expression is sound")
});

/// Splits as pm2 does.
pub(crate) fn pm2(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut at = 0;
    for piece in PM2_PIECES.captures_iter(text) {
        let Some(whole) = piece.get(0) else { continue };
        words.push(&text[at..whole.start()]);
        words.extend(
            ["assigned", "double", "single"].iter().filter_map(|name| piece.name(name)).map(|found| found.as_str()),
        );
        at = whole.end();
    }
    words.push(&text[at..]);
    words.into_iter().filter(|word| !word.trim().is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_those_of_pythons_shlex() {
        for (text, words) in [
            ("a 'b c' d\"e f\"g", &["a", "b c", "de fg"][..]),
            ("a #b", &["a", "#b"]),
            (r#""\$x \" \\ \n" \a\ b"#, &[r#"\$x " \ \n"#, "a b"]),
            ("'' \"\"", &["", ""]),
            ("'\\'", &["\\"]),
            ("  ", &[]),
        ] {
            assert_eq!(posix(text).unwrap(), words, "{text}");
        }
        for text in ["'a", "\"a", "a\\", "\"\\"] {
            assert_eq!(posix(text), Err(Unbalanced), "{text}");
        }
    }

    #[test]
    fn words_are_those_of_pm2() {
        assert_eq!(
            pm2(r#"--port 80 --name="a b" "c d" 'e' x"y z""#),
            ["--port", "80", r#"--name="a b""#, "c d", "e", "x", "y z"]
        );
    }

    proptest! {
        #[test]
        fn what_a_shell_quotes_is_split_back(words in proptest::collection::vec("[^\\x00]*", 0..5)) {
            let text = shlex::try_join(words.iter().map(String::as_str)).unwrap();
            prop_assert_eq!(posix(&text).unwrap(), words);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = posix(&text);
            let _ = pm2(&text);
        }
    }
}
