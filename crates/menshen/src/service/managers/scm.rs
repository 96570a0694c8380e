//! The service control manager of Windows.
//!
//! Everything it keeps of a service is one thing it is told, in `wanted`; what is installed is compared with it field by field.
//! The platform's sibling talks to it.

mod request;
mod values;
mod wanted;

#[cfg(unix)]
#[path = "scm/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "scm/windows.rs"]
mod platform;

use menshen_scm::settings::FailureKinds;

pub use self::request::Request;
pub use self::wanted::Wanted;
use crate::service::deadline::Deadline;
use crate::service::manager::{Difference, ManagerError, ManagerKind, Scope, ServiceManager, Verb};
use crate::service::name::ServiceName;
use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::plan::{Call, Plan, Step};
use crate::service::registration::Registration;
use crate::service::status::Status;

/// The service control manager of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scm;

impl Scm {
    /// The manager, where this is Windows.
    ///
    /// # Errors
    /// When it is not, or a user's own services are asked for: there are none.
    pub fn found(scope: Scope) -> Result<Self, ManagerError> {
        platform::there()?;
        match scope {
            Scope::System => Ok(Self),
            Scope::User => Err(ManagerError::NoSuchScope { manager: ManagerKind::Scm, scope }),
        }
    }
}

/// What a registration leaves in the registry for the library's own runtime to read, below the service's key `Parameters`.
pub(in crate::service) mod parameter {
    /// Who made the service; nobody else's is touched.
    pub(in crate::service) const MADE_BY: &str = "MadeBy";
    /// The value of [`MADE_BY`].
    pub(in crate::service) const US: &str = "menshen";
    /// The working directory, of which the manager knows nothing.
    pub(in crate::service) const DIRECTORY: &str = "Directory";
    /// How long a stop may take, in milliseconds, of which the manager knows nothing either.
    pub(in crate::service) const STOP_TIMEOUT: &str = "StopTimeout";
}

impl ServiceManager for Scm {
    fn kind(&self) -> ManagerKind {
        ManagerKind::Scm
    }

    fn scope(&self) -> Scope {
        Scope::System
    }

    fn honours(&self, option: RegistrationOption) -> Result<(), &'static str> {
        use RegistrationOption as O;
        const SIGNAL: &str = "Windows has no signals; a program that uses the library is asked by the manager itself";
        const COMMAND: &str =
            "the manager runs no other program; let a guard run this one, or let it listen to the manager";
        const HARDENING: &str =
            "the manager has other means; use an account of few rights, windows.sid and windows.required_privileges";
        const SOCKETS: &str = "the manager opens no sockets; let the program open them itself";
        match option {
            O::DisplayName
            | O::Description
            | O::Directory
            | O::Environment
            | O::AccountUser
            | O::AccountPassword
            | O::AccountLocalService
            | O::AccountNetworkService
            | O::AccountVirtual
            | O::AccountGroupManaged
            | O::StartDelayed
            | O::StartManual
            | O::StartDisabled
            | O::DependsOnService
            | O::DependsOnGroup
            | O::ProtocolNative
            | O::StopTimeout
            | O::ReloadNative
            | O::RestartOnFailure
            | O::RestartNever
            | O::RestartDelay
            | O::RestartBackoff
            | O::RestartReset
            | O::ChildrenKept
            | O::WindowsSid
            | O::WindowsRequiredPrivileges
            | O::WindowsSecurityDescriptor
            | O::WindowsTriggers
            | O::WindowsPreshutdownTimeout
            | O::WindowsLoadOrderGroup
            | O::WindowsFailures => Ok(()),
            O::AccountGroup => Err("an account of Windows has its groups; leave the group out"),
            O::DependsOnNetwork => {
                Err("no service stands for the network being up; use windows.triggers, or name a service")
            }
            O::StartTimeout => {
                Err("a service says itself how long its start takes (more_time), and the manager goes by that")
            }
            O::StopSignal | O::ReloadSignal => Err(SIGNAL),
            O::StopCommand | O::ReloadCommand => Err(COMMAND),
            O::RestartAlways => Err("the manager starts again only what failed; use restart = on-failure"),
            O::Watchdog => Err("the manager has no watchdog; let a guard probe the program (liveness)"),
            O::OpenFiles => Err("Windows has no such limit"),
            O::HardeningStandard | O::HardeningStrict => Err(HARDENING),
            O::SocketTcp | O::SocketUdp | O::SocketLocal => Err(SOCKETS),
        }
    }

    fn refused_values(&self, registration: &Registration) -> Vec<Unsupported> {
        values::refused(registration)
    }

    fn plan_of(&self, registration: &Registration) -> Plan {
        let name = &registration.name;
        let undo = Some(Call::Scm(Request::RemoveSource(name.clone())));
        let source = Step::Call { call: Call::Scm(Request::AddSource(name.clone())), undo };
        // What it is told of a service it does as a whole or not at all; so it comes last, and needs no undoing.
        let register = Step::call(Call::Scm(Request::Register(Box::new(Wanted::of(registration)))));
        Plan { steps: vec![source, register], after_undo: Vec::new() }
    }

    fn removal_of(&self, name: &ServiceName) -> Plan {
        let requests = [Request::Delete(name.clone()), Request::RemoveSource(name.clone())];
        Plan { steps: requests.map(|request| Step::call(Call::Scm(request))).into(), after_undo: Vec::new() }
    }

    fn hold_ours(&self, name: &ServiceName) -> Result<(), ManagerError> {
        platform::hold_ours(name)
    }

    fn call(&self, call: &Call) -> Result<(), ManagerError> {
        match call {
            Call::Scm(request) => platform::tell(request),
            Call::Command { .. } | Call::Systemd(_) => Err(other_manager(call)),
        }
    }

    fn differences_of(&self, call: &Call) -> Result<Vec<Difference>, ManagerError> {
        let request = match call {
            Call::Scm(request) => request,
            Call::Command { .. } | Call::Systemd(_) => return Err(other_manager(call)),
        };
        Ok(match request {
            Request::Register(wanted) => wanted.differences(platform::installed(wanted)?.as_ref()),
            Request::Delete(name) => {
                let there = platform::status(name)?.start.map(|_| "registered".to_owned());
                let gone =
                    |there| Difference { what: format!("the service {name}"), installed: Some(there), wanted: None };
                there.map(gone).into_iter().collect()
            }
            Request::AddSource(name) => source(name, platform::messages_of(name)?, Some(request::MESSAGES)),
            Request::RemoveSource(name) => {
                // Somebody else's is left alone.
                let ours = platform::messages_of(name)?.filter(|file| file == request::MESSAGES);
                source(name, ours, None)
            }
        })
    }

    fn not_kept(&self, registration: &Registration) -> Result<Vec<String>, ManagerError> {
        let is_asked = match Wanted::of(registration).settings.failures.kinds {
            FailureKinds::CrashesAndErrors => true,
            FailureKinds::Crashes => false,
        };
        let is_lost = is_asked && !platform::knows_failure_flag(&registration.name)?;
        let told = "the failure flag: what ends with an error code is not started again, only what crashes";
        Ok(is_lost.then(|| told.to_owned()).into_iter().collect())
    }

    fn act_by(&self, name: &ServiceName, verb: Verb, deadline: Deadline) -> Result<(), ManagerError> {
        platform::act(name, verb, deadline)
    }

    fn status(&self, name: &ServiceName) -> Result<Status, ManagerError> {
        platform::status(name)
    }
}

/// In what a source of events differs, by the file its messages are in.
fn source(name: &ServiceName, installed: Option<String>, wanted: Option<&str>) -> Vec<Difference> {
    let wanted = wanted.map(str::to_owned);
    let differs = installed != wanted;
    let what = format!("the source of events {name}");
    differs.then_some(Difference { what, installed, wanted }).into_iter().collect()
}

fn other_manager(call: &Call) -> ManagerError {
    let told = "it is not the one to be told this".to_owned();
    ManagerError::Call { manager: ManagerKind::Scm, call: call.to_string(), told }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::service::registration::{Account, Dependency, Protocol, Secret, SidType, StartType, Trigger};

    fn everything() -> Registration {
        let mut registration = Registration::new("web".parse().unwrap(), r"C:\Program Files\web\web.exe");
        registration.protocol = Protocol::Native;
        registration.arguments = ["--greeting", "say \"so\"", "100% of %PATH%", ""].map(str::to_owned).into();
        registration.display_name = Some("The Web".to_owned());
        registration.description = Some("Serves pages.".to_owned());
        registration.directory = Some(r"D:\pages".into());
        registration.environment = [("PORT".to_owned(), "80".to_owned()), ("TZ".to_owned(), "UTC".to_owned())].into();
        let password = Some(Secret("hush".to_owned()));
        registration.account = Account::User { name: "me".to_owned(), group: None, password };
        registration.start = StartType::Delayed;
        registration.depends_on =
            vec![Dependency::Group("NetworkProvider".to_owned()), Dependency::Service("db".to_owned())];
        registration.stop_timeout = Some(Duration::from_secs(20));
        registration.restart.delay_max = Some(Duration::from_secs(60));
        registration.windows.sid = SidType::Unrestricted;
        registration.windows.required_privileges = vec!["SeChangeNotifyPrivilege".to_owned()];
        registration.windows.security_descriptor = Some("D:(A;;GA;;;SY)".to_owned());
        registration.windows.triggers = vec![Trigger::NetworkUp];
        registration.windows.preshutdown_timeout = Some(Duration::from_secs(90));
        registration
    }

    #[test]
    fn a_plan_shows_everything_that_would_be_set_and_no_password() {
        let plan = Scm.plan(&everything()).unwrap();
        let shown: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        let shown = shown.join("\n");
        assert!(!shown.contains("hush"), "{shown}");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn what_is_not_asked_for_is_not_shown() {
        let mut plain = Registration::new("web".parse().unwrap(), r"C:\web.exe");
        plain.protocol = Protocol::Native;
        let shown: Vec<String> = Scm.plan(&plain).unwrap().steps.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
