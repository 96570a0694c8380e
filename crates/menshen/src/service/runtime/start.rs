//! `main`.

use std::process::ExitCode;
use std::time::Duration;

use super::author::Service;
use super::door::Ability;
use super::life::{self, Manner};
use super::platform;
use crate::service::name::ServiceName;

/// How long a stop may take unless the author says otherwise.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a service until it ends, whoever started the program: see [`Main`].
///
/// A name that is none ends the program with code 2 and a message that says why.
#[must_use]
pub fn main<S: Service>(name: &str, service: S) -> ExitCode {
    match name.parse() {
        Ok(name) => Main::new(name).run(service),
        Err(error) => {
            platform::complain(&error.to_string());
            ExitCode::from(2)
        }
    }
}

/// How a service is run. Started by hand it is a program in the foreground, which Ctrl-C stops. Started by a manager it speaks
/// that manager's protocol; which one it is, is decided by facts (see [`Origin`](super::origin::Origin)).
#[derive(Debug, Clone)]
pub struct Main {
    name: ServiceName,
    manner: Manner,
}

impl Main {
    /// A service of this name that can be stopped, and cannot be paused or reloaded.
    #[must_use]
    pub const fn new(name: ServiceName) -> Self {
        Self { name, manner: Manner { abilities: Vec::new(), stop_timeout: STOP_TIMEOUT } }
    }

    /// It can read its configuration again: the service is asked with
    /// [`Request::Reload`](super::request::Request::Reload), by SIGHUP or by its manager.
    #[must_use]
    pub fn reloads(self) -> Self {
        self.able(Ability::Reload)
    }

    /// It can be paused and continued: it is asked with [`Request::Pause`](super::request::Request::Pause). Of the managers
    /// only that of Windows does that.
    #[must_use]
    pub fn pauses(self) -> Self {
        self.able(Ability::Pause)
    }

    /// It wants to hear of users' sessions; Windows alone tells.
    #[must_use]
    pub fn hears_sessions(self) -> Self {
        self.able(Ability::Sessions)
    }

    /// It wants to hear of the machine's power; Windows alone tells.
    #[must_use]
    pub fn hears_power(self) -> Self {
        self.able(Ability::Power)
    }

    /// How long a stop may take; 10 s without it. Then the process ends, whatever the service does.
    #[must_use]
    pub const fn stops_within(mut self, time: Duration) -> Self {
        self.manner.stop_timeout = time;
        self
    }

    pub(super) fn manner(&self) -> Manner {
        self.manner.clone()
    }

    fn able(mut self, ability: Ability) -> Self {
        self.manner.abilities.push(ability);
        self
    }

    /// Runs the service until it ends.
    #[must_use]
    pub fn run<S: Service>(self, service: S) -> ExitCode {
        let manner = self.manner;
        platform::open(&self.name, move |door| life::live(service, &manner, door))
    }
}
