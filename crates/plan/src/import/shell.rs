//! Commands that need a shell.

/// What only a shell understands; a command with none of it can be run as it is.
const SHELL_SIGNS: [char; 14] = ['|', '&', ';', '<', '>', '(', ')', '`', '*', '?', '[', '{', '~', '\n'];

/// Words a shell takes for itself at the beginning of a command.
const SHELL_COMMANDS: [&str; 25] = [
    "cd", "exec", "source", ".", "export", "eval", "set", "unset", "if", "for", "while", "until", "case", "trap",
    "ulimit", "umask", "alias", "read", "wait", "shift", "return", "exit", "then", "do", "!",
];

/// Whether a command line is more than words: only a shell does what it says. Quoted parts and `$NAME` do not count; what
/// can be done about those is the caller's.
pub(crate) fn needs_shell(line: &str) -> bool {
    let mut quote = None;
    let mut bare = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => _ = characters.next(),
            ('\'' | '"', None) => quote = Some(character),
            (end, Some(open)) if end == open => quote = None,
            // A command in double quotes is still run.
            ('`', Some('"')) => return true,
            ('$', None | Some('"')) if characters.as_str().starts_with('(') => return true,
            (_, Some(_)) => {}
            ('$', None) if characters.as_str().starts_with('{') => {
                let name = characters.as_str().split('}').next().unwrap_or_default().len();
                characters = characters.as_str().get(name + 1..).unwrap_or_default().chars();
            }
            (other, None) => bare.push(other),
        }
    }
    let first = bare.split_whitespace().next().unwrap_or_default();
    bare.contains(SHELL_SIGNS)
        || SHELL_COMMANDS.contains(&first)
        || bare.split_whitespace().any(|word| word.starts_with('#'))
}

/// Whether a command begins with `NAME=value`, which a shell sets for the command.
pub(crate) fn assignment(word: &str) -> Option<(&str, &str)> {
    word.split_once('=').filter(|(name, _)| crate::placeholder::is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_words_needs_a_shell() {
        for line in
            ["a | b", "a && b", "a > f", "cd x", "$(pwd)/a", "a `b`", "a *.log", "\"$(a)\"", "a # b", "~/a", "{ a; }"]
        {
            assert!(needs_shell(line), "{line}");
        }
        for line in ["a b", "a 'b | c'", "a \"b;c\"", "a --x=${Y:-1} $Z", "a \\| b", "python -m http.server", "a#b"] {
            assert!(!needs_shell(line), "{line}");
        }
    }
}
