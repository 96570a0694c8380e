//! The project's own chores: `cargo xtask --help`.

mod bench;
mod cache;
mod codegen;
mod debian;
mod demo;
mod fuzz;
mod lines;
mod shell;
mod test;
mod testbed;
mod tidy;
mod torture;
mod windows;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Menshen's own chores", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Build everything and run the example shop.
    Demo,
    /// Run everything that has to pass: format, lints, tidy, generated files, tests.
    Test {
        /// Only tests whose name contains this.
        filter: Option<String>,
    },
    /// Measure how quick and how small the guard is.
    Bench(bench::Arguments),
    /// Guard 200 programs that crash, write, are probed and commanded at random, and see whether the guard grows.
    Soak(bench::SoakArguments),
    /// Feed every reader of outside input with what nobody would write, for a while.
    Fuzz(fuzz::Arguments),
    /// Kill a guard again and again, and look whether it keeps what it promised.
    Torture(torture::Arguments),
    /// Write the generated files anew.
    Codegen {
        /// Only say whether they are up to date.
        #[arg(long)]
        check: bool,
    },
    /// Make what tests need and no package brings ready to use, such as a machine with a real systemd.
    Testbed,
    /// Hold the source against the project's invariants.
    Tidy,
    /// Build for Windows what the tests run under Wine, and hold it against the lints.
    Windows,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.chore {
        Chore::Demo => demo::demo(),
        Chore::Test { filter } => test::test(filter.as_deref()),
        Chore::Bench(arguments) => bench::bench(&arguments),
        Chore::Soak(arguments) => bench::soak(&arguments),
        Chore::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Chore::Torture(arguments) => torture::torture(&arguments),
        Chore::Codegen { check: true } => codegen::check(),
        Chore::Codegen { check: false } => codegen::write(),
        Chore::Testbed => testbed::testbed(),
        Chore::Tidy => tidy::tidy(),
        Chore::Windows => windows::windows(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            shell::say(&format!("\nxtask: {message}"));
            ExitCode::FAILURE
        }
    }
}
