//! Metrics in the OpenMetrics format, made when they are asked for.

use std::sync::atomic::AtomicU64;

use menshen_api::types::{BreakerState, State};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::guard::input::Measured;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    instance: String,
    service: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    instance: String,
    service: String,
    state: &'static str,
}

type Number = Gauge<i64>;

#[derive(Default)]
struct Metrics {
    state: Family<InState, Number>,
    ready: Family<Of, Number>,
    healthy: Family<Of, Number>,
    breaker_open: Family<Of, Number>,
    restarts: Family<Of, Counter>,
    since: Family<Of, Number>,
    cpu: Family<Of, Counter<f64, AtomicU64>>,
    memory: Family<Of, Number>,
    tasks: Family<Of, Number>,
    files: Family<Of, Number>,
}

/// Writes every service down.
pub(super) fn render(measured: &[Measured]) -> String {
    let metrics = Metrics::default();
    for service in measured {
        metrics.add(service);
    }
    let mut registry = Registry::with_prefix("menshen_service");
    registry.register("state", "1 for the state a service is in, 0 for all others", metrics.state);
    registry.register("ready", "Whether a service can be used", metrics.ready);
    registry.register("healthy", "Whether a service works, where a liveness probe tells", metrics.healthy);
    registry.register("breaker_open", "Whether a service's breaker is open or half-open", metrics.breaker_open);
    registry.register(
        "restarts",
        "Failures after which a service was started again, or is about to be",
        metrics.restarts,
    );
    registry.register_with_unit(
        "state_since_timestamp",
        "When a service entered its state",
        Unit::Seconds,
        metrics.since,
    );
    registry.register_with_unit(
        "cpu",
        "Processor time of all runs of a service and of all they started",
        Unit::Seconds,
        metrics.cpu,
    );
    registry.register_with_unit("memory", "Memory of a service and all it started", Unit::Bytes, metrics.memory);
    registry.register("tasks", "Processes and threads of a service", metrics.tasks);
    registry.register("open_files", "Open file descriptors of a service", metrics.files);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

impl Metrics {
    fn add(&self, measured: &Measured) {
        let service = &measured.service;
        let of = Of { instance: service.instance.clone(), service: service.name.clone() };
        for state in STATES {
            let label = InState { instance: of.instance.clone(), service: of.service.clone(), state: state.as_str() };
            self.state.get_or_create(&label).set(i64::from(state == service.state));
        }
        self.ready.get_or_create(&of).set(i64::from(service.ready));
        if let Some(healthy) = service.healthy {
            self.healthy.get_or_create(&of).set(i64::from(healthy));
        }
        self.breaker_open.get_or_create(&of).set(i64::from(service.breaker.state != BreakerState::Closed));
        self.restarts.get_or_create(&of).inc_by(service.restarts_total);
        self.since.get_or_create(&of).set(service.since.as_ms() / 1000);
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.cpu.get_or_create(&of).inc_by(measured.usage.cpu.as_secs_f64());
        self.memory.get_or_create(&of).set(number(measured.usage.memory_bytes));
        self.tasks.get_or_create(&of).set(i64::from(measured.usage.tasks));
        self.files.get_or_create(&of).set(number(measured.usage.files));
    }
}

const STATES: [State; 12] = [
    State::Stopped,
    State::Waiting,
    State::Starting,
    State::Running,
    State::Pausing,
    State::Paused,
    State::Continuing,
    State::Stopping,
    State::Backoff,
    State::Tripped,
    State::Completed,
    State::Failed,
];
