//! Whether services have come to where they are wanted, how whoever waits for it looks again, and what is told of it.

use std::time::Duration;

use menshen_api::types::{Service, State, Wanted};

use super::status::state_word;
use crate::failure::{Exit, Failure};
use crate::output::{self, state_style, styled};

/// Whether it is decided what becomes of some of all services: each is where it is wanted or will not come there, or only waits
/// while one will not and nothing else is on its way.
pub(super) fn are_settled<'a>(some: impl IntoIterator<Item = &'a Service>, all: &[Service]) -> bool {
    let is_decided = |service: &Service| is_settled_well(service) || is_stuck(service);
    let is_waiting = |service: &Service| service.state == State::Waiting;
    let is_any_on_its_way = all.iter().any(|service| !is_decided(service) && !is_waiting(service));
    let waits_in_vain = |service| is_waiting(service) && !is_any_on_its_way && all.iter().any(is_stuck);
    some.into_iter().all(|service| is_decided(service) || waits_in_vain(service))
}

/// Whether a service will not come to where it is wanted.
fn is_stuck(service: &Service) -> bool {
    matches!(service.state, State::Failed | State::Tripped)
}

/// Whether a service is where it is wanted. What others need and nobody wants by itself may have failed, too.
pub(super) fn is_settled_well(service: &Service) -> bool {
    service.state != State::Failed
        && (service.wanted != Wanted::Up || service.ready || service.state == State::Completed)
}

/// The pauses between two looks at every service, which are not for every moment: ever longer.
pub(super) struct Pauses {
    next: Duration,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(10);
    const LAST: Duration = Duration::from_millis(250);

    /// Before the first one.
    pub(super) const fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// Waits until it is time for the next look.
    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(Self::LAST);
    }
}

/// Where each service is, in a line.
pub(super) fn tell_states(services: &[Service]) {
    for service in services {
        output::line(format_args!("{}: {}", service.name, styled(service.state.as_str(), state_style(service.state))));
    }
}

/// Which services are not ready, and why. One that only waits for another is not to blame.
pub(super) fn not_ready(services: &[Service]) -> Failure {
    let lacking = services.iter().filter(|service| !is_settled_well(service));
    let (waiting, mut to_blame): (Vec<&Service>, Vec<&Service>) =
        lacking.partition(|service| service.state == State::Waiting);
    if to_blame.is_empty() {
        to_blame = waiting;
    }
    let mut told = Vec::new();
    for service in &to_blame {
        let why = output::printable(service.why());
        told.push(format!("{} is {}: {why}", service.name, state_word(service)));
    }
    let names: Vec<String> = to_blame.iter().map(|service| format!("`menshen status {}`", service.name)).collect();
    let say = if names.len() == 1 { "says" } else { "say" };
    Failure::new(Exit::NotReady, told.join("\n       ")).help(format!("{} {say} more", names.join(", ")))
}

/// The services that run as they were defined earlier.
pub(super) fn outdated(services: &[Service]) -> Vec<&str> {
    services.iter().filter(|service| service.outdated).map(|service| service.name.as_str()).collect()
}

/// What runs on as it was defined earlier is nothing a change of guards ends; whoever changed the definition has to know.
pub(super) fn note_outdated(services: &[Service]) {
    let outdated = outdated(services);
    if !outdated.is_empty() {
        let verb = if outdated.len() == 1 { "runs" } else { "run" };
        let names = outdated.join(", ");
        output::note(format_args!(
            "{names} {verb} on as defined earlier; `menshen reload` starts anew what has changed"
        ));
    }
}
