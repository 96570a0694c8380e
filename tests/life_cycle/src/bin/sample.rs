//! The program that the suite installs. It speaks no manager's protocol.

use std::process::ExitCode;

use menshen_life_cycle::program::{self, FAILURE, Run};

#[cfg(unix)]
#[path = "../sample/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "../sample/windows.rs"]
mod platform;

fn main() -> std::io::Result<ExitCode> {
    match program::begin()? {
        Run::Service(service) => platform::serve(service).map(|()| ExitCode::SUCCESS),
        Run::Child => Ok(ExitCode::SUCCESS),
        Run::Fail => Ok(FAILURE.into()),
    }
}
