//! Which manager is asked, and what its errors mean to whoever typed a command.

use menshen::service::name::NameError;
use menshen::service::{ManagerError, ManagerKind, RegistrationOption, Scope, ServiceManager, detect, managers, story};

use super::password;
use super::refusal::denied;
use crate::failure::{Exit, Failure};

/// The manager somebody named, or else the one this machine has.
pub(crate) fn choose(named: Option<ManagerKind>, scope: Scope) -> Result<Box<dyn ServiceManager>, Failure> {
    let kind = match named {
        Some(kind) => kind,
        None => detect::detect().ok_or_else(|| {
            Failure::new(Exit::Failed, "this machine has no service manager that is known")
                .help("name one with --manager, or start the guard another way: `menshen up` in the foreground is all there is to it")
        })?,
    };
    Ok(managers::of(kind, scope)?)
}

/// The same for somebody who only wants to see what would be done: that can be shown of a manager of another system, too.
pub(crate) fn choose_to_show(named: Option<ManagerKind>, scope: Scope) -> Result<Box<dyn ServiceManager>, Failure> {
    match named {
        Some(kind)
            if scope == Scope::System && matches!(managers::of(kind, scope), Err(ManagerError::Elsewhere { .. })) =>
        {
            hold_same_paths(kind)?;
            Ok(managers::assumed(kind))
        }
        Some(_) | None => choose(named, scope),
    }
}

/// What Windows would be told has paths of Windows in it, and what others would be told has none: there is nothing to show.
fn hold_same_paths(kind: ManagerKind) -> Result<(), Failure> {
    let has_windows = menshen_os::host::KIND == menshen_os::host::Kind::Windows;
    if (kind == ManagerKind::Scm) == has_windows {
        return Ok(());
    }
    let system = if has_windows { "Windows" } else { "Unix" };
    let message = format!("what {kind} would be told cannot be shown here: the paths are those of {system}");
    Err(Failure::new(Exit::Usage, message).help(format!("type it on a machine that could run {kind}")))
}

/// What a manager's error is to a command.
impl From<ManagerError> for Failure {
    fn from(error: ManagerError) -> Self {
        let exit = match &error {
            ManagerError::NotInstalled { .. } => Exit::NoSuchService,
            ManagerError::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Exit::NotPermitted
            }
            ManagerError::NotPermitted { .. } => Exit::NotPermitted,
            ManagerError::NotReached { .. } | ManagerError::Overdue { .. } | ManagerError::TookTooLong { .. } => {
                Exit::NotReady
            }
            ManagerError::Unsupported { .. } | ManagerError::Mistaken(_) | ManagerError::CannotAct { .. } => {
                Exit::Usage
            }
            ManagerError::File { .. }
            | ManagerError::Foreign { .. }
            | ManagerError::Namesake { .. }
            | ManagerError::Command { .. }
            | ManagerError::Call { .. }
            | ManagerError::LeftBehind { .. }
            | ManagerError::NoSuchScope { .. }
            | ManagerError::Elsewhere { .. } => Exit::Failed,
        };
        let message = story::whole(&error);
        let failure = if exit == Exit::NotPermitted { denied(message) } else { Self::new(exit, message) };
        if lacks_password(&error) {
            failure.help(format!("put it into the variable {}", password::VARIABLE))
        } else {
            failure
        }
    }
}

/// Whether all that is missing is the password of an account.
pub(crate) fn lacks_password(error: &ManagerError) -> bool {
    let ManagerError::Unsupported { options, .. } = error else { return false };
    options.iter().any(|unsupported| unsupported.option == RegistrationOption::AccountPassword)
}

/// A name that no service can have.
impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}
