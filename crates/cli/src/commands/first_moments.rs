//! What becomes of a guard that a service manager has just started: that the manager runs it says nothing of its services.

use std::time::{Duration, Instant};

use menshen::service::status::Exit as Ended;
use menshen::service::{Deadline, ServiceManager, ServiceName, State as ManagerState, Status};
use menshen_api::types::{Service, State};
use menshen_os::paths::Paths;

use super::settled::{Pauses, are_settled, is_settled_well, not_ready};
use crate::failure::{Exit, Failure};
use crate::guards::{ANSWER_WITHIN, Guard, client};
use crate::output;

/// How long its services are waited for. One that starts for longer has not failed yet.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// Waits until the guard answers and its services are where they are wanted, and fails when one of them does, or the guard.
pub(super) async fn watch(
    name: &ServiceName,
    (instance, paths): (&str, &Paths),
    manager: &dyn ServiceManager,
    deadline: Deadline,
) -> Result<(), Failure> {
    let guard = Guard::new(instance.to_owned(), client(instance, paths.control(instance)));
    let begun = Instant::now();
    let (mut pauses, mut first) = (Pauses::new(), None);
    loop {
        let answer = tokio::time::timeout(ANSWER_WITHIN, guard.services()).await;
        let status = manager.status(name)?;
        if has_ended(&status) || first.is_some_and(|first| status.pid.is_some_and(|pid| pid != first)) {
            return Err(ended(name, instance, &status));
        }
        first = first.or(status.pid);
        if let Ok(Ok(services)) = answer {
            let is_over = begun.elapsed() >= SETTLED_WITHIN;
            if is_over || are_settled(&services, &services) {
                return judge(&services);
            }
        } else if deadline.is_over() {
            return Err(Failure::new(Exit::NotReady, format!("'{name}' runs, and its guard does not answer"))
                .help(format!("`menshen --instance {instance} events` says what it did last")));
        }
        pauses.pause().await;
    }
}

/// Whether the manager has seen it end.
const fn has_ended(status: &Status) -> bool {
    match status.state {
        ManagerState::NotInstalled
        | ManagerState::Stopped
        | ManagerState::Failed
        | ManagerState::Stopping
        | ManagerState::Backoff => true,
        ManagerState::Starting
        | ManagerState::Running
        | ManagerState::Reloading
        | ManagerState::Pausing
        | ManagerState::Paused
        | ManagerState::Continuing => false,
    }
}

fn ended(name: &ServiceName, instance: &str, status: &Status) -> Failure {
    let how = match &status.exit {
        Some(Ended::Code(code)) if *code != 0 => format!(" with exit code {code}"),
        Some(_) | None => String::new(),
    };
    Failure::new(Exit::NotReady, format!("'{name}' was started, and its guard has ended again{how}"))
        .help(format!("`menshen --instance {instance} events` says why"))
}

/// Whoever has failed, or is only started again and again, does not run.
fn judge(services: &[Service]) -> Result<(), Failure> {
    let has_failed = |service: &&Service| {
        !is_settled_well(service) && matches!(service.state, State::Failed | State::Tripped | State::Backoff)
    };
    let failed: Vec<Service> = services.iter().filter(has_failed).cloned().collect();
    if !failed.is_empty() {
        return Err(not_ready(&failed));
    }
    for service in services.iter().filter(|service| !is_settled_well(service)) {
        output::note(format_args!("{}: {}", service.name, service.state.as_str()));
    }
    Ok(())
}
