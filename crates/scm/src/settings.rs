//! What the service control manager keeps of a service.

use std::time::Duration;

use crate::account::LOCAL_SYSTEM;
use crate::triggers::Trigger;

/// Everything of a service that can be set and looked at again. A password can only be set, and is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The program and its arguments, as [`command_line`](crate::command_line) writes them.
    pub command_line: String,
    /// When it is started.
    pub start: Start,
    /// What people call it.
    pub display_name: String,
    /// What it is for; nothing is an empty text.
    pub description: String,
    /// Services, and groups with a `+` before their names, that are started before.
    pub dependencies: Vec<String>,
    /// Whom it runs as.
    pub account: String,
    /// The load order group it belongs to; none is an empty text.
    pub load_order_group: String,
    /// Its own security identifier.
    pub sid: Sid,
    /// The only privileges it keeps; all, if there are none.
    pub required_privileges: Vec<String>,
    /// What happens when it fails.
    pub failures: Failures,
    /// How long it may take when the machine is about to go down; without it, as long as Windows gives any.
    pub preshutdown: Option<Duration>,
    /// Who may do what with it, in the security descriptor definition language; without it, whatever it has.
    pub security: Option<String>,
    /// What else starts it.
    pub triggers: Vec<Trigger>,
    /// Variables of its environment, as `NAME=value`, besides those everybody has.
    pub environment: Vec<String>,
    /// What is kept in the service's key `Parameters` for the service itself to read.
    pub parameters: Vec<Parameter>,
}

/// A value that a service reads itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// The value; without it there is none.
    pub value: Option<String>,
}

/// When a service is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At boot.
    Auto,
    /// At boot, about two minutes after those of `Auto`.
    Delayed,
    /// When somebody asks for it.
    Manual,
    /// Never.
    Disabled,
}

/// Whether a service has a security identifier of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sid {
    /// No.
    None,
    /// Yes.
    Unrestricted,
    /// Yes, and it can write only where that one may.
    Restricted,
}

/// What happens when a service fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// It is started again after these waits: after the first failure the first, and the last after every further one. Without
    /// any it stays down.
    pub restart_after: Vec<Duration>,
    /// After this long without a failure the first wait counts again; without it never.
    pub reset: Option<Duration>,
    /// What is a failure.
    pub kinds: FailureKinds,
}

/// What is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKinds {
    /// That the process ends without saying so.
    Crashes,
    /// That, and a stop with an error code.
    CrashesAndErrors,
}

impl Settings {
    /// A service as it is when nothing but what it must have was said: started when asked for, by LocalSystem.
    #[must_use]
    pub fn new(command_line: String, display_name: String) -> Self {
        Self {
            command_line,
            start: Start::Manual,
            display_name,
            description: String::new(),
            dependencies: Vec::new(),
            account: LOCAL_SYSTEM.to_owned(),
            load_order_group: String::new(),
            sid: Sid::None,
            required_privileges: Vec::new(),
            failures: Failures { restart_after: Vec::new(), reset: None, kinds: FailureKinds::Crashes },
            preshutdown: None,
            security: None,
            triggers: Vec::new(),
            environment: Vec::new(),
            parameters: Vec::new(),
        }
    }
}
