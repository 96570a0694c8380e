//! The programs by which a manager is spoken to.

use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::service::manager::{ManagerError, Verb};
use crate::service::plan::Call;
use crate::service::status::State;

/// What came of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    /// The code it ended with; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it said.
    pub said: String,
    command: String,
}

impl Ran {
    /// What it said, if it ended with success.
    pub(super) fn done(self) -> Result<String, ManagerError> {
        if self.code == Some(0) { Ok(self.said) } else { Err(self.failure()) }
    }

    /// As an error.
    pub(super) fn failure(self) -> ManagerError {
        let said = self.said.trim().lines().map(str::trim).collect::<Vec<_>>().join("; ");
        let ended = self.code.map_or_else(|| "a signal ended it".to_owned(), |code| format!("it ended with {code}"));
        let told = if said.is_empty() { ended } else { format!("{ended}: {said}") };
        ManagerError::Command { command: self.command, told }
    }
}

/// Runs a program, in the language of programs. What it says goes to a file that has no name: what it starts and leaves
/// behind may go on holding that, and nobody waits for it.
pub(super) fn run<Word: AsRef<str>>(program: &str, arguments: &[Word]) -> Result<Ran, ManagerError> {
    let arguments = arguments.iter().map(AsRef::as_ref);
    let command = std::iter::once(program).chain(arguments.clone()).collect::<Vec<_>>().join(" ");
    let failed = |error: std::io::Error| ManagerError::Command { command: command.clone(), told: error.to_string() };
    let mut file = tempfile::tempfile().map_err(failed)?;
    let said = || file.try_clone().map(Stdio::from).map_err(failed);
    let mut child = Command::new(program);
    child.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).stdout(said()?).stderr(said()?);
    let status = child.status().map_err(failed)?;
    let mut said = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut said)).map_err(failed)?;
    Ok(Ran { code: status.code(), said: String::from_utf8_lossy(&said).into_owned(), command })
}

/// Runs the program of a plan's call.
pub(super) fn command(call: &Call) -> Result<Ran, ManagerError> {
    match call.as_command() {
        Some((program, arguments)) => run(program, arguments),
        // No manager that is spoken to by programs plans anything else.
        None => Err(ManagerError::Command { command: call.to_string(), told: "it is no command".to_owned() }),
    }
}

/// The state in which a running service is once it has done as it was told; `None` where no other than before.
pub(super) const fn reached_by(verb: Verb) -> Option<State> {
    match verb {
        Verb::Pause => Some(State::Paused),
        Verb::Continue => Some(State::Running),
        Verb::Start | Verb::Stop | Verb::Restart | Verb::Reload | Verb::Enable | Verb::Disable => None,
    }
}

/// Waits until something is so; whether it is within the time.
pub(super) fn until(
    within: Duration,
    mut is_so: impl FnMut() -> Result<bool, ManagerError>,
) -> Result<bool, ManagerError> {
    let end = Instant::now() + within;
    loop {
        if is_so()? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        std::thread::sleep(POLL);
    }
}

/// How soon something is looked at again.
const POLL: Duration = Duration::from_millis(20);
