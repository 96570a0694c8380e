//! There is no systemd on Windows.

use std::path::PathBuf;

use super::cause::StopFacts;
use super::{Enabled, Request, Version};
use crate::service::deadline::Deadline;
use crate::service::manager::{Difference, ManagerError, ManagerKind, Scope, Verb};
use crate::service::name::ServiceName;
use crate::service::status::Status;

const ELSEWHERE: ManagerError = ManagerError::Elsewhere { manager: ManagerKind::Systemd };

/// It cannot be asked.
pub(super) fn version(_scope: Scope) -> Result<Version, ManagerError> {
    Err(ELSEWHERE)
}

/// It cannot be asked.
pub(super) fn unit_folders(_scope: Scope) -> Result<Vec<PathBuf>, ManagerError> {
    Err(ELSEWHERE)
}

/// It cannot be asked.
pub(super) fn stop_facts(_scope: Scope) -> Result<StopFacts, ManagerError> {
    Err(ELSEWHERE)
}

/// It cannot be asked.
pub(super) fn call(_scope: Scope, _request: &Request) -> Result<(), ManagerError> {
    Err(ELSEWHERE)
}

/// It cannot be asked.
pub(super) fn differences(_scope: Scope, _request: &Request) -> Result<Vec<Difference>, ManagerError> {
    Err(ELSEWHERE)
}

/// It cannot be asked.
pub(super) fn running(_scope: Scope, _units: &[String]) -> Result<Vec<String>, ManagerError> {
    Err(ELSEWHERE)
}

/// It cannot be asked.
pub(super) fn act(
    _scope: Scope,
    _name: &ServiceName,
    _verb: Verb,
    _deadline: Deadline,
    _with: &Enabled,
) -> Result<(), ManagerError> {
    Err(ELSEWHERE)
}

/// It cannot be asked.
pub(super) fn status(_scope: Scope, _name: &ServiceName, _timer: Option<&str>) -> Result<Status, ManagerError> {
    Err(ELSEWHERE)
}
