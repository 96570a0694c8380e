//! Which exit codes each command can have. Its help tells of them, and a command that ends with another is a mistake.

use clap::{ArgMatches, CommandFactory as _};

use crate::args::Arguments;
use crate::failure::Exit;

/// What every command that speaks to a guard can end with.
const SPEAKS: [Exit; 5] = [Exit::Done, Exit::Failed, Exit::Usage, Exit::NotPermitted, Exit::NoGuard];

/// The command line, with the exit codes in the help of each command.
pub(crate) fn command() -> clap::Command {
    Arguments::command().mut_subcommands(|command| {
        let exits = of(command.get_name());
        if exits.is_empty() { command } else { command.after_help(told(&exits)) }
    })
}

/// Whether what was typed may end so.
pub(crate) fn are_told(matches: &ArgMatches, exit: Exit) -> bool {
    let exits = matches.subcommand_name().map(of).unwrap_or_default();
    exits.is_empty() || exits.into_iter().any(|told| u8::from(told) == u8::from(exit))
}

/// What a command can end with, by its name; nothing for one that nobody types.
fn of(command: &str) -> Vec<Exit> {
    let speaks = |more: &[Exit]| [&SPEAKS, more].concat();
    match command {
        "run" => vec![Exit::Done, Exit::Failed, Exit::Usage, Exit::Refused, Exit::NotReady],
        "up" => speaks(&[Exit::Refused, Exit::NoSuchService, Exit::NotReady]),
        "check" => vec![Exit::Done, Exit::Failed, Exit::Usage, Exit::Refused, Exit::NoSuchService],
        "config" => vec![Exit::Done, Exit::Usage, Exit::Refused, Exit::NoSuchService],
        "schema" | "completions" => vec![Exit::Done, Exit::Usage],
        "import" => vec![Exit::Done, Exit::Failed, Exit::Usage],
        "man" => vec![Exit::Done, Exit::Failed, Exit::Usage],
        "install" | "edit" => vec![
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Refused,
            Exit::NoSuchService,
            Exit::NotPermitted,
            Exit::NotReady,
        ],
        // What takes its manager too long cannot be told, either.
        "diff" => vec![
            Exit::Done,
            Exit::Differs,
            Exit::Usage,
            Exit::Untold,
            Exit::Refused,
            Exit::NoSuchService,
            Exit::NotPermitted,
        ],
        "uninstall" | "enable" | "disable" => {
            vec![Exit::Done, Exit::Failed, Exit::Usage, Exit::NoSuchService, Exit::NotPermitted, Exit::NotReady]
        }
        // The manager that runs the guard may take too long.
        "down" | "upgrade" => speaks(&[Exit::NotReady]),
        "reload" => speaks(&[Exit::Refused, Exit::NotReady]),
        "status" => speaks(&[Exit::NotReady, Exit::NotRunning, Exit::Unknown]),
        "start" | "stop" | "restart" | "pause" | "continue" | "reset" => speaks(&[Exit::NoSuchService, Exit::NotReady]),
        "signal" | "logs" | "events" => speaks(&[Exit::NoSuchService]),
        _ => Vec::new(),
    }
}

/// The exit codes in a sentence.
fn told(exits: &[Exit]) -> String {
    let mut exits = exits.to_vec();
    exits.sort_by_key(|exit| u8::from(*exit));
    let told: Vec<String> = exits.into_iter().map(|exit| format!("{} {}", u8::from(exit), exit.meaning())).collect();
    format!("Exit codes: {}.", told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_each_command_tells_its_exit_codes() {
        for command in command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let exits = of(name);
            assert!(exits.contains(&Exit::Done) && exits.contains(&Exit::Usage), "{name}: {exits:?}");
            for exit in exits {
                let told = format!("{} {}", u8::from(exit), exit.meaning());
                assert!(help.contains(&told), "'{told}' is not in the help of {name}: {help}");
            }
        }
    }

    #[test]
    fn whoever_waits_for_a_manager_may_hear_that_it_took_too_long() {
        for name in ["up", "down", "install", "edit", "uninstall", "enable", "disable", "upgrade", "start", "status"] {
            assert!(of(name).contains(&Exit::NotReady), "{name}");
        }
        // As all programs of its kind, it has one code for whatever keeps it from telling.
        assert!(of("diff").contains(&Exit::Untold) && !of("diff").contains(&Exit::NotReady));
    }
}
