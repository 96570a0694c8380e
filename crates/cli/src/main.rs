//! The `menshen` command.
//!
//! - [`args`]: what can be typed, apart from what it does. The help, the man page and the completions are made from it.
//! - [`commands`]: what it does, one file per command.
//! - [`guards`]: finding running guards and speaking to them. [`definition`]: finding and loading definitions.
//! - [`output`]: the only place that prints. [`diagnostics`]: findings of `check` as text, JSON and SARIF.

mod args;
mod commands;
mod definition;
mod diagnostics;
mod failure;
mod guards;
mod output;
mod table;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    output::set_color(arguments.color);
    match commands::run(&arguments) {
        Ok(code) => code.into(),
        Err(failure) => {
            output::show_failure(&failure, arguments.json);
            failure.code().into()
        }
    }
}
