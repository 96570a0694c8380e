//! TAB in real shells.

use std::process::Command;

use menshen_tests::command::{Ran, menshen};
use menshen_tests::terminal::Terminal;
use menshen_tests::{Bed, Trees, require};

const DEFINITION: &str = "[service.web]\ncommand = \"sleep 3600\"\n[service.worker]\ncommand = \"sleep 3600\"\n\
                          [service.mail]\ncommand = \"sleep 3600\"\n";
const TAB: &[u8] = b"\t";

/// A guard, and a shell in which `menshen` is the command that was built.
fn bed() -> Bed {
    let bed = Bed::new(Trees::Walk, DEFINITION).up();
    bed.await_ready("mail");
    bed
}

fn shell(bed: &Bed, words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(bed.folder());
    command.envs(bed.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", menshen().parent().unwrap().display()));
    command.env("HOME", bed.folder()).env("TERM", "dumb").env("PS1", "$ ").env("INPUTRC", "/dev/null");
    command
}

/// What a script says, a line for each.
fn lines(command: &Command) -> Vec<String> {
    let ran = Ran::of(command).ended_with(0);
    let mut lines: Vec<String> = ran.text().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn bash_completes_the_names_of_services_and_of_guards() {
    let bed = bed();
    let mut bash = Terminal::start(&shell(&bed, &["bash", "--noprofile", "--norc", "-i"]));
    bash.press(b"source <(menshen completions bash) && echo there are$((1))completions\n");
    bash.await_shown("there are1completions");
    bash.press(b"menshen stop ma");
    bash.press(TAB);
    bash.await_shown("menshen stop mail");
    bash.press(b"\x15menshen -i ");
    bash.press(TAB);
    bash.await_shown(&format!("menshen -i {}", bed.instance()));
    bash.press(b"\x15menshen restart w");
    // Two begin so.
    bash.press(TAB);
    bash.press(TAB);
    bash.await_shown("web");
    bash.await_shown("worker");
    bash.press(b"\x15exit\n");
    bed.menshen(["down"]).done();
}

#[test]
fn zsh_completes_the_names_of_services() {
    if require::program("zsh").is_none() {
        return;
    }
    let bed = bed();
    let mut zsh = Terminal::start(&shell(&bed, &["zsh", "-f", "-i"]));
    zsh.press(
        b"autoload -U compinit; compinit -u; source <(menshen completions zsh); echo there are$((1))completions\n",
    );
    zsh.await_shown("there are1completions");
    zsh.press(b"menshen stop ma");
    zsh.press(TAB);
    zsh.await_shown("menshen stop mail");
    zsh.press(b"\x15exit\n");
    bed.menshen(["down"]).done();
}

#[test]
fn fish_offers_the_names_of_services_with_their_states() {
    if require::program("fish").is_none() {
        return;
    }
    let bed = bed();
    let script = "menshen completions fish | source; complete -C 'menshen stop w'";
    assert_eq!(lines(&shell(&bed, &["fish", "--no-config", "-c", script])), ["web\trunning", "worker\trunning"]);
    bed.menshen(["down"]).done();
    // Without a guard there is nothing to offer, and nothing to complain of.
    assert_eq!(lines(&shell(&bed, &["fish", "--no-config", "-c", script])), Vec::<String>::new());
}
