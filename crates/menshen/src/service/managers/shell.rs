//! POSIX shell: how a text is written so that a shell reads exactly it, and the parts that scripts share.

use std::path::Path;
use std::time::Duration;

use super::variables;
use crate::service::name::ServiceName;
use crate::service::plan::MARK;
use crate::service::registration::{Account, Registration};

/// A text as one word of a shell command, whatever is in it.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-:,@+".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Words as a shell command.
pub(super) fn command_line<Word: AsRef<str>>(words: &[Word]) -> String {
    words.iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// The first lines of a script: who made it, and what people call the service.
pub(super) fn head(interpreter: &str, registration: &Registration) -> String {
    format!("#!{interpreter}\n{}", comments(registration))
}

/// What people call a service and what it is for, as comments.
pub(super) fn comments(registration: &Registration) -> String {
    let texts = [registration.display_name.as_deref(), registration.description.as_deref()];
    let lines = texts.into_iter().flatten().flat_map(|text| text.split(['\n', '\r']));
    let lines: String = lines.map(|line| format!("# {line}\n")).collect();
    format!("{}\n{lines}", mark(&registration.name))
}

/// The comment by which a file is known to be ours.
pub(super) fn mark(name: &ServiceName) -> String {
    format!("# {MARK} {name}")
}

/// A path as text. Paths that are none were refused before.
pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The working directory of a service.
pub(super) fn directory(registration: &Registration) -> String {
    let directory = registration.directory.as_deref().or_else(|| registration.program.parent());
    directory.map_or_else(|| "/".to_owned(), text)
}

/// The program and its arguments.
pub(super) fn program(registration: &Registration) -> Vec<String> {
    let program = std::iter::once(text(&registration.program));
    program.chain(registration.arguments.iter().cloned()).collect()
}

/// A command that is executed with the environment of a service, by `env`: where everybody can see it.
pub(super) fn with_environment(registration: &Registration, command: &[String]) -> Vec<String> {
    let variables = registration.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let mut words: Vec<String> = variables.collect();
    if words.is_empty() {
        return command.to_vec();
    }
    words.insert(0, "env".to_owned());
    // A program with `=` in its path would be taken for another variable.
    if command.first().is_some_and(|program| program.contains('=')) {
        words.extend(["nice", "-n", "0"].map(str::to_owned));
    }
    words.extend_from_slice(command);
    words
}

/// Who a service runs as, in the variables `uid`, `gid` and `groups`, and its `HOME`, `USER` and `LOGNAME`; nothing, where it
/// runs as whoever runs the script.
fn account(registration: &Registration) -> Option<String> {
    let Account::User { name, group, password: _ } = &registration.account else { return None };
    let user = quoted(name);
    let gid = match group {
        Some(group) => format!("gid=$(getent group {} | cut -d: -f3) && [ -n \"$gid\" ]", quoted(group)),
        None => format!("gid=$(id -g {user})"),
    };
    Some(format!(
        "uid=$(id -u {user}) && groups=$(id -G {user}) && {gid} || exit 111\n\
         HOME=$(getent passwd {user} | cut -d: -f6) USER={user} LOGNAME={user}\nexport HOME USER LOGNAME\n"
    ))
}

/// A service as its scripts execute something for it.
pub(super) struct Executed<'a> {
    /// What was asked for.
    pub registration: &'a Registration,
    /// Where its [`variables`] are.
    pub variables: &'a Path,
    /// What executes a command as another user, of what [`account`] says; it is not used where that is nobody.
    pub as_user: &'a str,
}

impl Executed<'_> {
    /// Executes a command in the service's directory and environment, as its account. What is written `before` is executed
    /// before the account is left.
    pub(super) fn execute(&self, command: &[String], before: &str) -> String {
        let Self { registration, variables, as_user } = *self;
        let (account, as_user) = account(registration).map_or_else(Default::default, |account| (account, as_user));
        let directory = quoted(&directory(registration));
        let handed_on = variables::hand_on(variables, registration, "exit 111");
        let command = command_line(&variables::executed(registration, command));
        format!("cd {directory} || exit 111\n{account}{handed_on}exec {before}{as_user}{command}\n")
    }

    /// The same, in a process of its own whose end is waited for and tells whether it worked.
    pub(super) fn beside(&self, command: &[String]) -> String {
        format!("(\n{}) </dev/null", self.execute(command, ""))
    }

    /// The same, in a process of its own that nobody waits for.
    pub(super) fn aside(&self, command: &[String]) -> String {
        format!("(\n{}) </dev/null &\n", self.execute(command, ""))
    }
}

/// Words, none of which has a character that a form cannot have: where one has, a shell puts them together.
pub(super) fn without(words: &[String], is_impossible: fn(char) -> bool) -> Vec<String> {
    let mut impossible: Vec<char> = words.iter().flat_map(|word| word.chars()).filter(|c| is_impossible(*c)).collect();
    impossible.sort_unstable();
    impossible.dedup();
    if impossible.is_empty() {
        return words.to_vec();
    }
    let (mut line, mut script) = (command_line(words), String::new());
    for (index, character) in impossible.into_iter().enumerate() {
        let bytes: String = character.to_string().bytes().map(|byte| format!("\\{byte:03o}")).collect();
        // A shell would cut a line end at the end.
        let name = format!("menshen_{index}");
        script += &format!("{name}=$(printf '{bytes}.'); {name}=${{{name}%.}}; ");
        line = line.replace(character, &format!("'\"${name}\"'"));
    }
    ["/bin/sh", "-c", &format!("{script}exec {line}")].map(str::to_owned).into()
}

/// How many files a service may have open.
pub(super) fn open_files(registration: &Registration) -> String {
    registration.open_files.map_or_else(String::new, |files| format!("ulimit -n {files} || exit 111\n"))
}

/// Seconds for `sleep` and the like, rounded up: nothing happens earlier than was asked for.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Where a script notes a process until the next boot: System V's that of the program, and in a second line when it began;
/// OpenRC's that of the program or of its supervise-daemon.
pub(super) fn pid_file(name: &ServiceName) -> String {
    format!("/run/menshen.{name}.pid")
}

/// The name of a signal as `kill` takes it.
pub(super) fn signal(name: &str) -> &str {
    name.strip_prefix("SIG").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_word_whatever_is_in_it() {
        for (text, word) in [
            ("/usr/bin/web", "/usr/bin/web"),
            ("", "''"),
            ("two words", "'two words'"),
            ("it's", r"'it'\''s'"),
            ("A=b", "'A=b'"),
            ("~", "'~'"),
            ("$HOME `id` \\ \"", "'$HOME `id` \\ \"'"),
        ] {
            assert_eq!(quoted(text), word);
        }
    }
}
