//! The command that is printed for a run that fails replays it.

#![expect(clippy::disallowed_types, reason = "what is tested is a program")]

use std::process::{Command, Output};

use menshen_sim::Options;
use menshen_sim::shrink::command;

/// Runs the program as `cargo run` would.
fn replay(options: &Options) -> Output {
    let printed = command(options);
    let arguments = printed.strip_prefix("cargo run -p menshen-sim -- ").unwrap_or_else(|| panic!("{printed}"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_menshen-sim"));
    program.args(arguments.split(' ')).output().expect("the program can be started")
}

#[test]
fn a_replay_prints_the_same_trace_as_the_run_has() {
    let options = Options { services_max: 2, actions_max: 5, traced: true, ..Options::of(3) };
    let trace = menshen_sim::run(&options).trace;
    let output = replay(&options);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(trace.contains("> Begin") && text.starts_with(&trace), "{text}");
    assert!(text.contains("seed 3: "), "{text}");
}

#[test]
fn a_word_nobody_knows_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_menshen-sim")).args(["replay", "--sed", "1"]).output();
    let output = output.expect("the program can be started");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unknown argument --sed"));
}
