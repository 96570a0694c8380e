//! The migration: does one thing and ends. It can be told to fail the first times, as migrations do when a database is slow.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use shop::arguments::value;
use shop::say::{err, out};

fn main() -> ExitCode {
    let state = value("--state", ".");
    match migrate(Path::new(&state)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            err(format_args!("migration failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn migrate(state: &Path) -> std::io::Result<()> {
    fs::create_dir_all(state)?;
    for step in ["create table orders", "create table customers", "add index orders_by_customer"] {
        out(format_args!("migrating: {step}"));
        std::thread::sleep(Duration::from_millis(150));
    }
    fs::write(state.join("schema"), "3\n")?;
    out("the schema is at version 3");
    Ok(())
}
