//! A line that a shell would run, taken apart where it is no more than words.

use crate::command_line::CommandLine;

use super::super::draft::command;
use super::super::shell::{assignment, needs_shell};
use super::super::template::Template;

/// What a line is.
pub(crate) enum Line {
    /// Words, after variables for the command alone.
    Words {
        /// `NAME=value` before the command.
        assignments: Vec<(String, Template)>,
        words: Vec<Template>,
    },
    /// More: only a shell does what it says.
    Shell,
}

/// A variable in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub name: String,
    /// What stands for it when it is unset or empty.
    default: Option<String>,
    quoting: Quoting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Bare,
    Quoted,
}

impl Variable {
    /// Whether its value is one word, whatever it is.
    pub(crate) const fn is_safe(&self) -> bool {
        matches!(self.quoting, Quoting::Quoted)
    }

    pub(crate) fn placeholder(&self) -> Template {
        let mut template = Template::default();
        template.push_placeholder(&self.name, self.default.as_deref().unwrap_or_default());
        template
    }
}

/// Takes a line apart. `value_of` says what stands for a variable; where it does not know, a shell has to.
pub(crate) fn read(line: &str, value_of: &dyn Fn(&Variable) -> Option<Template>) -> Line {
    if needs_shell(line) {
        return Line::Shell;
    }
    let Some(all) = words(line, value_of) else { return Line::Shell };
    let mut assignments = Vec::new();
    let mut words = Vec::new();
    for (raw, word) in all {
        match assignment(&raw) {
            Some((name, _)) if words.is_empty() => {
                let value = word.into_text();
                let value = value.split_once('=').map_or("", |(_, value)| value);
                assignments.push((name.to_owned(), Template::written(value)));
            }
            _ => words.push(word),
        }
    }
    if words.is_empty() { Line::Shell } else { Line::Words { assignments, words } }
}

/// The line, run by a shell.
pub(crate) fn shell(line: &str) -> CommandLine {
    command(["sh", "-c", line].map(Template::literal).into())
}

/// The words, each with its text up to the first variable or quote, or nothing where they cannot be told.
fn words(line: &str, value_of: &dyn Fn(&Variable) -> Option<Template>) -> Option<Vec<(String, Template)>> {
    let mut reader = Reader { rest: line, value_of };
    let mut words = Vec::new();
    loop {
        reader.rest = reader.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if reader.rest.is_empty() {
            return Some(words);
        }
        words.push(reader.word()?);
    }
}

struct Reader<'a> {
    rest: &'a str,
    value_of: &'a dyn Fn(&Variable) -> Option<Template>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn word(&mut self) -> Option<(String, Template)> {
        let mut template = Template::default();
        let mut raw = String::new();
        let mut is_raw = true;
        while !self.rest.is_empty() && !self.rest.starts_with([' ', '\t', '\r', '\n']) {
            let next = self.next()?;
            is_raw &= !matches!(next, '\'' | '"' | '\\' | '$');
            if is_raw {
                raw.push(next);
            }
            match next {
                '\'' => {
                    let (text, rest) = self.rest.split_once('\'')?;
                    template.push_literal(text);
                    self.rest = rest;
                }
                '"' => self.double_quoted(&mut template)?,
                '\\' => template.push_literal(self.next()?.encode_utf8(&mut [0; 4])),
                '$' => self.variable(Quoting::Bare, &mut template)?,
                other => template.push_literal(other.encode_utf8(&mut [0; 4])),
            }
        }
        Some((raw, template))
    }

    fn double_quoted(&mut self, template: &mut Template) -> Option<()> {
        loop {
            match self.next()? {
                '"' => return Some(()),
                '\\' => match self.next()? {
                    '\n' => {}
                    escaped @ ('"' | '\\' | '$' | '`') => template.push_literal(escaped.encode_utf8(&mut [0; 4])),
                    other => {
                        template.push_literal("\\");
                        template.push_literal(other.encode_utf8(&mut [0; 4]));
                    }
                },
                '$' => self.variable(Quoting::Quoted, template)?,
                other => template.push_literal(other.encode_utf8(&mut [0; 4])),
            }
        }
    }

    /// What follows a dollar sign: a name, a name in braces with a default or without, or nothing special.
    fn variable(&mut self, quoting: Quoting, template: &mut Template) -> Option<()> {
        if let Some(inner) = self.rest.strip_prefix('{') {
            let (inner, rest) = inner.split_once('}')?;
            let (name, default) = match inner.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            let plain = default.is_none_or(|default| !default.contains(['$', '`', '"', '\'', '\\', '{']));
            if !crate::placeholder::is_name(name) || !plain {
                return None;
            }
            // A default that is there makes a word of it, if it is one.
            let is_word =
                default.is_some_and(|default| !default.is_empty() && !default.contains([' ', '\t', '*', '?', '[']));
            let quoting = if is_word { Quoting::Quoted } else { quoting };
            self.rest = rest;
            let variable = Variable { name: name.to_owned(), default: default.map(str::to_owned), quoting };
            template.push(&(self.value_of)(&variable)?);
            return Some(());
        }
        let length = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(length);
        if name.is_empty() && !self.rest.starts_with(['$', '@', '*', '#', '?', '!', '-', '\'', '"']) {
            template.push_literal("$");
            return Some(());
        }
        if !crate::placeholder::is_name(name) {
            return None;
        }
        self.rest = rest;
        let variable = Variable { name: name.to_owned(), default: None, quoting };
        template.push(&(self.value_of)(&variable)?);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(line: &str) -> Option<Vec<String>> {
        let value_of = |variable: &Variable| variable.is_safe().then(|| variable.placeholder());
        match read(line, &value_of) {
            Line::Words { assignments, words } => {
                let assigned = assignments.into_iter().map(|(name, value)| format!("{name}:={}", value.into_text()));
                Some(assigned.chain(words.into_iter().map(Template::into_text)).collect())
            }
            Line::Shell => None,
        }
    }

    #[test]
    fn words_and_variables_are_told_apart() {
        for (line, words) in [
            ("a 'b $c' \"d $E\" f\\ g", &["a", "b $$c", "d ${E:}", "f g"][..]),
            ("A=1 B=\"x y\" run --n=${N:-3}", &["A:=1", "B:=x y", "run", "--n=${N:3}"]),
            ("run \"\\$x\" 5$", &["run", "$$x", "5$$"]),
            ("run A=1", &["run", "A=1"]),
        ] {
            assert_eq!(
                read_words(line).as_deref(),
                Some(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>()[..]),
                "{line}"
            );
        }
    }

    #[test]
    fn what_cannot_be_told_is_left_to_a_shell() {
        for line in ["run $OPTIONS", "run ${X#y}", "run $1", "run $$", "A=1", "run 'a", "run ${X:-a b}", "a && b"] {
            assert_eq!(read_words(line), None, "{line}");
        }
    }
}
