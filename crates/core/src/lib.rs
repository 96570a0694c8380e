//! The core: every decision Menshen makes, and nothing else.
//!
//! Pure: no file, network, thread, clock or randomness. [`Core::handle`] takes one event with the time it happened,
//! [`Core::poll_effect`] is drained until empty, [`Core::poll_timeout`] says when to come back with [`Event::Timeout`].
//! The same plan, seed and events give the same effects, byte for byte, on every platform.
//!
//! - `event`, `effect`: the two closed vocabularies.
//! - `transition`: the table of states, and the only place where one changes. `diagram` draws it for the docs.
//! - `service`: one service's life: starting, probing, failing, backing off, tripping, pausing, stopping.
//! - `machine`: all services together: dependencies, order, reload, shutdown.

pub mod diagram;
pub mod effect;
pub mod event;
pub mod machine;
pub mod memory;
pub mod state;
pub mod status;
pub mod time;
pub mod timer;
pub mod transition;

mod service;

pub use effect::{Alert, Effect, Record, RecordKind, Reply, SignalTarget};
pub use event::{Command, Event, Exit, Frost, Notification, Refusal, Role, RunId, ServiceId, Ticket, Tree};
pub use machine::{Core, Outcome};
pub use memory::{Found, Memory, MemoryError};
pub use service::{BreakerState, START_FAILED_WAIT};
pub use state::{State, Wanted};
pub use status::{BreakerStatus, ProbeStatus, ServiceStatus};
pub use time::Instant;
