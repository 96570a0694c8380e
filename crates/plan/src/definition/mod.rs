//! The format: what a definition may say, with every default. One file per table.
//!
//! The doc comments here become the descriptions of the JSON Schema, so they are written for the people who write
//! definitions.

mod alert;
mod breaker;
mod depends_on;
mod environment;
mod exit_rule;
mod guard;
mod limits;
mod log;
mod name;
mod probe;
mod restart;
mod root;
mod service;
mod stop;

pub use alert::{Alert, AlertKind};
pub use breaker::{Breaker, Fallback, FallbackUntil};
pub use depends_on::{Condition, Dependencies, Dependency, OnLoss};
pub use environment::{
    Credential, EnvironmentValue, INHERITED_BY_DEFAULT, INHERITED_BY_DEFAULT_ON_WINDOWS, Inherit, PERSONAL_ON_WINDOWS,
    SecretText, WINDOWS,
};
pub use exit_rule::{ExitAction, ExitMatch};
pub use guard::{Access, Guard, Journal, Role};
pub use limits::{Limits, OnOom};
pub use log::{AlsoLog, Compression, Log, LogFormat, Rotate};
pub use name::{NAME_LENGTH_MAX, NameError, ServiceName};
pub use probe::{Probe, ProbeKind, Probes, StatusMatch, Target};
pub use restart::{Restart, RestartPolicy};
pub use root::{Check, Definition};
pub use service::{Account, Reload, Service, ServiceType, StartType, Umask};
pub use stop::Stop;
