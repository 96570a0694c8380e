//! How a program and its arguments are written as the one text that Windows starts a service with.
//!
//! The text goes through two hands. The service control manager replaces `%NAME%` by the variable of that name, if there is
//! one, and has no way to write a `%` that it leaves alone. The program then takes the text apart, by the rules of
//! `CommandLineToArgvW` or those of the C library, which differ in what `""` between quotes means. What is written here comes
//! out the same by both: no `""` stands between quotes, and every `%` stands outside of them with a quote between it and the one
//! before, be that in another argument, so that the name between them is no variable's.

/// The text. The program's path is always quoted, so that no other program can be put in the way of one with a space in it.
#[must_use]
pub fn of(program: &str, arguments: &[String]) -> String {
    let mut text = format!("\"{program}\"");
    for argument in arguments {
        text.push(' ');
        add(&mut text, argument);
    }
    text
}

/// Whether Windows would take a part of a program's path for a variable. There is no way to write such a path.
#[must_use]
pub fn has_variable(program: &str) -> bool {
    program.matches('%').count() > 1
}

fn add(text: &mut String, argument: &str) {
    if is_plain(argument) {
        return text.push_str(argument);
    }
    if argument.is_empty() {
        return text.push_str("\"\"");
    }
    for (index, run) in argument.split('%').enumerate() {
        if index > 0 {
            text.push('%');
        }
        // A `%` at the beginning has nothing in quotes before it: what is between it and that of an argument before is no name.
        if !run.is_empty() || index == 0 {
            add_quoted(text, run);
        }
    }
}

/// Whether every hand leaves it as it is.
fn is_plain(argument: &str) -> bool {
    !argument.is_empty() && !argument.contains(|character: char| character.is_whitespace() || "\"%".contains(character))
}

/// Backslashes are only special before a quote: there each is written twice.
fn add_quoted(text: &mut String, run: &str) {
    text.push('"');
    let mut backslashes = 0;
    for character in run.chars() {
        match character {
            '\\' => backslashes += 1,
            '"' => text.extend(std::iter::repeat_n('\\', backslashes + 1)),
            _ => {}
        }
        if character != '\\' {
            backslashes = 0;
        }
        text.push(character);
    }
    text.extend(std::iter::repeat_n('\\', backslashes));
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `""` between quotes means: a quote and the quotes end (`CommandLineToArgvW`), or a quote and they go on (the C
    /// library since 2008).
    #[derive(Clone, Copy)]
    enum Rules {
        Shell,
        C,
    }

    /// Takes a command line apart, as both do.
    fn taken_apart(line: &str, rules: Rules) -> Vec<String> {
        let characters: Vec<char> = line.chars().collect();
        let mut words = Vec::new();
        let mut at = 0;
        // The first word is the program: in it backslashes mean nothing.
        let mut first = String::new();
        let mut quoted = false;
        while at < characters.len() && (quoted || !matches!(characters[at], ' ' | '\t')) {
            if characters[at] == '"' {
                quoted = !quoted;
            } else {
                first.push(characters[at]);
            }
            at += 1;
        }
        words.push(first);
        loop {
            while at < characters.len() && matches!(characters[at], ' ' | '\t') {
                at += 1;
            }
            if at == characters.len() {
                return words;
            }
            let (word, next) = word(&characters, at, rules);
            words.push(word);
            at = next;
        }
    }

    fn word(characters: &[char], mut at: usize, rules: Rules) -> (String, usize) {
        let (mut word, mut quoted) = (String::new(), false);
        while at < characters.len() && (quoted || !matches!(characters[at], ' ' | '\t')) {
            let backslashes = characters[at..].iter().take_while(|character| **character == '\\').count();
            at += backslashes;
            if characters.get(at) != Some(&'"') {
                word.extend(std::iter::repeat_n('\\', backslashes));
                if backslashes == 0 {
                    word.push(characters[at]);
                    at += 1;
                }
                continue;
            }
            word.extend(std::iter::repeat_n('\\', backslashes / 2));
            if backslashes % 2 == 1 {
                word.push('"');
            } else if quoted && characters.get(at + 1) == Some(&'"') {
                word.push('"');
                at += 1;
                quoted = matches!(rules, Rules::C);
            } else {
                quoted = !quoted;
            }
            at += 1;
        }
        (word, at)
    }

    /// A machine on which every name is a variable's, save those with a quote in them and those of blanks alone, which nobody
    /// gives one.
    fn expanded(line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            match after.split_once('%') {
                Some((name, behind)) if !name.contains('"') && !name.trim().is_empty() => {
                    out.push_str("EXPANDED");
                    rest = behind;
                }
                _ => {
                    out.push('%');
                    rest = after;
                }
            }
        }
        out + rest
    }

    fn arguments() -> impl Strategy<Value = Vec<String>> {
        let tricky = prop::collection::vec(prop::sample::select(vec![' ', '"', '\\', '%', 'a', '\t', 'ü', '^']), 0..9)
            .prop_map(|characters| characters.into_iter().collect::<String>());
        let any = "[^\u{0}]{0,8}";
        prop::collection::vec(prop_oneof![tricky, any.prop_map(|text: String| text)], 0..5)
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_the_same_by_every_rule(arguments in arguments()) {
            let program = r"C:\Program Files\a %\web.exe";
            let line = expanded(&of(program, &arguments));
            let wanted: Vec<String> = std::iter::once(program.to_owned()).chain(arguments).collect();
            prop_assert_eq!(&taken_apart(&line, Rules::Shell), &wanted, "{}", line);
            prop_assert_eq!(&taken_apart(&line, Rules::C), &wanted, "{}", line);
        }
    }

    #[test]
    fn the_program_is_always_quoted() {
        let text = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            of(r"C:\web.exe", &arguments)
        };
        assert_eq!(text(&[]), r#""C:\web.exe""#);
        assert_eq!(text(&["--port", "80", "two words", ""]), r#""C:\web.exe" --port 80 "two words" """#);
        assert_eq!(text(&[r#"say "so"\"#, "100%", "%PATH%"]), r#""C:\web.exe" "say \"so\"\\" "100"% ""%"PATH"%"#);
        assert_eq!(text(&["%", "ü", "%"]), r#""C:\web.exe" ""% ü ""%"#);
        assert!(has_variable(r"C:\%a%\web.exe") && !has_variable(r"C:\100%\web.exe"));
    }
}
