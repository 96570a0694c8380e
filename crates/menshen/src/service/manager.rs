//! What every service manager can do.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::carry_out::{self, Means, Outcome};
use super::deadline::Deadline;
use super::mistake::Mistake;
use super::name::ServiceName;
use super::options::{RegistrationOption, Unsupported};
use super::plan::{Call, Plan, Step};
use super::registration::{Dependency, Registration, RestartPolicy};
use super::status::{State, Status};

/// Which service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManagerKind {
    /// systemd.
    Systemd,
    /// The service control manager of Windows.
    Scm,
    /// launchd of macOS.
    Launchd,
    /// OpenRC.
    OpenRc,
    /// System V init with LSB scripts.
    SysV,
    /// runit.
    Runit,
    /// s6.
    S6,
    /// dinit.
    Dinit,
    /// FreeBSD's rc.d.
    FreeBsdRc,
}

impl ManagerKind {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Systemd,
        Self::Scm,
        Self::Launchd,
        Self::OpenRc,
        Self::SysV,
        Self::Runit,
        Self::S6,
        Self::Dinit,
        Self::FreeBsdRc,
    ];

    /// Its name, as people type it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Scm => "scm",
            Self::Launchd => "launchd",
            Self::OpenRc => "openrc",
            Self::SysV => "sysv",
            Self::Runit => "runit",
            Self::S6 => "s6",
            Self::Dinit => "dinit",
            Self::FreeBsdRc => "freebsd-rc",
        }
    }
}

impl fmt::Display for ManagerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whose services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The machine's.
    System,
    /// The user's who asks.
    User,
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::System => "system",
            Self::User => "user",
        })
    }
}

/// What a service can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// To run.
    Start,
    /// To stop.
    Stop,
    /// To stop if it runs, then to run.
    Restart,
    /// To do nothing, but to stay.
    Pause,
    /// To go on.
    Continue,
    /// To read its configuration again.
    Reload,
    /// To be started at boot.
    Enable,
    /// Not to be started at boot.
    Disable,
}

impl Verb {
    /// The verb as people type it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Pause => "pause",
            Self::Continue => "continue",
            Self::Reload => "reload",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Something that is otherwise than a registration wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What: a file, or a setting of the manager's.
    pub what: String,
    /// How it is; `None` where it is not there.
    pub installed: Option<String>,
    /// How it should be; `None` where it should not be there.
    pub wanted: Option<String>,
}

impl Difference {
    /// Something a manager has not been told yet.
    pub(super) fn undone(call: &Call) -> Self {
        Self { what: call.to_string(), installed: None, wanted: Some("done".to_owned()) }
    }
}

/// A service manager.
///
/// What a manager has to bring is what differs: what it honours, its plans, how it is told something, and what it says of a
/// service. Everything else is the same for all. All calls wait for what they ask for, and none of them is for a thread that
/// must not wait.
pub trait ServiceManager: fmt::Debug + Send + Sync {
    /// Which one it is.
    fn kind(&self) -> ManagerKind;

    /// Whose services it is asked for.
    fn scope(&self) -> Scope;

    /// Whether it honours an option; else why not, and what to do instead, as a lower-case fragment.
    ///
    /// # Errors
    /// When it does not.
    fn honours(&self, option: RegistrationOption) -> Result<(), &'static str>;

    /// What it cannot honour of a registration although it honours the options: values that it has no way to write. Nothing,
    /// where it takes whatever there can be.
    fn refused_values(&self, _registration: &Registration) -> Vec<Unsupported> {
        Vec::new()
    }

    /// What installs a service of which it honours every option. It touches nothing.
    fn plan_of(&self, registration: &Registration) -> Plan;

    /// What uninstalls a service, whatever it was registered as. It touches nothing.
    fn removal_of(&self, name: &ServiceName) -> Plan;

    /// Tells it something of a plan's.
    ///
    /// # Errors
    /// When it refuses, or cannot be reached.
    fn call(&self, call: &Call) -> Result<(), ManagerError>;

    /// What takes something of a plan's back, as far as that depends on how things are before it is told: what runs and is
    /// stopped is to run again. Nothing, where a plan's own steps say it all.
    ///
    /// # Errors
    /// When it cannot be reached.
    fn undo_of(&self, _call: &Call) -> Result<Option<Call>, ManagerError> {
        Ok(None)
    }

    /// What would change if it were told something of a plan's. Nothing, where it is so already.
    ///
    /// # Errors
    /// When it cannot be reached.
    fn differences_of(&self, call: &Call) -> Result<Vec<Difference>, ManagerError>;

    /// Tells a service something, and waits until that is done or has failed, at most until the deadline.
    ///
    /// # Errors
    /// When there is no such service, it cannot be told this, or it fails; [`ManagerError::Overdue`] when it is not done in
    /// time. Then nothing is taken back: what the service was told it may still do.
    fn act_by(&self, name: &ServiceName, verb: Verb, deadline: Deadline) -> Result<(), ManagerError>;

    /// The same, with [`ACT_WITHIN`] for a deadline.
    ///
    /// # Errors
    /// As [`act_by`](Self::act_by).
    fn act(&self, name: &ServiceName, verb: Verb) -> Result<(), ManagerError> {
        self.act_by(name, verb, Deadline::after(ACT_WITHIN))
    }

    /// How a service is.
    ///
    /// # Errors
    /// When the manager cannot be reached. A service it does not know is no error but [`State::NotInstalled`].
    fn status(&self, name: &ServiceName) -> Result<Status, ManagerError>;

    /// The file that grows with what a service writes, where the manager keeps it in files.
    fn log_of(&self, _name: &ServiceName) -> Option<PathBuf> {
        None
    }

    /// What somebody who installs a service should know of this machine, if anything: that a user's services end with the last
    /// session, say.
    fn hint(&self) -> Option<String> {
        None
    }

    /// That a service was made by us.
    ///
    /// # Errors
    /// When it was not, or that cannot be seen.
    fn hold_ours(&self, name: &ServiceName) -> Result<(), ManagerError> {
        carry_out::hold_all_ours(&self.removal_of(name))
    }

    /// Where another service of a registration's name would be that this manager finds as well: one that came with the system,
    /// say, and that would be hidden.
    fn namesakes(&self, _registration: &Registration) -> Vec<PathBuf> {
        Vec::new()
    }

    /// That no service has a registration's name that was not made by us, wherever the manager finds its services.
    ///
    /// # Errors
    /// When one has, or that cannot be seen.
    fn hold_name_free(&self, registration: &Registration) -> Result<(), ManagerError> {
        self.namesakes(registration).iter().try_for_each(|path| carry_out::hold_no_stranger(path))
    }

    /// When a service that failed is started again, as far as it can tell a failure, and as far as it starts anything again.
    fn restarts_failed(&self) -> RestartPolicy {
        let policies = [
            (RegistrationOption::RestartOnFailure, RestartPolicy::OnFailure),
            (RegistrationOption::RestartAlways, RestartPolicy::Always),
        ];
        let policy = policies.into_iter().find(|(option, _)| self.honours(*option).is_ok());
        policy.map_or(RestartPolicy::Never, |(_, policy)| policy)
    }

    /// What installing would do, shown as it would be done.
    ///
    /// # Errors
    /// With every option it cannot honour, or what is wrong whatever the manager.
    fn plan(&self, registration: &Registration) -> Result<Plan, ManagerError> {
        if let Some(mistake) = registration.mistake() {
            return Err(ManagerError::Mistaken(mistake));
        }
        let refused = |option| self.honours(option).err().map(|why| Unsupported { option, why });
        let mut unsupported: Vec<Unsupported> = registration.options().into_iter().filter_map(refused).collect();
        unsupported.extend(self.refused_values(registration));
        if unsupported.is_empty() {
            Ok(self.plan_of(registration))
        } else {
            Err(ManagerError::Unsupported { manager: self.kind(), options: unsupported })
        }
    }

    /// Installs a service, or changes it to what the registration says: all of it, or nothing. A service that is so already is
    /// left alone. What runs goes on with its old registration until it is restarted.
    ///
    /// # Errors
    /// When an option cannot be honoured, something of that name is not ours, or a step fails; then everything is as before.
    fn install(&self, registration: &Registration) -> Result<Outcome, ManagerError> {
        let plan = self.plan(registration)?;
        self.hold_name_free(registration)?;
        self.carry_out(&plan)
    }

    /// Stops a service and leaves the machine as it was before it was installed. Where that fails once it has
    /// stopped, what ran runs again; a stop that takes too long goes on.
    ///
    /// # Errors
    /// When there is no such service, it is not ours, or it cannot be stopped.
    fn uninstall(&self, name: &ServiceName) -> Result<(), ManagerError> {
        self.uninstall_by(name, Deadline::after(ACT_WITHIN))
    }

    /// The same, and the service has until the deadline to stop.
    ///
    /// # Errors
    /// As [`uninstall`](Self::uninstall).
    fn uninstall_by(&self, name: &ServiceName, deadline: Deadline) -> Result<(), ManagerError> {
        let state = self.status(name)?.state;
        if state == State::NotInstalled {
            return Err(ManagerError::NotInstalled { name: name.clone(), manager: self.kind() });
        }
        self.hold_ours(name)?;
        let plan = self.removal_of(name);
        if !self.is_to_be_stopped(state) {
            return self.carry_out(&plan).map(drop);
        }
        let again = calls_to_run_again(self, &plan)?;
        // A stop that is refused has changed nothing, and one that is not over goes on.
        self.act_by(name, Verb::Stop, deadline)?;
        self.carry_out(&plan).map(drop).map_err(|failed| match run_again(self, name, state, &again) {
            Ok(()) => failed,
            Err(error) => {
                ManagerError::LeftBehind { failed: Box::new(failed), left: vec![format!("'{name}' ran: {error}")] }
            }
        })
    }

    /// Whether a service in this state has to be told to stop before it is forgotten.
    fn is_to_be_stopped(&self, state: State) -> bool {
        state.is_active()
    }

    /// Carries a plan of this manager's out: all of it, or nothing.
    ///
    /// # Errors
    /// When a step fails; then those before it have been taken back.
    fn carry_out(&self, plan: &Plan) -> Result<Outcome, ManagerError> {
        let (tell, compare) = (|call: &Call| self.call(call), |call: &Call| self.differences_of(call));
        carry_out::carry_out_by(plan, Means { tell: &tell, compare: &compare, undo: &|call| self.undo_of(call) })
    }

    /// The services that a registration depends on and the manager does not know. Until they are there, most managers do not
    /// start the service, and do not say so before.
    ///
    /// # Errors
    /// When the manager cannot be reached.
    fn missing_dependencies(&self, registration: &Registration) -> Result<Vec<String>, ManagerError> {
        let mut missing = Vec::new();
        for dependency in &registration.depends_on {
            let Dependency::Service(service) = dependency else { continue };
            // What is no name of a service was refused before.
            let Ok(name) = service.parse::<ServiceName>() else { continue };
            if self.status(&name)?.state == State::NotInstalled {
                missing.push(service.clone());
            }
        }
        Ok(missing)
    }

    /// What this manager was told of an installed service and does not keep, though others of its kind do: each with what comes of
    /// it. What none of them keeps is refused before.
    ///
    /// # Errors
    /// When the manager cannot be asked.
    fn not_kept(&self, _registration: &Registration) -> Result<Vec<String>, ManagerError> {
        Ok(Vec::new())
    }

    /// In what an installed service differs from a registration: what `install` would change.
    ///
    /// # Errors
    /// When an option cannot be honoured, or something cannot be read.
    fn diff(&self, registration: &Registration) -> Result<Vec<Difference>, ManagerError> {
        carry_out::differences(&self.plan(registration)?, &|call| self.differences_of(call))
    }

    /// Waits until a service is in a state.
    ///
    /// # Errors
    /// When it is not within the time, or has failed instead.
    fn wait_for(&self, name: &ServiceName, wanted: State, within: Duration) -> Result<Status, ManagerError> {
        let deadline = Deadline::after(within);
        let mut pause = POLL_FIRST;
        loop {
            let status = self.status(name)?;
            if status.state == wanted {
                return Ok(status);
            }
            if deadline.is_over() || status.state == State::Failed {
                return Err(ManagerError::NotReached { name: name.clone(), wanted, state: status.state, within });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(POLL_LAST);
        }
    }
}

/// What takes back that a plan stops what runs now.
fn calls_to_run_again<M: ServiceManager + ?Sized>(manager: &M, plan: &Plan) -> Result<Vec<Call>, ManagerError> {
    let calls = plan.steps.iter().filter_map(|step| match step {
        Step::Call { call, undo: _ } => manager.undo_of(call).transpose(),
        Step::Folder { .. }
        | Step::File { .. }
        | Step::Link { .. }
        | Step::NoFile { .. }
        | Step::NoFolder { .. }
        | Step::NoEmptyFolder { .. } => None,
    });
    calls.collect()
}

/// Has a service that was stopped be again as it was.
fn run_again<M: ServiceManager + ?Sized>(
    manager: &M,
    name: &ServiceName,
    state: State,
    calls: &[Call],
) -> Result<(), ManagerError> {
    calls.iter().try_for_each(|call| manager.call(call))?;
    match state {
        State::NotInstalled | State::Stopped | State::Failed | State::Stopping => Ok(()),
        State::Starting | State::Running | State::Reloading | State::Continuing | State::Backoff => {
            manager.act(name, Verb::Start)
        }
        State::Pausing | State::Paused => {
            manager.act(name, Verb::Start)?;
            manager.act(name, Verb::Pause)
        }
    }
}

/// How long a service has to do what it is told, where nobody says otherwise: more than the managers' own limits for a stop and a
/// start, one after the other.
pub const ACT_WITHIN: Duration = Duration::from_secs(5 * 60);

/// How soon a state is looked at again, at first and in the end.
const POLL_FIRST: Duration = Duration::from_millis(10);
const POLL_LAST: Duration = Duration::from_millis(250);

/// Why a service manager did not do something.
#[derive(Debug, Error)]
pub enum ManagerError {
    /// It cannot do what was asked for.
    #[error("{manager} cannot do this: {}", told(options))]
    Unsupported {
        /// Which manager.
        manager: ManagerKind,
        /// Every option it cannot honour.
        options: Vec<Unsupported>,
    },
    /// No manager can do what was asked for.
    #[error("{0}")]
    Mistaken(Mistake),
    /// There is no such service.
    #[error("{manager} knows no service '{name}'")]
    NotInstalled {
        /// Which.
        name: ServiceName,
        /// To whom.
        manager: ManagerKind,
    },
    /// Something of that name was not made by us, and is left alone.
    #[error("{} was not made by menshen; remove it first, or choose another name", path.display())]
    Foreign {
        /// What.
        path: PathBuf,
    },
    /// A service that was not made by us has the name, where it would be hidden by one of ours.
    #[error("{} is another service of that name, which was not made by menshen; choose another name", path.display())]
    Namesake {
        /// What it is made of.
        path: PathBuf,
    },
    /// A service cannot be told this.
    #[error("{manager} cannot {verb} '{name}': {why}")]
    CannotAct {
        /// Which manager.
        manager: ManagerKind,
        /// Which service.
        name: ServiceName,
        /// What.
        verb: Verb,
        /// Why.
        why: String,
    },
    /// A file could not be read, written or removed.
    #[error("{what} {} failed", path.display())]
    File {
        /// What was done, such as `writing`.
        what: &'static str,
        /// To which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program of the manager's failed.
    #[error("`{command}` failed: {told}")]
    Command {
        /// It and its arguments.
        command: String,
        /// What it said, or how it ended.
        told: String,
    },
    /// A manager could not be asked, or refused.
    #[error("{manager}: {call} failed: {told}")]
    Call {
        /// Which manager.
        manager: ManagerKind,
        /// What it was asked.
        call: String,
        /// What it said.
        told: String,
    },
    /// A service is not in a state it was waited for.
    #[error("'{name}' is {} and not {} within {within:?}", state.as_str(), wanted.as_str())]
    NotReached {
        /// Which.
        name: ServiceName,
        /// What was waited for.
        wanted: State,
        /// How it is.
        state: State,
        /// How long was waited.
        within: Duration,
    },
    /// A program of a manager's did not end in time, and was ended.
    #[error("`{command}` did not end within {within:?}, and was ended{}", so_far(said))]
    TookTooLong {
        /// The program and its arguments.
        command: String,
        /// How long was waited.
        within: Duration,
        /// What it had said by then.
        said: String,
    },
    /// A service has not done in time what it was told.
    #[error("'{name}' did not {verb} within {within:?}, and was left as it is: {}{}", state.as_str(), more(doing.as_ref()))]
    Overdue {
        /// Which.
        name: ServiceName,
        /// What it was told.
        verb: Verb,
        /// How long was waited.
        within: Duration,
        /// How it is.
        state: State,
        /// What it or its manager is doing, where that is known.
        doing: Option<String>,
    },
    /// A step failed, and what had been done before could not be taken back whole.
    #[error("{failed}; and what had been done could not all be taken back: {}", left.join("; "))]
    LeftBehind {
        /// What failed.
        failed: Box<ManagerError>,
        /// What is not as before.
        left: Vec<String>,
    },
    /// Whoever asks may not do this.
    #[error("{manager}: {what} is not permitted; ask as an administrator")]
    NotPermitted {
        /// Which manager.
        manager: ManagerKind,
        /// What it was asked.
        what: String,
    },
    /// A manager keeps no services of this scope.
    #[error("{manager} keeps no services of the {scope}'s own")]
    NoSuchScope {
        /// Which.
        manager: ManagerKind,
        /// Whose services were asked for.
        scope: Scope,
    },
    /// This operating system has no such manager.
    #[error("{manager} cannot be spoken to on this operating system")]
    Elsewhere {
        /// Which.
        manager: ManagerKind,
    },
}

fn more(doing: Option<&String>) -> String {
    doing.map(|doing| format!(" ({doing})")).unwrap_or_default()
}

fn so_far(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("; so far it had said: {said}") }
}

fn told(options: &[Unsupported]) -> String {
    let each = options.iter().map(|unsupported| format!("{} ({})", unsupported.option.name(), unsupported.why));
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::managers;

    #[test]
    fn a_service_that_the_manager_does_not_know_is_missed_by_whoever_needs_it() {
        let manager = managers::assumed(ManagerKind::SysV);
        let mut registration = Registration::new("web".parse().unwrap(), "/opt/web");
        registration.depends_on = vec![Dependency::Service("menshen-has-no-such".to_owned()), Dependency::Network];
        assert_eq!(manager.missing_dependencies(&registration).unwrap(), ["menshen-has-no-such"]);
    }
}
