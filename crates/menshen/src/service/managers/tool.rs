//! The programs by which a manager is spoken to.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::service::deadline::Deadline;
use crate::service::manager::{ManagerError, ServiceManager, Verb};
use crate::service::name::ServiceName;
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

/// Something that a service is told, and by when it is to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub manager: &'a dyn ServiceManager,
    pub name: &'a ServiceName,
    pub verb: Verb,
    pub deadline: Deadline,
}

impl Told<'_> {
    /// The same, to be done within a time of its own if that is sooner.
    pub(super) fn or_after(self, within: Duration) -> Self {
        Self { deadline: self.deadline.or_after(within), ..self }
    }

    /// That it was not done in time.
    pub(super) fn overdue(&self) -> ManagerError {
        let Self { manager, name, verb, deadline } = *self;
        match manager.status(name) {
            Ok(status) => {
                let (name, within, state) = (name.clone(), deadline.within(), status.state);
                ManagerError::Overdue { name, verb, within, state, doing: status.text }
            }
            Err(error) => error,
        }
    }

    /// Runs the program that tells it, and waits for its end until the deadline. One that takes longer goes on.
    pub(super) fn run<Word: AsRef<str>>(&self, program: &str, arguments: &[Word]) -> Result<Ran, ManagerError> {
        let mut running = Running::begin(program, arguments)?;
        match running.wait(self.deadline)? {
            Some(status) => running.said(status),
            None => {
                // Somebody has to take note of its end.
                std::thread::spawn(move || running.child.wait());
                Err(self.overdue())
            }
        }
    }

    /// Waits until something is so.
    pub(super) fn until(&self, is_so: impl FnMut() -> Result<bool, ManagerError>) -> Result<(), ManagerError> {
        if until(self.deadline.left(), is_so)? { Ok(()) } else { Err(self.overdue()) }
    }
}

/// Runs a program to its end.
pub(super) fn run<Word: AsRef<str>>(program: &str, arguments: &[Word]) -> Result<Ran, ManagerError> {
    let mut running = Running::begin(program, arguments)?;
    let status = running.child.wait().map_err(|error| running.failed(&error))?;
    running.said(status)
}

/// A program that runs.
struct Running {
    child: Child,
    /// What it says goes to a file that has no name: what it starts and leaves behind may go on holding that, and nobody
    /// waits for it.
    file: File,
    command: String,
}

impl Running {
    /// Starts a program, in the language of programs.
    fn begin<Word: AsRef<str>>(program: &str, arguments: &[Word]) -> Result<Self, ManagerError> {
        let arguments = arguments.iter().map(AsRef::as_ref);
        let command = std::iter::once(program).chain(arguments.clone()).collect::<Vec<_>>().join(" ");
        let begin = || {
            let file = tempfile::tempfile()?;
            let said = || file.try_clone().map(Stdio::from);
            let mut child = Command::new(program);
            child.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).stdout(said()?).stderr(said()?);
            Ok((child.spawn()?, file))
        };
        match begin() {
            Ok((child, file)) => Ok(Self { child, file, command }),
            Err(error) => Err(failed(command, &error)),
        }
    }

    /// Waits for its end; `None` where it has not come by the deadline.
    fn wait(&mut self, deadline: Deadline) -> Result<Option<ExitStatus>, ManagerError> {
        let mut pause = WAIT_FIRST;
        loop {
            match self.child.try_wait() {
                Ok(None) if deadline.is_over() => return Ok(None),
                Ok(None) => {}
                Ok(Some(status)) => return Ok(Some(status)),
                Err(error) => return Err(self.failed(&error)),
            }
            std::thread::sleep(pause.min(deadline.left()));
            pause = (pause * 2).min(POLL);
        }
    }

    fn said(mut self, status: ExitStatus) -> Result<Ran, ManagerError> {
        let mut said = Vec::new();
        let read = self.file.rewind().and_then(|()| self.file.read_to_end(&mut said));
        read.map_err(|error| self.failed(&error))?;
        Ok(Ran { code: status.code(), said: String::from_utf8_lossy(&said).into_owned(), command: self.command })
    }

    fn failed(&self, error: &io::Error) -> ManagerError {
        failed(self.command.clone(), error)
    }
}

fn failed(command: String, error: &io::Error) -> ManagerError {
    ManagerError::Command { command, told: error.to_string() }
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

/// How soon the end of a program is looked for at first.
const WAIT_FIRST: Duration = Duration::from_millis(1);
/// How soon something is looked at again.
const POLL: Duration = Duration::from_millis(20);

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::service::manager::ManagerKind;
    use crate::service::managers;

    #[test]
    fn a_program_that_takes_too_long_is_not_waited_for() {
        let manager = managers::assumed(ManagerKind::SysV);
        let (name, deadline) = ("not-there".parse().unwrap(), Deadline::after(Duration::from_millis(50)));
        let told = Told { manager: &*manager, name: &name, verb: Verb::Start, deadline };
        let ran = told.run("sh", &["-c", "read line < /dev/null; exec sleep 5"]);
        match ran {
            Err(ManagerError::Overdue { verb: Verb::Start, within, state: State::NotInstalled, .. }) => {
                assert_eq!(within, Duration::from_millis(50));
            }
            other => panic!("{other:?}"),
        }
        let told = told.or_after(Duration::from_secs(60));
        assert_eq!(told.deadline.within(), Duration::from_millis(50));
        let told = Told { deadline: Deadline::after(Duration::from_secs(60)), ..told };
        assert_eq!(told.run("sh", &["-c", "echo said; exit 3"]).unwrap().code, Some(3));
        assert!(told.until(|| Ok(true)).is_ok());
    }
}
