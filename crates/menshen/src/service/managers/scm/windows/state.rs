//! How a service is.

use menshen_scm::manager::{Manager, Purpose, Rights};
use menshen_scm::service::{self, Service};
use menshen_scm::settings::{FailureKinds, Start};

use super::refusal::refused;
use crate::service::manager::ManagerError;
use crate::service::name::ServiceName;
use crate::service::registration::StartType;
use crate::service::status::{Exit, Progress, State, Status};

/// `ERROR_SERVICE_SPECIFIC_ERROR`: the service has a code of its own.
const OWN_CODE: u32 = 1066;
/// `ERROR_PROCESS_ABORTED`: its process ended without a word.
const CRASHED: u32 = 1067;
/// `ERROR_SERVICE_NEVER_STARTED`, since the machine was.
const NEVER_STARTED: u32 = 1077;

/// How a service is.
pub(in super::super) fn status(name: &ServiceName) -> Result<Status, ManagerError> {
    let manager = Manager::connect(Purpose::Use).map_err(refused("OpenSCManagerW"))?;
    let Some(service) = manager.open(name.as_str(), Rights::Look).map_err(refused("OpenServiceW"))? else {
        return Ok(Status::NOT_INSTALLED);
    };
    let now = service.status().map_err(refused("QueryServiceStatusEx"))?;
    let start = match service.start_type().map_err(refused("QueryServiceConfigW"))? {
        Start::Auto => StartType::Auto,
        Start::Delayed => StartType::Delayed,
        Start::Manual => StartType::Manual,
        Start::Disabled => StartType::Disabled,
    };
    let state = state(&service, now)?;
    let is_changing = matches!(state, State::Starting | State::Stopping | State::Pausing | State::Continuing);
    let progress = Progress { checkpoint: now.checkpoint, wait_hint: now.wait_hint };
    let runs = now.state != service::State::Stopped;
    Ok(Status {
        state,
        pid: now.pid.filter(|_| runs),
        start: Some(start),
        exit: exit(now),
        text: None,
        progress: is_changing.then_some(progress),
    })
}

/// How it ended, once it has.
pub(super) fn exit(now: service::Status) -> Option<Exit> {
    match (now.state, now.exit) {
        (service::State::Stopped, NEVER_STARTED) => None,
        (service::State::Stopped, OWN_CODE) => Some(Exit::ServiceSpecific(now.specific_exit)),
        (service::State::Stopped, code) => Some(Exit::Code(code.cast_signed())),
        (
            service::State::StartPending
            | service::State::StopPending
            | service::State::Running
            | service::State::ContinuePending
            | service::State::PausePending
            | service::State::Paused,
            _,
        ) => None,
    }
}

fn state(service: &Service, now: service::Status) -> Result<State, ManagerError> {
    Ok(match now.state {
        service::State::Stopped if matches!(now.exit, 0 | NEVER_STARTED) => State::Stopped,
        service::State::Stopped if is_started_again(service, now.exit)? => State::Backoff,
        service::State::Stopped => State::Failed,
        service::State::StartPending => State::Starting,
        service::State::StopPending => State::Stopping,
        service::State::Running => State::Running,
        service::State::ContinuePending => State::Continuing,
        service::State::PausePending => State::Pausing,
        service::State::Paused => State::Paused,
    })
}

/// What the manager says it does with a service that failed.
fn is_started_again(service: &Service, exit: u32) -> Result<bool, ManagerError> {
    let failures = service.failures().map_err(refused("QueryServiceConfig2W"))?;
    let is_failure = match failures.kinds {
        FailureKinds::CrashesAndErrors => true,
        FailureKinds::Crashes => exit == CRASHED,
    };
    Ok(is_failure && !failures.restart_after.is_empty())
}
