//! Command lines and `%NAME%` as Windows reads them.

use super::template::Template;

/// Splits a command line as Microsoft's C runtime does ("Parsing C command-line arguments"): backslashes count only before a
/// quote, where two are one, and an odd one makes the quote a literal; two quotes within quotes are one.
pub(crate) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = Quoted::No;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quoted) {
            (' ' | '\t' | '\r' | '\n', Quoted::No) => words.extend(word.take()),
            ('\\', _) => {
                let mut count = 1;
                while characters.next_if_eq(&'\\').is_some() {
                    count += 1;
                }
                let before_quote = characters.peek() == Some(&'"');
                let word = word.get_or_insert_default();
                word.extend(std::iter::repeat_n('\\', if before_quote { count / 2 } else { count }));
                if before_quote && count % 2 == 1 {
                    word.extend(characters.next());
                }
            }
            ('"', Quoted::Yes) if characters.next_if_eq(&'"').is_some() => word.get_or_insert_default().push('"'),
            ('"', _) => {
                word.get_or_insert_default();
                quoted = if quoted == Quoted::Yes { Quoted::No } else { Quoted::Yes };
            }
            (other, _) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoted {
    Yes,
    No,
}

/// Puts what is known in the place of `%NAME%`, a placeholder where it is not. Windows leaves a name that is not set as it
/// is written, and so does the placeholder's default. The case of names means nothing to it; a guard has them upper-case.
pub(crate) fn expand(text: &str, known: &dyn Fn(&str) -> Option<Template>) -> Template {
    let mut template = Template::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        template.push_literal(before);
        let Some((name, beyond)) = after.split_once('%').filter(|(name, _)| is_variable(name)) else {
            template.push_literal("%");
            rest = after;
            continue;
        };
        match known(name) {
            Some(value) => template.push(&value),
            None => template.push_placeholder(&name.to_ascii_uppercase(), &format!("%{name}%")),
        }
        rest = beyond;
    }
    template.push_literal(rest);
    template
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\\', '/', ' ', '"', '\n'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Quotes as Microsoft describes it, for [`split`] to be held against.
    pub(crate) fn quote(word: &str) -> String {
        let mut quoted = String::from("\"");
        let mut backslashes = 0;
        for character in word.chars() {
            match character {
                '\\' => backslashes += 1,
                '"' => quoted.extend(std::iter::repeat_n('\\', 2 * backslashes + 1)),
                _ => quoted.extend(std::iter::repeat_n('\\', backslashes)),
            }
            if character != '\\' {
                backslashes = 0;
                quoted.push(character);
            }
        }
        quoted.extend(std::iter::repeat_n('\\', 2 * backslashes));
        quoted + "\""
    }

    #[test]
    fn words_are_those_of_microsofts_runtime() {
        for (text, words) in [
            (r#""a b c" d e"#, &["a b c", "d", "e"][..]),
            (r#""ab\"c" "\\" d"#, &[r#"ab"c"#, r"\", "d"]),
            (r#"a\\\b d"e f"g h"#, &[r"a\\\b", "de fg", "h"]),
            (r#"a\\\"b c d"#, &[r#"a\"b"#, "c", "d"]),
            (r#"a\\\\"b c" d e"#, &[r"a\\b c", "d", "e"]),
            (r#"a"b"" c d"#, &[r#"ab" c d"#]),
            (r#"C:\app\x.exe "" --dir "C:\Program Files\\""#, &[r"C:\app\x.exe", "", "--dir", r"C:\Program Files\"]),
        ] {
            assert_eq!(split(text), words, "{text}");
        }
    }

    #[test]
    fn names_between_percent_signs_are_expanded() {
        let known = |name: &str| name.eq_ignore_ascii_case("base").then(|| Template::literal(r"C:\a$"));
        let expanded = |text| expand(text, &known).into_text();
        assert_eq!(expanded(r"%BASE%\x"), r"C:\a$$\x");
        assert_eq!(expanded("%PORT%"), "${PORT:%PORT%}");
        assert_eq!(expanded("50% of 100%"), "50% of 100%");
        assert_eq!(expanded("%ProgramFiles(x86)%$"), "%ProgramFiles(x86)%$$");
    }

    proptest! {
        #[test]
        fn quoted_words_are_split_back(words in proptest::collection::vec("[\"\\\\ a]{0,8}|\\PC*", 0..5)) {
            let text: Vec<String> = words.iter().map(|word| quote(word)).collect();
            prop_assert_eq!(split(&text.join(" ")), words);
        }
    }
}
