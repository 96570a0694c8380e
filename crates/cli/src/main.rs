//! The `menshen` command.
//!
//! - [`args`]: what can be typed, apart from what it does. The help, the man page and the completions are made from it.
//! - [`commands`]: what it does, one file per command. [`exits`]: what each can end with.
//! - [`guards`]: finding running guards and speaking to them. [`definition`]: finding and loading definitions.
//! - [`output`]: the only place that prints. [`diagnostics`]: findings of `check` as text, JSON and SARIF.

mod args;
mod commands;
mod definition;
mod diagnostics;
mod exits;
mod failure;
mod guards;
mod output;
mod table;

use std::process::ExitCode;

use clap::FromArgMatches as _;

fn main() -> ExitCode {
    let matches = exits::command().get_matches();
    let arguments = args::Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    output::set_color(arguments.color);
    let exit = commands::run(&arguments).unwrap_or_else(|failure| {
        output::show_failure(&failure, arguments.json);
        failure.code()
    });
    debug_assert!(exits::are_told(&matches, exit), "{exit:?} is not in the help");
    exit.into()
}
