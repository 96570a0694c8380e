//! `main`.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use super::author::Service;
use super::door::Ability;
use super::life::{self, Logging, Manner};
use super::platform;
use crate::service::manager::ServiceManager;
use crate::service::name::ServiceName;
use crate::service::registration::Registration;

/// How long a stop may take unless the author says otherwise.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a service until it ends, whoever started the program: see [`Main`]. `--help` or `-h`, and nothing else, says how to and
/// ends; every other argument is the author's.
///
/// A name that is none ends the program with code 2 and a message that says why.
#[must_use]
pub fn main<S: Service>(name: &str, service: S) -> ExitCode {
    match name.parse() {
        Ok(name) if asks_for_help(std::env::args_os().skip(1)) => {
            // Where nobody can read it there is nobody to help.
            let _ = writeln!(std::io::stdout(), "{}", help(&name));
            ExitCode::SUCCESS
        }
        Ok(name) => Main::new(name).run(service),
        Err(error) => {
            platform::complain(&error.to_string());
            ExitCode::from(2)
        }
    }
}

fn asks_for_help(mut arguments: impl Iterator<Item = OsString>) -> bool {
    let is_asked = arguments.next().is_some_and(|first| first == "--help" || first == "-h");
    is_asked && arguments.next().is_none()
}

fn help(name: &ServiceName) -> String {
    format!(
        "{name} is a service. Started by hand it runs in the foreground until Ctrl-C stops it; started by a service manager it\n\
         speaks that manager's protocol. `menshen install {name} -- PROGRAM` has the machine's manager run it."
    )
}

/// How a service is run. Started by hand it is a program in the foreground, which Ctrl-C stops. Started by a manager it speaks
/// that manager's protocol; which one it is, is decided by facts (see [`Origin`](super::origin::Origin)).
#[derive(Debug, Clone)]
pub struct Main {
    name: ServiceName,
    manner: Manner,
    shape: Shape,
}

/// What an author has to say to a registration, and the manager it is for.
type Shape = fn(&mut Registration, &dyn ServiceManager);

impl Main {
    /// A service of this name that can be stopped, and cannot be paused or reloaded.
    #[must_use]
    pub const fn new(name: ServiceName) -> Self {
        let nothing = |_: &mut Registration, _: &dyn ServiceManager| {};
        Self {
            name,
            shape: nothing,
            manner: Manner { abilities: Vec::new(), stop_timeout: STOP_TIMEOUT, logging: Logging::Authors },
        }
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

    /// Its `tracing` events go to the log of whoever started it: journald, the Event Log, or stderr; see
    /// [`log`](crate::service::log). Without this the author decides.
    #[cfg(feature = "log")]
    #[must_use]
    pub const fn logs(mut self) -> Self {
        self.manner.logging = Logging::Native;
        self
    }

    /// What its manager is to be told of it besides: what it is for, whom it runs as, what must have been started before. What
    /// is asked for here the manager honours, or `install` fails and names it. What the service can do without, it asks for where
    /// the manager says that it honours it:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use menshen::service::{Main, RegistrationOption, ServiceName};
    ///
    /// let name: ServiceName = "greeter".parse()?;
    /// let main = Main::new(name).registered(|registration, manager| {
    ///     registration.description = Some("Greets whoever connects".to_owned());
    ///     if manager.honours(RegistrationOption::Watchdog).is_ok() {
    ///         registration.watchdog = Some(Duration::from_secs(30));
    ///     }
    /// });
    /// # Ok::<(), menshen::service::name::NameError>(())
    /// ```
    #[must_use]
    pub const fn registered(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &ServiceName {
        &self.name
    }

    #[cfg(feature = "command")]
    pub(in super::super) const fn stop_timeout(&self) -> Duration {
        self.manner.stop_timeout
    }

    #[cfg(feature = "command")]
    pub(in super::super) fn is_reloaded(&self) -> bool {
        self.manner.abilities.contains(&Ability::Reload)
    }

    #[cfg(feature = "command")]
    pub(in super::super) fn shape(&self, registration: &mut Registration, manager: &dyn ServiceManager) {
        (self.shape)(registration, manager);
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
        let Self { name, manner, shape: _ } = self;
        platform::open(&name.clone(), move |door| life::live(&name, service, &manner, door))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_help_alone_is_asked_for() {
        let asks = |arguments: &[&str]| asks_for_help(arguments.iter().map(OsString::from));
        assert!(asks(&["--help"]) && asks(&["-h"]));
        for others in [&[][..], &["help"], &["--help", "me"], &["--listen", "--help"]] {
            assert!(!asks(others), "{others:?}");
        }
        assert!(help(&"web".parse().unwrap()).contains("menshen install web -- "));
    }
}
