//! Elsewhere than on Windows there is nobody to ask.

use menshen_scm::settings::Settings;

use super::{Request, Wanted};
use crate::service::deadline::Deadline;
use crate::service::manager::{ManagerError, ManagerKind, Verb};
use crate::service::name::ServiceName;
use crate::service::status::Status;

const NOBODY: ManagerError = ManagerError::Elsewhere { manager: ManagerKind::Scm };

/// Whether this is Windows.
pub(super) const fn there() -> Result<(), ManagerError> {
    Err(NOBODY)
}

/// Nobody knows.
pub(super) const fn hold_ours(_name: &ServiceName) -> Result<(), ManagerError> {
    Err(NOBODY)
}

/// Nobody is told.
pub(super) const fn tell(_request: &Request) -> Result<(), ManagerError> {
    Err(NOBODY)
}

/// Nobody knows.
pub(super) const fn installed(_wanted: &Wanted) -> Result<Option<Settings>, ManagerError> {
    Err(NOBODY)
}

/// Nobody knows.
pub(super) const fn knows_failure_flag(_name: &ServiceName) -> Result<bool, ManagerError> {
    Err(NOBODY)
}

/// Nobody knows.
pub(super) const fn messages_of(_name: &ServiceName) -> Result<Option<String>, ManagerError> {
    Err(NOBODY)
}

/// Nobody is told.
pub(super) const fn act(_name: &ServiceName, _verb: Verb, _deadline: Deadline) -> Result<(), ManagerError> {
    Err(NOBODY)
}

/// Nobody knows.
pub(super) const fn status(_name: &ServiceName) -> Result<Status, ManagerError> {
    Err(NOBODY)
}
