//! What would be done to install or uninstall a service, step by step.
//!
//! A plan is made without looking at the machine, so it can be shown anywhere, and on any operating system. Its steps say what
//! must be so in the end: where it is already so, nothing is done, and a plan that is carried out twice changes nothing the
//! second time. The one thing that is looked for is what an earlier registration of the same service has left and this one does
//! not name, so that it can go.

use std::fmt;
use std::path::PathBuf;

use super::managers::fact::Fact;
use super::managers::scm;
use super::managers::systemd;

/// What a file of ours has in one of its first lines, in the comments of its format. Files without it are somebody else's.
pub const MARK: &str = "Made by menshen:";

/// Steps, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What the manager must be told after files were put back because a step failed.
    pub after_undo: Vec<Call>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A folder is there.
    Folder {
        /// Where.
        path: PathBuf,
        /// Its permissions if it has to be made.
        mode: u32,
    },
    /// A file is there and has this content.
    File {
        /// Where.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// All of it.
        content: String,
        /// Whether it has the [`MARK`].
        ownership: Ownership,
    },
    /// A symbolic link is there.
    Link {
        /// Where.
        path: PathBuf,
        /// What it leads to.
        target: PathBuf,
    },
    /// There is no file or link.
    NoFile {
        /// Where.
        path: PathBuf,
        /// Whether a file that is there has the [`MARK`].
        ownership: Ownership,
    },
    /// There is no folder, nor anything in it.
    NoFolder {
        /// Where.
        path: PathBuf,
    },
    /// There is no folder unless something is in it.
    NoEmptyFolder {
        /// Where.
        path: PathBuf,
    },
    /// The manager has been told something.
    Call {
        /// What.
        call: Call,
        /// What takes it back, should a later step fail.
        undo: Option<Call>,
    },
}

/// How to tell whether a file at a path is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// It has the [`MARK`]; one without is left alone, and that is an error.
    Marked,
    /// It is ours because of the folder it is in, or its format has no comments.
    ByPlace,
}

/// Something a manager is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// A program of the manager's is run.
    Command {
        /// The program, looked for in `PATH`.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// What is so once it was run, where the manager can be asked.
        fact: Option<Fact>,
    },
    /// systemd is asked over D-Bus.
    Systemd(systemd::Request),
    /// The service control manager of Windows is asked.
    Scm(scm::Request),
}

impl Call {
    /// A program of the manager's.
    #[must_use]
    pub fn command(program: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::Command { program: program.to_owned(), arguments, fact: None }
    }

    /// A program of the manager's that makes something so.
    #[must_use]
    pub fn making(fact: Fact, program: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::Command { program: program.to_owned(), arguments, fact: Some(fact) }
    }

    /// What is so once it was made, as far as it says so.
    #[must_use]
    pub const fn fact(&self) -> Option<&Fact> {
        match self {
            Self::Command { fact, .. } => fact.as_ref(),
            Self::Systemd(_) | Self::Scm(_) => None,
        }
    }

    /// The program and its arguments, where it is one.
    #[must_use]
    pub fn as_command(&self) -> Option<(&str, &[String])> {
        match self {
            Self::Command { program, arguments, fact: _ } => Some((program, arguments)),
            Self::Systemd(_) | Self::Scm(_) => None,
        }
    }
}

impl Step {
    /// A file with the [`MARK`].
    #[must_use]
    pub fn file(path: impl Into<PathBuf>, mode: u32, content: impl Into<String>) -> Self {
        Self::File { path: path.into(), mode, content: content.into(), ownership: Ownership::Marked }
    }

    /// A folder that others can read.
    #[must_use]
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self::Folder { path: path.into(), mode: 0o755 }
    }

    /// Something the manager is told that needs no undoing.
    #[must_use]
    pub const fn call(call: Call) -> Self {
        Self::Call { call, undo: None }
    }
}

/// As people are shown it: one line, for files with their content below.
impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, mode } => write!(formatter, "make the folder {} ({mode:04o})", path.display()),
            Self::File { path, mode, content, ownership: _ } => {
                write!(formatter, "write {} ({mode:04o}):", path.display())?;
                content.lines().try_for_each(|line| write!(formatter, "\n    {line}"))
            }
            Self::Link { path, target } => write!(formatter, "link {} to {}", path.display(), target.display()),
            Self::NoFile { path, ownership: _ } => write!(formatter, "remove {}", path.display()),
            Self::NoFolder { path } => write!(formatter, "remove the folder {}", path.display()),
            Self::NoEmptyFolder { path } => write!(formatter, "remove the folder {} if it is empty", path.display()),
            Self::Call { call, undo: _ } => call.fmt(formatter),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { program, arguments, fact: _ } => {
                write!(formatter, "run {program}")?;
                arguments.iter().try_for_each(|argument| write!(formatter, " {argument}"))
            }
            Self::Systemd(request) => request.fmt(formatter),
            Self::Scm(request) => request.fmt(formatter),
        }
    }
}
