//! The manager runs a guard, which runs the definition.

use std::path::{Path, PathBuf};
use std::time::Duration;

use menshen::service::registration::{
    Account, Children, Dependency, Protocol, Reload, Restart, RestartPolicy, StartType,
};
use menshen::service::{ManagerKind, Registration, RegistrationOption, ServiceManager, ServiceName};

use super::record::{Record, Switched};

/// How soon a guard that was killed is there again, where the manager lets the wait grow.
const RESTART_AFTER: Duration = Duration::from_millis(100);
/// To this it grows in so many steps: a guard that ends again and again, for an essential service fails, keeps nobody busy.
const RESTART_AFTER_MAX: Duration = Duration::from_secs(10);
const RESTART_STEPS: u32 = 5;
/// After this long without a failure the wait is short again, where the manager counts so.
const RESTART_RESET: Duration = Duration::from_secs(600);
/// How long a guard may take to stop everything before the machine goes down, where the manager asks before.
const PRESHUTDOWN: Duration = Duration::from_secs(180);
/// How long a guard may take to stop everything where the manager does not hear that it needs more time. What each service may
/// take is bounded by its definition.
const STOP_WITHIN: Duration = Duration::from_secs(300);

/// How long a guard may be silent before systemd takes it for one that hangs. So long that telling it wakes nobody to speak of.
const WATCHDOG: Duration = Duration::from_secs(180);

/// What the manager is told of a guard, run by this binary. What a guard only would like, and the manager does not have, it does
/// without; what somebody asked for stays in, for the manager to refuse.
pub(crate) fn registration(
    name: &ServiceName,
    record: &Record,
    binary: &Path,
    home: Option<&Path>,
    manager: &dyn ServiceManager,
) -> Registration {
    let has = |option: RegistrationOption| manager.honours(option).is_ok();
    let mut registration = Registration::new(name.clone(), binary);
    registration.arguments = arguments(record);
    if manager.kind() == ManagerKind::Scm {
        registration.arguments.extend(["--as-service".to_owned(), name.to_string()]);
    }
    if !keeps_words(manager.kind()) {
        registration.arguments.extend(["--log-as".to_owned(), record.guard.clone()]);
    }
    registration.environment =
        home.map(|home| ("MENSHEN_HOME".to_owned(), home.display().to_string())).into_iter().collect();
    // Elsewhere the description is what people see.
    if manager.kind() == ManagerKind::Scm {
        registration.display_name = Some(format!("Menshen guards {}", record.guard));
    }
    if has(RegistrationOption::Description) {
        registration.description = Some(format!("Menshen guards {}", record.guard));
    }
    if has(RegistrationOption::Directory) {
        registration.directory = Some(folder_of(&record.definition));
    }
    if has(RegistrationOption::ChildrenKept) {
        registration.children = Children::Kept;
    }
    if has(RegistrationOption::DependsOnNetwork) {
        registration.depends_on.push(Dependency::Network);
    }
    if manager.kind() == ManagerKind::Systemd && has(RegistrationOption::Watchdog) {
        registration.watchdog = Some(WATCHDOG);
    }
    if has(RegistrationOption::WindowsPreshutdownTimeout) {
        registration.windows.preshutdown_timeout = Some(PRESHUTDOWN);
    }
    let call = |words: &[&str]| {
        let own = [binary.display().to_string(), "--instance".to_owned(), record.guard.clone()];
        own.into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>()
    };
    if has(RegistrationOption::ReloadCommand) {
        registration.reload = Some(Reload::Command(call(&["reload"])));
    }
    if has(RegistrationOption::StopCommand) {
        let is_systemd = manager.kind() == ManagerKind::Systemd;
        registration.stop_command = Some(if is_systemd {
            call(&["down", "--unit", &format!("{name}.service")])
        } else {
            call(&["down", "--by-manager"])
        });
    }
    registration.restart = restart(manager);
    if speaks_to(manager.kind()) {
        registration.protocol = Protocol::Native;
    } else if has(RegistrationOption::StopTimeout) {
        // It does not hear that a stop needs more time, so it has to know before.
        registration.stop_timeout = Some(STOP_WITHIN);
    }
    apply(record, manager.kind(), &mut registration);
    registration
}

/// Whether a guard and a manager of this kind have a protocol in common.
const fn speaks_to(manager: ManagerKind) -> bool {
    match manager {
        ManagerKind::Systemd | ManagerKind::Scm => true,
        ManagerKind::Launchd
        | ManagerKind::OpenRc
        | ManagerKind::SysV
        | ManagerKind::Runit
        | ManagerKind::S6
        | ManagerKind::Dinit
        | ManagerKind::FreeBsdRc => false,
    }
}

/// Whether a manager of this kind keeps what a guard says, and more than a file that grows.
const fn keeps_words(manager: ManagerKind) -> bool {
    match manager {
        ManagerKind::Systemd
        | ManagerKind::Scm
        | ManagerKind::OpenRc
        | ManagerKind::Runit
        | ManagerKind::S6
        | ManagerKind::FreeBsdRc => true,
        ManagerKind::SysV | ManagerKind::Launchd | ManagerKind::Dinit => false,
    }
}

/// `menshen down` is no failure, so a guard is started again when it fails, if the manager can tell. One that fails at once is
/// not started at once again: where the wait cannot grow, it is a second from the first.
fn restart(manager: &dyn ServiceManager) -> Restart {
    let has = |option: RegistrationOption| manager.honours(option).is_ok();
    let usual = Restart { policy: manager.restarts_failed(), ..Restart::default() };
    if usual.policy == RestartPolicy::Never || !has(RegistrationOption::RestartBackoff) {
        return usual;
    }
    Restart {
        delay: RESTART_AFTER,
        delay_max: Some(RESTART_AFTER_MAX),
        steps: Some(RESTART_STEPS),
        reset_after: has(RegistrationOption::RestartReset).then_some(RESTART_RESET),
        ..usual
    }
}

/// What somebody asked for.
pub(super) fn apply(record: &Record, manager: ManagerKind, registration: &mut Registration) {
    let asked = record.asked.clone();
    if let Some(display_name) = asked.display_name {
        registration.display_name = Some(display_name);
    }
    if let Some(description) = asked.description {
        registration.description = Some(description);
    }
    if let Some(start) = asked.start {
        registration.start = StartType::from(start);
    }
    if let Some(account) = asked.account {
        registration.account = Account::named(&account, &registration.name, manager);
    }
    registration.start = match (record.switched, registration.start) {
        (Some(Switched::Enabled), StartType::Manual | StartType::Disabled) => StartType::Auto,
        (Some(Switched::Disabled), StartType::Auto | StartType::Delayed) => disabled(manager),
        (Some(Switched::Enabled | Switched::Disabled) | None, start) => start,
    };
}

/// What becomes of a service when a manager of this kind is told to disable it.
pub(crate) const fn disabled(manager: ManagerKind) -> StartType {
    match manager {
        ManagerKind::Launchd | ManagerKind::FreeBsdRc => StartType::Disabled,
        ManagerKind::Systemd
        | ManagerKind::Scm
        | ManagerKind::OpenRc
        | ManagerKind::SysV
        | ManagerKind::Runit
        | ManagerKind::S6
        | ManagerKind::Dinit => StartType::Manual,
    }
}

fn arguments(record: &Record) -> Vec<String> {
    let mut arguments = vec!["up".to_owned(), "--file".to_owned(), record.definition.display().to_string()];
    if let Some(profile) = &record.profile {
        arguments.extend(["--profile".to_owned(), profile.clone()]);
    }
    for setting in &record.settings {
        arguments.extend(["--set".to_owned(), setting.clone()]);
    }
    for name in &record.only {
        arguments.extend(["--only".to_owned(), name.clone()]);
    }
    arguments
}

fn folder_of(definition: &Path) -> PathBuf {
    if definition.is_dir() { definition.to_owned() } else { definition.parent().unwrap_or(definition).to_owned() }
}

#[cfg(test)]
mod tests {
    use menshen::service::managers;
    use menshen::service::managers::systemd::{Systemd, Version};

    use super::*;

    #[test]
    fn a_guard_that_fails_at_once_is_not_started_without_end_at_once() {
        for kind in ManagerKind::ALL {
            let restart = restart(managers::assumed(kind).as_ref());
            let grows = restart.delay_max.is_some_and(|delay_max| delay_max >= Duration::from_secs(10));
            let waits = restart.delay >= Duration::from_secs(1);
            assert!(restart.policy == RestartPolicy::Never || grows || waits, "{kind}: {restart:?}");
        }
        let old = restart(&Systemd { version: Version(252), ..Systemd::assumed() });
        assert_eq!((old.delay, old.delay_max), (Duration::from_secs(1), None));
    }
}
