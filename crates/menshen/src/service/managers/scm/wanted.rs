//! A registration in the terms of the service control manager.

use std::time::Duration;

use menshen_scm::account::LOCAL_SYSTEM;
use menshen_scm::command_line;
use menshen_scm::settings::{FailureKinds, Failures, Parameter, Settings, Sid, Start};
use menshen_scm::triggers::{Guid, Trigger};

use super::parameter::{DIRECTORY, MADE_BY, STOP_TIMEOUT, US};
use crate::service::manager::Difference;
use crate::service::name::ServiceName;
use crate::service::registration::{
    self, Account, Dependency, FailureKind, Registration, Restart, RestartPolicy, Secret, SidType, StartType,
};

/// After a day without a failure earlier ones are forgotten, unless something else was said.
const RESET: Duration = Duration::from_secs(24 * 60 * 60);
/// At most so many waits that grow.
const STEPS_MAX: u32 = 32;
/// A wait that grows, and begins with nothing, grows from this.
const GROWS_FROM: Duration = Duration::from_millis(100);

/// A service as the service control manager is to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it is called.
    pub name: ServiceName,
    /// Everything that can be set and looked at again.
    pub settings: Settings,
    /// The password of its account, which can only be set.
    pub password: Option<Secret>,
    /// The account that needs the right to be logged on as a service. Windows' own have it.
    pub logon: Option<String>,
}

impl Wanted {
    /// Of a registration of which everything can be honoured.
    pub(super) fn of(registration: &Registration) -> Self {
        let Registration { name, account, .. } = registration;
        let (logon, password) = match account {
            Account::User { password, .. } => (Some(account_of(name, account)), password.clone()),
            Account::GroupManaged(managed) => (Some(managed.clone()), None),
            Account::Manager | Account::LocalService | Account::NetworkService | Account::Virtual => (None, None),
        };
        Self { name: name.clone(), settings: settings_of(registration), password, logon }
    }

    /// In what an installed service differs from it. Of one that is not there, everything does that was asked for.
    pub(super) fn differences(&self, installed: Option<&Settings>) -> Vec<Difference> {
        let Some(installed) = installed else {
            let missing = self.shown().into_iter().map(|(what, wanted)| (what, None, Some(wanted)));
            return missing.map(|(what, installed, wanted)| difference(what, installed, wanted)).collect();
        };
        let both = fields(installed).into_iter().zip(fields(&self.settings));
        let other = both.filter(|((_, installed), (_, wanted))| installed != wanted);
        let other = other.map(|((what, installed), (_, wanted))| difference(what, some(installed), some(wanted)));
        // It may be another one than is there, and nobody can read that.
        let password = self.password.as_ref().map(|_| difference("password", None, Some(SET.to_owned())));
        other.chain(password).collect()
    }

    /// What was asked for, for people to read: what the service is called by each field, and the field.
    pub(super) fn shown(&self) -> Vec<(&'static str, String)> {
        let plain = fields(&Settings::new(String::new(), String::new()));
        let is_asked = |(what, value): &(&'static str, String)| {
            ALWAYS_SHOWN.contains(what) || !value.is_empty() && !plain.contains(&(*what, value.clone()))
        };
        let mut shown: Vec<_> = fields(&self.settings).into_iter().filter(is_asked).collect();
        if let Some(account) = &self.logon {
            shown.push(("right of the account", format!("SeServiceLogonRight for {account} (LsaAddAccountRights)")));
        }
        if self.password.is_some() {
            shown.push(("password", SET.to_owned()));
        }
        shown
    }
}

/// What is said of a password that is given.
const SET: &str = "set (cannot be compared, and is not shown)";

fn difference(what: &str, installed: Option<String>, wanted: Option<String>) -> Difference {
    Difference { what: what.to_owned(), installed, wanted }
}

fn some(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}

const ALWAYS_SHOWN: [&str; 2] = ["start", "account"];

/// Every field as people read it; one that is not set is empty.
fn fields(settings: &Settings) -> Vec<(&'static str, String)> {
    let start = match settings.start {
        Start::Auto => "auto",
        Start::Delayed => "delayed",
        Start::Manual => "manual",
        Start::Disabled => "disabled",
    };
    let sid = match settings.sid {
        Sid::None => "",
        Sid::Unrestricted => "unrestricted",
        Sid::Restricted => "restricted",
    };
    let triggers: Vec<String> = settings.triggers.iter().map(ToString::to_string).collect();
    let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
    let mut fields = vec![
        ("image path", settings.command_line.clone()),
        ("start", start.to_owned()),
        ("display name", settings.display_name.clone()),
        ("description", settings.description.clone()),
        ("depends on", settings.dependencies.join(", ")),
        ("account", settings.account.clone()),
        ("load order group", settings.load_order_group.clone()),
        ("security identifier", sid.to_owned()),
        ("required privileges", settings.required_privileges.join(", ")),
        ("on failure", failures_shown(&settings.failures)),
        ("preshutdown time-out", settings.preshutdown.map(seconds).unwrap_or_default()),
        ("security descriptor", settings.security.clone().unwrap_or_default()),
        ("triggers", triggers.join(", ")),
        ("environment", settings.environment.join("\n        ")),
    ];
    fields.extend(settings.parameters.iter().map(|parameter| {
        let Parameter { name, value } = parameter;
        (shown_as(name), value.clone().unwrap_or_default())
    }));
    fields
}

/// The library's own values, as people read them.
fn shown_as(parameter: &'static str) -> &'static str {
    match parameter {
        DIRECTORY => r"directory (Parameters\Directory)",
        STOP_TIMEOUT => r"stop time-out in ms (Parameters\StopTimeout)",
        MADE_BY => r"made by (Parameters\MadeBy)",
        other => other,
    }
}

fn failures_shown(failures: &Failures) -> String {
    if failures.restart_after.is_empty() {
        return String::new();
    }
    let waits: Vec<String> = failures.restart_after.iter().map(|wait| format!("{} s", wait.as_secs_f64())).collect();
    let kinds = match failures.kinds {
        FailureKinds::Crashes => "crashes only",
        FailureKinds::CrashesAndErrors => "crashes and error codes",
    };
    let reset = failures.reset.map(|reset| format!(", forgotten after {} s", reset.as_secs())).unwrap_or_default();
    format!("restart after {} ({kinds}{reset})", waits.join(", "))
}

fn settings_of(registration: &Registration) -> Settings {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let windows = &registration.windows;
    let program = registration.program.to_string_lossy();
    let display_name = registration.display_name.clone().unwrap_or_else(|| registration.name.to_string());
    Settings {
        start: match registration.start {
            StartType::Auto => Start::Auto,
            StartType::Delayed => Start::Delayed,
            StartType::Manual => Start::Manual,
            StartType::Disabled => Start::Disabled,
        },
        description: text(&registration.description),
        dependencies: dependencies_of(registration),
        account: account_of(&registration.name, &registration.account),
        load_order_group: text(&windows.load_order_group),
        sid: match windows.sid {
            SidType::None => Sid::None,
            SidType::Unrestricted => Sid::Unrestricted,
            SidType::Restricted => Sid::Restricted,
        },
        required_privileges: windows.required_privileges.clone(),
        failures: failures_of(&registration.restart, windows.failures),
        preshutdown: windows.preshutdown_timeout,
        security: windows.security_descriptor.clone(),
        triggers: windows.triggers.iter().filter_map(trigger).collect(),
        environment: registration.environment.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        parameters: parameters_of(registration),
        ..Settings::new(command_line::of(&program, &registration.arguments), display_name)
    }
}

fn parameters_of(registration: &Registration) -> Vec<Parameter> {
    let directory = registration.directory.as_ref().map(|directory| directory.to_string_lossy().into_owned());
    let stop = registration.stop_timeout.map(|time| time.as_millis().to_string());
    vec![
        Parameter { name: MADE_BY, value: Some(US.to_owned()) },
        Parameter { name: DIRECTORY, value: directory },
        Parameter { name: STOP_TIMEOUT, value: stop },
    ]
}

/// As the manager knows it.
fn account_of(service: &ServiceName, account: &Account) -> String {
    match account {
        Account::Manager => LOCAL_SYSTEM.to_owned(),
        Account::User { name, .. } if name.contains(['\\', '@']) => name.clone(),
        // Without a domain it is this machine's.
        Account::User { name, .. } => format!(r".\{name}"),
        Account::LocalService => r"NT AUTHORITY\LocalService".to_owned(),
        Account::NetworkService => r"NT AUTHORITY\NetworkService".to_owned(),
        Account::Virtual => format!(r"NT SERVICE\{service}"),
        Account::GroupManaged(name) => name.clone(),
    }
}

/// Services before groups, as the manager keeps them. What is refused is left out.
fn dependencies_of(registration: &Registration) -> Vec<String> {
    let services = registration.depends_on.iter().filter_map(|dependency| match dependency {
        Dependency::Service(name) => Some(name.clone()),
        Dependency::Group(_) | Dependency::Network => None,
    });
    let groups = registration.depends_on.iter().filter_map(|dependency| match dependency {
        Dependency::Group(name) => Some(format!("+{name}")),
        Dependency::Service(_) | Dependency::Network => None,
    });
    services.chain(groups).collect()
}

/// `None` for what is refused.
fn trigger(trigger: &registration::Trigger) -> Option<Trigger> {
    match trigger {
        registration::Trigger::NetworkUp => Some(Trigger::FIRST_ADDRESS),
        registration::Trigger::DomainJoin => Some(Trigger::DOMAIN_JOIN),
        registration::Trigger::DeviceArrival(class) => Guid::parse(class).map(Trigger::device),
    }
}

fn failures_of(restart: &Restart, kinds: FailureKind) -> Failures {
    let restart_after = match restart.policy {
        RestartPolicy::Never => Vec::new(),
        // A restart after a good end is refused.
        RestartPolicy::OnFailure | RestartPolicy::Always => waits(restart),
    };
    if restart_after.is_empty() {
        return Failures { restart_after, reset: None, kinds: FailureKinds::Crashes };
    }
    let kinds = match kinds {
        FailureKind::CrashesAndErrors => FailureKinds::CrashesAndErrors,
        FailureKind::Crashes => FailureKinds::Crashes,
    };
    // Windows counts in seconds; less than one is none.
    let whole = |time: Duration| Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0));
    Failures { restart_after, reset: Some(restart.reset_after.map_or(RESET, whole)), kinds }
}

/// The waits, each longer than the one before by the same factor; the last goes for every further failure.
fn waits(restart: &Restart) -> Vec<Duration> {
    let whole = |time: Duration| Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let first = whole(restart.delay);
    let Some(last) = restart.delay_max.map(whole).filter(|last| *last > first) else { return vec![first] };
    let from = first.max(GROWS_FROM).min(last);
    let factor = last.as_secs_f64() / from.as_secs_f64();
    let doublings = (1..STEPS_MAX).find(|steps| 2_f64.powi(i32::try_from(*steps).unwrap_or(i32::MAX)) >= factor);
    let steps = restart.steps.or(doublings).unwrap_or(STEPS_MAX).clamp(1, STEPS_MAX);
    let grown = (1..steps).map(|step| from.mul_f64(factor.powf(f64::from(step) / f64::from(steps)))).map(whole);
    std::iter::once(first).chain(grown).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration() -> Registration {
        Registration::new("web".parse().unwrap(), r"C:\Program Files\web.exe")
    }

    fn seconds(waits: &[Duration]) -> Vec<f64> {
        waits.iter().map(Duration::as_secs_f64).collect()
    }

    #[test]
    fn waits_grow_by_the_same_factor_from_the_first_to_the_last() {
        let mut restart = Restart::default();
        assert_eq!(seconds(&waits(&restart)), [1.0]);
        restart.delay_max = Some(Duration::from_secs(8));
        assert_eq!(seconds(&waits(&restart)), [1.0, 2.0, 4.0, 8.0]);
        restart.steps = Some(1);
        assert_eq!(seconds(&waits(&restart)), [1.0, 8.0]);
        restart.delay = Duration::ZERO;
        restart.steps = Some(3);
        let waits_from_nothing = waits(&restart);
        assert_eq!((waits_from_nothing.len(), waits_from_nothing[0]), (4, Duration::ZERO));
        assert!(waits_from_nothing.is_sorted(), "{waits_from_nothing:?}");
        restart.delay = Duration::from_secs(9);
        assert_eq!(seconds(&waits(&restart)), [9.0], "it does not shrink");
    }

    #[test]
    fn accounts_are_named_as_the_manager_names_them() {
        let user = |name: &str| Account::User { name: name.to_owned(), group: None, password: None };
        let table = [
            (Account::Manager, "LocalSystem"),
            (user("me"), r".\me"),
            (user(r"CORP\me"), r"CORP\me"),
            (user("me@corp.example"), "me@corp.example"),
            (Account::LocalService, r"NT AUTHORITY\LocalService"),
            (Account::NetworkService, r"NT AUTHORITY\NetworkService"),
            (Account::Virtual, r"NT SERVICE\web"),
            (Account::GroupManaged(r"CORP\web$".to_owned()), r"CORP\web$"),
        ];
        for (account, name) in table {
            let needs_right = matches!(account, Account::User { .. } | Account::GroupManaged(_));
            let wanted = Wanted::of(&Registration { account, ..registration() });
            assert_eq!(wanted.settings.account, name);
            assert_eq!(wanted.logon.as_deref(), needs_right.then_some(name));
        }
    }

    #[test]
    fn a_password_that_is_given_is_set_each_time() {
        let password = Some(Secret("hush".to_owned()));
        let account = Account::User { name: "me".to_owned(), group: None, password };
        let wanted = Wanted::of(&Registration { account, ..registration() });
        let set = difference("password", None, Some("set (cannot be compared, and is not shown)".to_owned()));
        assert_eq!(wanted.differences(Some(&wanted.settings)), [set]);
    }

    #[test]
    fn what_differs_is_named_and_nothing_else() {
        let wanted = Wanted::of(&registration());
        assert_eq!(wanted.differences(Some(&wanted.settings)), []);
        let mut installed = wanted.settings.clone();
        installed.start = Start::Delayed;
        installed.triggers = vec![Trigger::FIRST_ADDRESS];
        installed.parameters[1].value = Some(r"D:\web".to_owned());
        let found = wanted.differences(Some(&installed));
        let found: Vec<_> =
            found.iter().map(|one| (one.what.as_str(), one.installed.as_deref(), one.wanted.as_deref())).collect();
        let directory = (r"directory (Parameters\Directory)", Some(r"D:\web"), None);
        assert_eq!(
            found,
            [("start", Some("delayed"), Some("auto")), ("triggers", Some("the first address"), None), directory]
        );
        assert!(wanted.differences(None).iter().all(|one| one.installed.is_none() && one.wanted.is_some()));
    }
}
