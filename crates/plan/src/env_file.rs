//! Env files: lines of `NAME=value`.

use crate::placeholder::is_name;

/// A line that is not one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// From 1.
    pub line: usize,
    pub why: &'static str,
}

/// Reads `NAME=value` lines: blank lines and `#` comments are passed over, `export` before a name is allowed, a value may
/// stand in single quotes (taken as it is) or double quotes (with `\n`, `\t`, `\"`, `\\` and `\$`). The last of two wins.
pub(crate) fn parse(text: &str) -> (Vec<(String, String)>, Vec<BadLine>) {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut bad = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            Ok((name, value)) => {
                variables.retain(|(known, _)| *known != name);
                variables.push((name, value));
            }
            Err(why) => bad.push(BadLine { line: index + 1, why }),
        }
    }
    (variables, bad)
}

fn parse_line(line: &str) -> Result<(String, String), &'static str> {
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=').ok_or("there is no '='")?;
    let name = name.trim_end();
    if !is_name(name) {
        return Err("the name must be letters, digits and underscores, and not start with a digit");
    }
    let value = value.trim_start();
    if value.contains('\0') {
        return Err("a value cannot contain a NUL byte");
    }
    let value = match value.chars().next() {
        Some('\'') => single_quoted(&value[1..])?,
        Some('"') => double_quoted(&value[1..])?,
        _ => unquoted(value),
    };
    Ok((name.to_owned(), value))
}

fn unquoted(value: &str) -> String {
    let end = value.find(" #").unwrap_or(value.len());
    value[..end].trim_end().to_owned()
}

fn single_quoted(rest: &str) -> Result<String, &'static str> {
    let end = rest.find('\'').ok_or("the single quote is not closed")?;
    only_comment_after(&rest[end + 1..])?;
    Ok(rest[..end].to_owned())
}

fn double_quoted(rest: &str) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut characters = rest.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => {
                only_comment_after(&rest[index + 1..])?;
                return Ok(value);
            }
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, escaped @ ('"' | '\\' | '$'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err("the double quote is not closed")
}

fn only_comment_after(rest: &str) -> Result<(), &'static str> {
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') { Ok(()) } else { Err("there is text after the closing quote") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_may_be_bare_or_quoted() {
        let text =
            "# comment\n\nA=1\nexport B = two words # note\nC='$x # y'\nD=\"a\\n\\\"b\\\" \\$c\" # note\nE=\nA=3\n";
        let (variables, bad) = parse(text);
        assert_eq!(bad, []);
        let expected = [("B", "two words"), ("C", "$x # y"), ("D", "a\n\"b\" $c"), ("E", ""), ("A", "3")];
        assert_eq!(variables, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_bad_line_is_reported_with_its_number_and_the_rest_is_read() {
        let (variables, bad) = parse("A=1\nwhat\n2X=1\nB='x\nC=\"y\" z\nD=2\n");
        assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(variables.len(), 2);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
