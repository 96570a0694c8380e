//! Why Windows did not do something.

use std::io;

use crate::service::manager::{ManagerError, ManagerKind};
use crate::service::name::ServiceName;

/// `ERROR_ACCESS_DENIED`.
pub(super) const ACCESS_DENIED: i32 = 5;
/// `ERROR_DEPENDENT_SERVICES_RUNNING`.
pub(super) const DEPENDENTS_RUN: i32 = 1051;
/// `ERROR_INVALID_SERVICE_CONTROL`.
pub(super) const NOT_ACCEPTED: i32 = 1052;
/// `ERROR_SERVICE_ALREADY_RUNNING`.
pub(super) const RUNS_ALREADY: i32 = 1056;
/// `ERROR_SERVICE_DISABLED`.
pub(super) const DISABLED: i32 = 1058;
/// `ERROR_SERVICE_CANNOT_ACCEPT_CTRL`.
pub(super) const NOT_NOW: i32 = 1061;
/// `ERROR_SERVICE_NOT_ACTIVE`.
pub(super) const NOT_ACTIVE: i32 = 1062;
/// `ERROR_SERVICE_MARKED_FOR_DELETE`.
pub(super) const DELETED_SOON: i32 = 1072;

/// What to know of a service that is to be forgotten and is not yet.
pub(super) const MARKED: &str =
    "it is marked for deletion, and is gone once no program has it open any more, such as the window of services";

/// That a call failed.
pub(super) fn refused(call: impl Into<String>) -> impl FnOnce(io::Error) -> ManagerError {
    let call = call.into();
    move |error| match error.raw_os_error() {
        Some(ACCESS_DENIED) => ManagerError::NotPermitted { manager: ManagerKind::Scm, what: call },
        Some(DELETED_SOON) => failed(call, MARKED),
        Some(_) | None => failed(call, error.to_string()),
    }
}

/// That something failed.
pub(super) fn failed(call: impl Into<String>, told: impl Into<String>) -> ManagerError {
    ManagerError::Call { manager: ManagerKind::Scm, call: call.into(), told: told.into() }
}

/// That there is no such service.
pub(super) fn none(name: &ServiceName) -> ManagerError {
    ManagerError::NotInstalled { name: name.clone(), manager: ManagerKind::Scm }
}
