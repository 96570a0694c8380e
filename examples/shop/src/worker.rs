//! The worker: sends out orders, and touches a file with each, so that one can see it is alive.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use shop::arguments::value;
use shop::say::{err, out};

fn main() -> ExitCode {
    let state = PathBuf::from(value("--state", "."));
    let pace_ms = value("--pace", "2000").parse().unwrap_or(2000);
    out("the worker is at its place");
    for order in 1_u64.. {
        std::thread::sleep(Duration::from_millis(pace_ms));
        if let Err(error) = fs::write(state.join("heartbeat"), format!("{order}\n")) {
            err(format_args!("order {order} cannot be written down: {error}"));
            return ExitCode::FAILURE;
        }
        out(format_args!("order {order} is on its way"));
        if order % 10 == 0 {
            err(format_args!("warning: only {} boxes are left", 1000_u64.saturating_sub(order)));
        }
    }
    ExitCode::SUCCESS
}
