//! A program as a service of its machine.
//!
//! - [`registration`]: what a service manager is told of a service. [`options`]: which parts of it were asked for, so that no
//!   manager can drop one silently. [`mistake`]: what is wrong whatever the manager. [`name`]: what services may be called.
//! - [`manager`]: what every service manager can do. [`plan`]: what it would do to install or uninstall a service, step by
//!   step; `carry_out` does it, whole or not at all. [`deadline`]: how long is waited.
//! - [`managers`]: the service managers, one file each. [`detect`]: which of them a machine has.
//! - [`runtime`]: being a service, whoever started the program. `log`: where its events go. [`readiness`]: how s6 and dinit
//!   hear that it is ready. [`told`]: how s6 hears that it was told to end.
//! - `command`: the service's own subcommands. [`story`]: an error with everything that led to it.

mod carry_out;
#[cfg(feature = "command")]
pub mod command;
pub mod deadline;
pub mod detect;
#[cfg(feature = "log")]
pub mod log;
pub mod manager;
pub mod managers;
pub mod mistake;
pub mod name;
pub mod options;
mod permissions;
pub mod plan;
pub mod readiness;
pub mod registration;
pub mod runtime;
pub mod status;
pub mod story;
pub mod told;

pub use carry_out::Outcome;
#[cfg(feature = "command")]
pub use command::Command;
pub use deadline::Deadline;
pub use manager::{ACT_WITHIN, Difference, ManagerError, ManagerKind, Scope, ServiceManager, Verb};
pub use name::ServiceName;
pub use options::RegistrationOption;
pub use plan::{Call, Plan, Step};
pub use registration::Registration;
pub use runtime::author::{ExitCode, Failure, Service};
pub use runtime::context::{Context, Handle, Health};
pub use runtime::door::Report;
pub use runtime::origin::Origin;
pub use runtime::rehearsal::Rehearsal;
pub use runtime::request::{Pending, PowerEvent, Request, SessionChange, SessionKind, Stop, StopReason};
pub use runtime::sockets::{Socket, SocketKind, Sockets, SocketsError};
pub use runtime::start::{Main, main};
pub use status::{State, Status};
