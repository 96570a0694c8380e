//! Why a command did not do what it was asked, with what to do about it and the exit code.

use std::process::ExitCode;

use menshen_api::{ClientError, Problem, ProblemCode};

use crate::guards;

/// The exit codes of `menshen`; part of its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// It failed.
    Failed,
    /// What was typed makes no sense.
    Usage,
    /// The definition is refused.
    Refused,
    /// There is no such service.
    NoSuchService,
    /// The caller may not do this.
    NotPermitted,
    /// No guard can be reached.
    NoGuard,
    /// A service is failed or not ready.
    NotReady,
    /// `status NAME`, as the Linux Standard Base wants it: not running.
    NotRunning,
    /// `status NAME`, as the Linux Standard Base wants it: unknown.
    Unknown,
    /// `diff`, as of all programs of that kind: something differs.
    Differs,
    /// `diff`, as of all programs of that kind: it cannot be told.
    Untold,
    /// As the guard ended.
    Guard(u8),
}

impl Exit {
    /// Every one that has a code of its own, by code.
    pub(crate) const ALL: [Self; 12] = [
        Self::Done,
        Self::Failed,
        Self::Differs,
        Self::Usage,
        Self::Untold,
        Self::Refused,
        Self::NotRunning,
        Self::NoSuchService,
        Self::Unknown,
        Self::NotPermitted,
        Self::NoGuard,
        Self::NotReady,
    ];

    /// What it says, in a few words.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Refused => "definition refused",
            Self::NoSuchService => "no such service",
            Self::NotPermitted => "not permitted",
            Self::NoGuard => "no guard reachable",
            Self::NotReady => "a service is failed or not ready",
            Self::NotRunning => "the service NAME is not running",
            Self::Unknown => "there is no service NAME",
            Self::Differs => "it differs",
            Self::Untold => "whether it differs cannot be told",
            Self::Guard(_) => "as the guard ended",
        }
    }
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => 0,
            Exit::Failed | Exit::Differs => 1,
            Exit::Usage | Exit::Untold => 2,
            Exit::Refused | Exit::NotRunning => 3,
            Exit::NoSuchService | Exit::Unknown => 4,
            Exit::NotPermitted => 5,
            Exit::NoGuard => 6,
            Exit::NotReady => 7,
            Exit::Guard(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(u8::from(exit))
    }
}

/// What went wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    /// What happened: a lower-case fragment. Empty if everything has been said already.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The guard's own words, for programs.
    pub problem: Option<Box<Problem>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), help: None, problem: None }
    }

    /// Everything has been said already.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With something more to do.
    pub(crate) fn also_help(mut self, more: impl Into<String>) -> Self {
        let more = more.into();
        self.help = Some(self.help.map_or_else(|| more.clone(), |help| format!("{help}; {more}")));
        self
    }

    /// The same with another exit code.
    pub(crate) const fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// That something else went wrong while the first was being made good.
    pub(crate) fn after(mut self, then: &Self) -> Self {
        self.message = format!("{}; and not everything is as it was: {}", self.message, then.message);
        self
    }

    /// Whether there is no guard to ask.
    pub(crate) const fn is_of_no_guard(&self) -> bool {
        matches!(self.exit, Exit::NoGuard)
    }

    /// Whether the guard refuses because its definition disables the service.
    pub(crate) fn is_of_disabled(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.code == ProblemCode::Disabled)
    }

    pub(crate) const fn code(&self) -> Exit {
        self.exit
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Problem(problem) => {
                let exit = match problem.code {
                    ProblemCode::NoSuchService => Exit::NoSuchService,
                    ProblemCode::NotPermitted => Exit::NotPermitted,
                    ProblemCode::DefinitionRefused => Exit::Refused,
                    ProblemCode::WaitFailed | ProblemCode::WaitTimeout => Exit::NotReady,
                    // The command only passes on what was typed.
                    ProblemCode::BadRequest => Exit::Usage,
                    ProblemCode::NotFound
                    | ProblemCode::MethodNotAllowed
                    | ProblemCode::Disabled
                    | ProblemCode::NotRunning
                    | ProblemCode::NotPaused
                    | ProblemCode::NoReloadSignal
                    | ProblemCode::IdempotencyMismatch
                    | ProblemCode::TooLarge
                    | ProblemCode::UpgradeRefused
                    | ProblemCode::Internal
                    | ProblemCode::ShuttingDown
                    | ProblemCode::Busy => Exit::Failed,
                };
                Self { exit, message: problem.detail.clone(), help: None, problem: Some(Box::new(problem)) }
            }
            ClientError::Unreachable(source) => {
                let denied = source.kind() == std::io::ErrorKind::PermissionDenied;
                let exit = if denied { Exit::NotPermitted } else { Exit::NoGuard };
                Self::new(exit, format!("cannot reach the guard: {}", menshen_os::error::describe(&source)))
            }
            ClientError::Silent { instance } => guards::silent(&instance),
            error @ (ClientError::Broken(_) | ClientError::Unreadable(_)) => {
                Self::new(Exit::NoGuard, error.to_string())
            }
        }
    }
}
