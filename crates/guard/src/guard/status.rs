//! What the core knows, in the words of the contract.

use std::collections::BTreeMap;

use menshen_api::Time;
use menshen_api::types::{Breaker, BreakerState, Event, Service, State, Wanted};
use menshen_core::{Exit, Instant, Record, RecordKind, ServiceStatus};
use menshen_plan::definition::ProbeKind;

use super::sleeps::Sleeps;

/// Turns instants of the monotonic clock into times for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock<'a> {
    /// How far the wall clock is ahead of the monotonic one.
    pub ahead_ms: i64,
    pub sleeps: &'a Sleeps,
}

/// What the wall clock shows.
pub(crate) fn wall() -> Time {
    Time::from_ms(menshen_os::clock::wall_ms())
}

impl Clock<'_> {
    pub(crate) fn time(&self, instant: Instant) -> Time {
        let ms = i64::try_from(instant.0 / 1_000_000).unwrap_or(i64::MAX);
        Time::from_ms(self.ahead_ms.saturating_add(ms).saturating_sub(self.sleeps.since(instant)))
    }
}

/// A choice of the definition or the contract as it is written.
pub(crate) fn word(choice: &impl serde::Serialize) -> String {
    serde_json::to_value(choice).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A service as the contract shows it.
pub(crate) fn service(
    status: &ServiceStatus,
    instance: &str,
    description: Option<String>,
    order: u32,
    clock: &Clock<'_>,
) -> Service {
    Service {
        name: status.name.to_string(),
        instance: instance.to_owned(),
        state: state(status.state),
        wanted: wanted(status.wanted),
        pid: status.pid,
        ready: status.ready,
        healthy: status.healthy,
        restarts: status.restarts,
        restarts_total: status.restarts_total,
        since: clock.time(status.since),
        reason: status.reason.clone(),
        description,
        started: status.started.map(|instant| clock.time(instant)),
        next_start: status.next_start.map(|instant| clock.time(instant)),
        outdated: status.outdated,
        fallback_pid: status.fallback_pid,
        breaker: Breaker { state: breaker(status.breaker.state), trips: status.breaker.trips },
        last_exit: status.last_exit.map(|exit| exit.to_string()),
        last_failure: status.last_failure.clone(),
        status_text: status.status_text.clone(),
        order,
        unremembered: None,
        failing_probe: failing_probe(status),
    }
}

/// What a probe says that keeps a service from being up, ready or healthy. What others say, and what one says that has not failed
/// often enough yet, is no reason.
fn failing_probe(status: &ServiceStatus) -> Option<String> {
    let is_waited_for = |kind| match kind {
        ProbeKind::Startup => status.state == menshen_core::State::Starting,
        ProbeKind::Liveness => status.state == menshen_core::State::Running && status.healthy == Some(false),
        ProbeKind::Readiness => status.state == menshen_core::State::Running && !status.ready,
    };
    let mut waited_for = status.probes.iter().filter(|probe| is_waited_for(probe.kind));
    waited_for.find_map(|probe| Some(format!("its {} probe failed: {}", probe.kind, probe.last_error.as_ref()?)))
}

/// A record of the core as an event of the journal.
pub(crate) fn event(record: Record, sequence: u64, time: Time) -> Event {
    let mut details: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(&record.kind) {
        details.extend(fields);
    }
    let kind = details.remove("kind").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    if let RecordKind::Command { command, .. } = &record.kind {
        details.insert("command".to_owned(), command.to_string().into());
    }
    details.retain(|_, value| !value.is_null());
    Event {
        sequence,
        time,
        service: record.service.map(|name| name.to_string()),
        kind,
        reason: record.reason,
        by: record.by,
        details,
    }
}

/// How a process ended, as the core takes it.
pub(crate) fn exit(exit: menshen_os::Exit) -> Exit {
    match exit {
        menshen_os::Exit::Code(code) => Exit::Code(code),
        menshen_os::Exit::Signal(number) => {
            let signal = menshen_os::signal::name(number).and_then(|name| name.parse().ok());
            signal.map_or(Exit::Unknown, Exit::Signal)
        }
        menshen_os::Exit::Unknown => Exit::Unknown,
    }
}

pub(crate) const fn tree(tree: menshen_os::TreeState) -> menshen_core::Tree {
    match tree {
        menshen_os::TreeState::Empty => menshen_core::Tree::Empty,
        menshen_os::TreeState::Alive => menshen_core::Tree::Alive,
    }
}

const fn state(state: menshen_core::State) -> State {
    match state {
        menshen_core::State::Stopped => State::Stopped,
        menshen_core::State::Waiting => State::Waiting,
        menshen_core::State::Starting => State::Starting,
        menshen_core::State::Running => State::Running,
        menshen_core::State::Pausing => State::Pausing,
        menshen_core::State::Paused => State::Paused,
        menshen_core::State::Continuing => State::Continuing,
        menshen_core::State::Stopping => State::Stopping,
        menshen_core::State::Backoff => State::Backoff,
        menshen_core::State::Tripped => State::Tripped,
        menshen_core::State::Completed => State::Completed,
        menshen_core::State::Failed => State::Failed,
    }
}

const fn wanted(wanted: menshen_core::Wanted) -> Wanted {
    match wanted {
        menshen_core::Wanted::Up => Wanted::Up,
        menshen_core::Wanted::Down => Wanted::Down,
        menshen_core::Wanted::Paused => Wanted::Paused,
    }
}

const fn breaker(state: menshen_core::BreakerState) -> BreakerState {
    match state {
        menshen_core::BreakerState::Closed => BreakerState::Closed,
        menshen_core::BreakerState::Open => BreakerState::Open,
        menshen_core::BreakerState::HalfOpen => BreakerState::HalfOpen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_before_and_after_now_become_times() {
        let mut sleeps = Sleeps::default();
        sleeps.notice(Instant(8_000_000_000), 60_000);
        let clock = Clock { ahead_ms: 1_000_000 - 10_000, sleeps: &sleeps };
        assert_eq!(clock.time(Instant(9_000_000_000)).as_ms(), 999_000);
        assert_eq!(clock.time(Instant(7_000_000_000)).as_ms(), 937_000, "the machine slept for a minute since");
        assert_eq!(clock.time(Instant(12_500_000_000)).as_ms(), 1_002_500);
    }

    #[test]
    fn a_transition_becomes_an_event_with_its_states() {
        let kind =
            RecordKind::Transition { from: menshen_core::State::Running, to: menshen_core::State::Backoff, pid: None };
        let record = Record { service: Some("web".parse().unwrap()), kind, reason: "exit 1".into(), by: None };
        let json = serde_json::to_value(event(record, 7, Time::from_ms(0))).unwrap();
        let expected = serde_json::json!({
            "sequence": 7, "time": "1970-01-01T00:00:00.000Z", "service": "web", "kind": "transition",
            "reason": "exit 1", "by": null, "from": "running", "to": "backoff",
        });
        assert_eq!(json, expected);
    }
}
