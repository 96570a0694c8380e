//! Command lines of units (systemd.service(5), "Command lines"): prefixes, quotes and escapes, and variables.

use std::collections::BTreeMap;

use super::super::template::Template;
use super::Specifiers;

/// One command of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exec {
    /// The prefixes before it: some of `-@:+!|`.
    pub prefixes: String,
    /// Its words, unquoted, with specifiers and variables as written.
    pub words: Vec<String>,
}

impl Exec {
    pub(super) fn has(&self, prefix: char) -> bool {
        self.prefixes.contains(prefix)
    }
}

/// Splits a value into commands: they are separated by a `;` that is a word of its own.
pub(super) fn commands(value: &str) -> Vec<Exec> {
    let mut commands = vec![Exec::default()];
    for (word, quoting) in split(value) {
        let Some(current) = commands.last_mut() else { break };
        match (word.as_str(), quoting) {
            (";", Quoting::Bare) => commands.push(Exec::default()),
            (r"\;", Quoting::Bare) => current.words.push(";".to_owned()),
            _ if current.words.is_empty() => {
                let program = word.trim_start_matches(['-', '@', ':', '+', '!', '|']);
                let (prefixes, program) = word.split_at(word.len() - program.len());
                prefixes.clone_into(&mut current.prefixes);
                current.words.push(program.to_owned());
            }
            _ => current.words.push(word),
        }
    }
    commands.retain(|command| command.words.first().is_some_and(|program| !program.is_empty()));
    commands
}

/// Splits values that are lists of words: `Environment=`, `SupplementaryGroups=`.
pub(super) fn words(value: &str) -> Vec<String> {
    split(value).into_iter().map(|(word, _)| word).collect()
}

/// Whether any part of a word was quoted or escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Bare,
    Quoted,
}

fn split(value: &str) -> Vec<(String, Quoting)> {
    let mut words = Vec::new();
    let mut word: Option<(Vec<u8>, Quoting)> = None;
    let mut quote = None;
    let mut characters = value.chars();
    let finished = |(bytes, quoting): (Vec<u8>, Quoting)| (String::from_utf8_lossy(&bytes).into_owned(), quoting);
    while let Some(character) = characters.next() {
        match (character, quote) {
            (' ' | '\t' | '\n' | '\r', None) => words.extend(word.take().map(finished)),
            ('\'' | '"', None) => {
                quote = Some(character);
                word.get_or_insert((Vec::new(), Quoting::Quoted)).1 = Quoting::Quoted;
            }
            (end, Some(open)) if end == open => quote = None,
            ('\\', _) => escape(&mut characters, &mut word.get_or_insert((Vec::new(), Quoting::Bare)).0),
            (other, _) => push(&mut word.get_or_insert((Vec::new(), Quoting::Bare)).0, other),
        }
    }
    words.extend(word.map(finished));
    words
}

fn push(bytes: &mut Vec<u8>, character: char) {
    bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
}

/// An escape as in C; one that is unknown means itself, as systemd says it does when it warns.
fn escape(characters: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) {
    let rest = characters.as_str();
    let Some(kind) = characters.next() else { return bytes.push(b'\\') };
    let simple = match kind {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        's' => Some(b' '),
        '\\' | '"' | '\'' => u8::try_from(kind).ok(),
        _ => None,
    };
    if let Some(byte) = simple {
        return bytes.push(byte);
    }
    let (skip, digits, radix) = match kind {
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        '0'..='3' => (0, 3, 8),
        _ => (0, 0, 0),
    };
    let code = rest.get(skip..skip + digits).filter(|code| digits > 0 && code.chars().all(|c| c.is_digit(radix)));
    match code.and_then(|code| u32::from_str_radix(code, radix).ok()).filter(|code| *code != 0) {
        Some(code) if digits < 4 => bytes.push(u8::try_from(code).unwrap_or(b'?')),
        Some(code) => push(bytes, char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
        None => {
            bytes.push(b'\\');
            push(bytes, kind);
            return;
        }
    }
    *characters = rest[skip + digits..].chars();
}

/// What the words of a command may ask for by `$NAME`.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    /// `Environment=`.
    pub fixed: BTreeMap<String, Template>,
    /// Whether a file of variables may say otherwise.
    pub may_be_overridden: Overridden,
}

/// Whether variables come from a file, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Overridden {
    /// They are what the unit says.
    #[default]
    Never,
    /// A file may set them.
    ByFile,
}

/// What became of a command's words.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub words: Vec<Template>,
    /// Names that come from outside the unit.
    pub outside: Vec<String>,
    /// Names whose value is split into words when the program is started, and before which of the words each stands.
    pub split_later: Vec<(usize, String)>,
    /// Placeholders for what only the machine knows.
    pub machine: Vec<(&'static str, &'static str)>,
}

/// Puts specifiers and variables into the words of a command. `:` leaves dollar signs alone.
pub(super) fn expand(exec: &Exec, variables: &Variables, specifiers: &Specifiers) -> Expanded {
    let mut expanded = Expanded::default();
    for word in &exec.words {
        if exec.has(':') {
            let resolved = specifiers.resolve(word);
            expanded.machine.extend(resolved.machine);
            expanded.words.push(resolved.template);
        } else if let Some(name) = bare_variable(word) {
            expand_bare(name, variables, &mut expanded);
        } else {
            let template = expand_word(word, variables, specifiers, &mut expanded);
            expanded.words.push(template);
        }
    }
    expanded
}

/// `NAME` of a word that is `$NAME` and nothing else.
fn bare_variable(word: &str) -> Option<&str> {
    word.strip_prefix('$').filter(|name| crate::placeholder::is_name(name))
}

/// The value becomes any number of words.
fn expand_bare(name: &str, variables: &Variables, expanded: &mut Expanded) {
    match variables.fixed.get(name) {
        Some(value) if variables.may_be_overridden == Overridden::Never && !value.has_placeholder() => {
            let text = value.clone().into_text().replace("$$", "$");
            expanded.words.extend(words(&text).iter().map(|word| Template::literal(word)));
        }
        _ => {
            expanded.split_later.push((expanded.words.len(), name.to_owned()));
        }
    }
}

impl Expanded {
    /// The words with a shell around them, where one has to split values: no definition can say that a word may be none or
    /// several. `-f`, since systemd takes no `*` in a value for files.
    pub(super) fn in_shell(&self) -> Vec<Template> {
        if self.split_later.is_empty() {
            return self.words.clone();
        }
        let mut script = "exec".to_owned();
        for place in 0..=self.words.len() {
            for (_, name) in self.split_later.iter().filter(|(before, _)| *before == place) {
                script += &format!(" ${name}");
            }
            if place < self.words.len() {
                script += &format!(" \"${{{}}}\"", place + 1);
            }
        }
        let shell = ["sh", "-fc", &script, "sh"].map(Template::literal);
        shell.into_iter().chain(self.words.iter().cloned()).collect()
    }
}

fn expand_word(word: &str, variables: &Variables, specifiers: &Specifiers, expanded: &mut Expanded) -> Template {
    let mut template = Template::default();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        let resolved = specifiers.resolve(&rest[..at]);
        template.push(&resolved.template);
        expanded.machine.extend(resolved.machine);
        let after = &rest[at + 1..];
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        rest = if let Some(after) = after.strip_prefix('$') {
            template.push_literal("$");
            after
        } else if let Some((name, beyond)) = braced {
            // A name that is none is not set, and what is not set is nothing.
            if crate::placeholder::is_name(name) {
                let value = placeholder(name, variables, expanded);
                template.push(&value);
            }
            beyond
        } else {
            template.push_literal("$");
            after
        };
    }
    let resolved = specifiers.resolve(rest);
    template.push(&resolved.template);
    expanded.machine.extend(resolved.machine);
    template
}

fn placeholder(name: &str, variables: &Variables, expanded: &mut Expanded) -> Template {
    let mut template = Template::default();
    match (variables.fixed.get(name), variables.may_be_overridden) {
        (Some(value), Overridden::Never) => template.push(value),
        (Some(value), Overridden::ByFile) if value.has_placeholder() => template.push(value),
        (Some(value), Overridden::ByFile) => {
            template.push_placeholder(name, &value.clone().into_text().replace("$$", "$"));
        }
        (None, Overridden::ByFile) => template.push_placeholder(name, ""),
        (None, Overridden::Never) => {
            expanded.outside.push(name.to_owned());
            template.push_placeholder(name, "");
        }
    }
    template
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(value: &str) -> Vec<Vec<String>> {
        commands(value).into_iter().map(|command| command.words).collect()
    }

    #[test]
    fn words_quotes_and_escapes_are_those_of_systemd() {
        assert_eq!(of(r#"/bin/a "b c" 'd "e' f\x20g h\tI \u00e4"#), [["/bin/a", "b c", "d \"e", "f g", "h\tI", "ä"]]);
        assert_eq!(of(r"/bin/a ; /bin/b \; c"), [&["/bin/a"][..], &["/bin/b", ";", "c"]]);
        assert_eq!(of(r#"/bin/a ";" '' x"y"z"#), [["/bin/a", ";", "", "xyz"]]);
        assert_eq!(of(r"/bin/a \d \303\244 \"), [["/bin/a", "\\d", "ä", "\\"]]);
        assert_eq!(of(" ; "), Vec::<Vec<String>>::new());
    }

    #[test]
    fn prefixes_are_told_apart_from_the_program() {
        let command = &commands("-+/bin/a -b")[0];
        assert_eq!(
            (command.prefixes.as_str(), &command.words[..]),
            ("-+", &["/bin/a".to_owned(), "-b".to_owned()][..])
        );
    }

    /// Quotes as `systemd.syntax` describes, for [`split`] to be held against.
    pub(crate) fn quote(word: &str) -> String {
        let escaped: String = word
            .chars()
            .map(|c| match c {
                '"' => "\\\"".to_owned(),
                '\\' => "\\\\".to_owned(),
                '\n' => "\\n".to_owned(),
                other => other.to_string(),
            })
            .collect();
        format!("\"{escaped}\"")
    }

    proptest! {
        #[test]
        fn quoted_words_are_split_back(given in proptest::collection::vec("[\"'\\\\ ;a]{0,8}|\\PC*", 0..5)) {
            let text: Vec<String> = given.iter().map(|word| quote(word)).collect();
            prop_assert_eq!(words(&text.join(" ")), given);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = commands(&text);
        }
    }
}
