//! The manager runs a guard, which runs the definition.

use std::path::{Path, PathBuf};
use std::time::Duration;

use menshen::service::registration::{Account, Children, Dependency, Protocol, Reload, Restart, StartType};
use menshen::service::{ManagerKind, Registration, RegistrationOption, ServiceManager, ServiceName};

use super::record::Record;

/// How soon a guard that was killed is there again.
const RESTART_AFTER: Duration = Duration::from_millis(100);
/// How long a guard may take to stop everything before the machine goes down, where the manager asks before.
const PRESHUTDOWN: Duration = Duration::from_secs(180);
/// How long a guard may take to stop everything where the manager does not hear that it needs more time. What each service may
/// take is bounded by its definition.
const STOP_WITHIN: Duration = Duration::from_secs(300);

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
        registration.stop_command =
            Some(if is_systemd { call(&["down", "--unit", &format!("{name}.service")]) } else { call(&["down"]) });
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

/// `menshen down` is no failure, so a guard is started again when it fails, if the manager can tell.
fn restart(manager: &dyn ServiceManager) -> Restart {
    let usual = Restart::default();
    let has_delay = manager.honours(RegistrationOption::RestartDelay).is_ok();
    let delay = if has_delay { RESTART_AFTER } else { usual.delay };
    Restart { policy: manager.restarts_failed(), delay, ..usual }
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
