//! The programs by which a manager is spoken to. None is waited for without end.

#[cfg(unix)]
#[path = "tool/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "tool/windows.rs"]
mod platform;

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

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

/// Runs a program that answers a question, or changes a setting of a manager's.
pub(super) fn run<Word: AsRef<str>>(program: &str, arguments: &[Word]) -> Result<Ran, ManagerError> {
    run_within(ANSWERED_WITHIN, program, arguments)
}

/// Runs a program to its end. One that takes longer is ended, along with what it has started.
pub(super) fn run_within<Word: AsRef<str>>(
    within: Duration,
    program: &str,
    arguments: &[Word],
) -> Result<Ran, ManagerError> {
    let mut running = Running::begin(program, arguments)?;
    match running.wait(Deadline::after(within))? {
        Some(status) => running.said(status),
        None => Err(running.end(within)),
    }
}

/// Runs a program that answers a question and that may lose its answer. When it has none after a while it is ended and asked
/// again, each time with more patience.
pub(super) fn ask<Word: AsRef<str>>(program: &str, arguments: &[Word]) -> Result<Ran, ManagerError> {
    ask_within(PATIENCE, program, arguments)
}

fn ask_within<Word: AsRef<str>>(
    [first, second, last]: [Duration; 3],
    program: &str,
    arguments: &[Word],
) -> Result<Ran, ManagerError> {
    for within in [first, second] {
        match run_within(within, program, arguments) {
            Err(ManagerError::TookTooLong { .. }) => {}
            answered => return answered,
        }
    }
    run_within(last, program, arguments)
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
            platform::lead(&mut child);
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
        let said = self.read().map_err(|error| self.failed(&error))?;
        Ok(Ran { code: status.code(), said, command: self.command })
    }

    /// Ends it; as an error with what it said until then. Should the kernel not let go of it, somebody else takes note of its
    /// end.
    fn end(mut self, within: Duration) -> ManagerError {
        if let Err(error) = platform::end(&mut self.child) {
            return self.failed(&error);
        }
        if let Err(error) = self.wait(Deadline::after(ENDED_WITHIN)) {
            return error;
        }
        let said = self.read().unwrap_or_default().trim().to_owned();
        let command = self.command;
        if matches!(self.child.try_wait(), Ok(None)) {
            std::thread::spawn(move || self.child.wait());
        }
        ManagerError::TookTooLong { command, within, said }
    }

    fn read(&mut self) -> io::Result<String> {
        let mut said = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut said)?;
        Ok(String::from_utf8_lossy(&said).into_owned())
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
    let deadline = Deadline::after(within);
    loop {
        if is_so()? {
            return Ok(true);
        }
        if deadline.is_over() {
            return Ok(false);
        }
        std::thread::sleep(POLL);
    }
}

/// How long a program may take for an answer. Some of them wait for their manager themselves, for half of it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// How long one that may lose its answer has for it, each time: in all as long as any other.
const PATIENCE: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(40)];
/// How long a program may take to be gone once it was ended.
const ENDED_WITHIN: Duration = Duration::from_secs(5);
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

    /// A program that hangs, with a child that hangs, too, and would answer to nothing but being killed.
    const HANGS: &str = "trap '' TERM INT; echo so far; sleep 600 & echo $! >\"$1\"; wait; wait";

    #[test]
    fn a_program_that_hangs_is_ended_along_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let noted = folder.path().join("child");
        let arguments = ["-c", HANGS, "sh", noted.to_str().unwrap()];
        let begun = || std::fs::read_to_string(&noted).ok().filter(|text| text.ends_with('\n'));
        // It may take as long as the machine needs to get so far.
        let within = Duration::from_millis(300);
        let (told, begun) = loop {
            let told = run_within(within, "sh", &arguments);
            if let Some(begun) = begun() {
                break (told, begun);
            }
        };
        match told {
            Err(error @ ManagerError::TookTooLong { .. }) => {
                let told = error.to_string();
                let expected = ["sh -c trap", "300ms", "so far"];
                assert!(expected.iter().all(|part| told.contains(part)), "{told}");
            }
            other => panic!("{other:?}"),
        }
        let child: u32 = begun.trim().parse().unwrap();
        let is_gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            Ok(!stat.contains("(sleep) S") && !stat.contains("(sleep) R"))
        };
        assert!(until(Duration::from_secs(30), is_gone).unwrap(), "{child} lives");
    }

    /// Hangs the first time it gets so far.
    const LOSES: &str = "mkdir \"$1\" 2>/dev/null && exec sleep 600; echo said; exit 3";

    #[test]
    fn a_program_that_loses_its_answer_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let noted = folder.path().join("has-run");
        let arguments = ["-c", LOSES, "sh", noted.to_str().unwrap()];
        let hour = Duration::from_secs(3600);
        let patience = [Duration::from_secs(2), Duration::from_secs(2), hour];
        let ran = ask_within(patience, "sh", &arguments).unwrap();
        assert_eq!((ran.code, ran.said.as_str()), (Some(3), "said\n"));
        // Whoever answers is not asked again, and in the end it is said that there was none.
        assert_eq!(ask_within([hour; 3], "sh", &["-c", "exit 4"]).unwrap().code, Some(4));
        let told = ask_within([Duration::from_millis(10); 3], "sleep", &["600"]);
        assert!(matches!(told, Err(ManagerError::TookTooLong { .. })), "{told:?}");
    }

    #[test]
    fn a_program_that_leaves_something_behind_is_not_waited_for() {
        let ran = run_within(Duration::from_secs(30), "sh", &["-c", "echo said; sleep 2 & exit 0"]).unwrap();
        assert_eq!((ran.code, ran.said.as_str()), (Some(0), "said\n"));
    }

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
