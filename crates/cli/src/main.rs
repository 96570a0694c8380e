//! The `menshen` command.
//!
//! - [`args`]: what can be typed, apart from what it does. The help, the man page and the completions are made from it.
//! - [`commands`]: what it does, one file per command. [`exits`]: what each can end with.
//! - [`complete`]: what a shell offers for TAB.
//! - [`guards`]: finding running guards and speaking to them. [`definition`]: finding and loading definitions. [`at_hand`]: that of
//!   the folder somebody is in, and whose guard is meant.
//! - [`registering`]: from a definition to what the machine's service manager is told.
//! - [`output`]: the only place that prints. [`diagnostics`]: findings of `check` as text, JSON and SARIF.

mod args;
mod at_hand;
mod commands;
mod complete;
mod definition;
mod diagnostics;
mod exits;
mod failure;
mod guards;
mod output;
mod registering;
mod table;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

fn main() -> ExitCode {
    complete::answer_shell(args::Arguments::command);
    let matches = matches();
    let arguments = args::Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    output::set_color(arguments.color);
    let exit = commands::run(&arguments).unwrap_or_else(|failure| {
        output::show_failure(&arguments, &failure);
        failure.code()
    });
    debug_assert!(exits::are_told(&matches, exit), "{exit:?} is not in the help");
    exit.into()
}

/// What was typed. What is told of the other commands, and of exit codes, is for where somebody reads: in a command that does
/// something, making that ready would take longer than finding out what was typed.
fn matches() -> ArgMatches {
    args::typed(std::env::args_os().skip(1)).try_get_matches().unwrap_or_else(|_| exits::command().get_matches())
}
