//! Making, changing and deleting services: each as a whole or not at all.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use menshen_scm::changes::{self, Change, Password};
use menshen_scm::event_log;
use menshen_scm::logon::{self, Granted};
use menshen_scm::manager::{Manager, Purpose, Rights};
use menshen_scm::registry;
use menshen_scm::service::{Service, canonical_security};
use menshen_scm::settings::{Parameter, Settings, Start};

use super::super::parameter::{MADE_BY, US};
use super::super::request::MESSAGES;
use super::super::{Request, Wanted};
use super::refusal::{DELETED_SOON, MARKED, failed, refused};
use crate::service::manager::ManagerError;
use crate::service::name::ServiceName;

/// The account that was given the right to be logged on as a service for this one, and is to lose it with it.
const LOGON: &str = "LogonRightGiven";
/// How long a deleted service may be seen by those who have it open.
const GONE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Tells the manager, or the registry, something of a plan's.
pub(in super::super) fn tell(request: &Request) -> Result<(), ManagerError> {
    match request {
        Request::Register(wanted) => register(wanted),
        Request::Delete(name) => delete(name),
        Request::AddSource(name) => add_source(name),
        Request::RemoveSource(name) => {
            event_log::forget(name.as_str()).map_err(refused(format!("removing the source of events {name}")))
        }
    }
}

/// How an installed service is, as far as it can be compared with what is wanted; `None` if there is none.
pub(in super::super) fn installed(wanted: &Wanted) -> Result<Option<Settings>, ManagerError> {
    let manager = Manager::connect(Purpose::Use).map_err(refused("OpenSCManagerW"))?;
    let service = manager.open(wanted.name.as_str(), Rights::Look).map_err(refused("OpenServiceW"))?;
    let Some(service) = service else { return Ok(None) };
    if registry::is_marked_for_deletion(wanted.name.as_str()).map_err(refused("reading the registry"))? {
        return Err(failed(format!("installing {}", wanted.name), MARKED));
    }
    settings(&service, wanted).map(Some)
}

/// Whether the manager keeps which ends of an installed service are failures.
pub(in super::super) fn knows_failure_flag(name: &ServiceName) -> Result<bool, ManagerError> {
    let manager = Manager::connect(Purpose::Use).map_err(refused("OpenSCManagerW"))?;
    let service = manager.open(name.as_str(), Rights::Look).map_err(refused("OpenServiceW"))?;
    service.map_or(Ok(true), |service| service.knows_failure_flag().map_err(refused("QueryServiceConfig2W")))
}

/// The file that the messages of a source of events are in; `None` if there is no such source.
pub(in super::super) fn messages_of(name: &ServiceName) -> Result<Option<String>, ManagerError> {
    event_log::message_file(name.as_str()).map_err(refused(format!("reading the source of events {name}")))
}

/// What Windows writes otherwise and means the same is the same.
fn settings(service: &Service, wanted: &Wanted) -> Result<Settings, ManagerError> {
    let mut settings = service.settings(&wanted.settings).map_err(refused("QueryServiceConfig2W"))?;
    if logon::is_same(&settings.account, &wanted.settings.account) {
        settings.account.clone_from(&wanted.settings.account);
    }
    if let Some(sddl) = &wanted.settings.security {
        let canonical = canonical_security(sddl).map_err(refused(format!("reading the security descriptor {sddl}")))?;
        if settings.security.as_ref() == Some(&canonical) {
            settings.security = Some(sddl.clone());
        }
    }
    Ok(settings)
}

fn register(wanted: &Wanted) -> Result<(), ManagerError> {
    let manager = Manager::connect(Purpose::Make).map_err(refused("OpenSCManagerW"))?;
    let there = manager.open(wanted.name.as_str(), Rights::All).map_err(refused("OpenServiceW"))?;
    if let Some(service) = &there {
        hold_ours(&wanted.name)?;
        return edit(service, wanted);
    }
    let granted = grant(wanted)?;
    let made = make(&manager, wanted, granted);
    made.map_err(|failed| take_back(failed, vec![undo_grant(wanted, granted)]))
}

fn make(manager: &Manager, wanted: &Wanted, granted: Granted) -> Result<(), ManagerError> {
    let settings = &wanted.settings;
    let password = wanted.password.as_ref().map(|password| password.0.as_str());
    let service = manager.create(wanted.name.as_str(), settings, password).map_err(refused("CreateServiceW"))?;
    let created = as_created(settings);
    // Its account and the password it has already.
    let changes = changes::of(&created, settings, Password::None);
    let finished = changes.into_iter().try_for_each(|change| service.change(change, &created, settings, None));
    let finished = finished.and_then(|()| note(wanted, granted));
    finished.map_err(refused("ChangeServiceConfig2W")).map_err(|failed| {
        let undone = service.delete().map_err(|error| format!("the service is still there: {error}"));
        take_back(failed, vec![undone])
    })
}

/// What a service has that was just made with these settings.
fn as_created(settings: &Settings) -> Settings {
    let plain = Settings::new(settings.command_line.clone(), settings.display_name.clone());
    Settings {
        start: if settings.start == Start::Delayed { Start::Auto } else { settings.start },
        dependencies: settings.dependencies.clone(),
        account: settings.account.clone(),
        load_order_group: settings.load_order_group.clone(),
        parameters: settings.parameters.iter().map(|one| Parameter { value: None, ..*one }).collect(),
        ..plain
    }
}

fn edit(service: &Service, wanted: &Wanted) -> Result<(), ManagerError> {
    let before = settings(service, wanted)?;
    let password = wanted.password.as_ref().map(|password| password.0.as_str());
    let granted = grant(wanted)?;
    let given = registry::parameter(wanted.name.as_str(), LOGON).map_err(refused("reading the registry"))?;
    let is_given = if password.is_some() { Password::Given } else { Password::None };
    let mut changes = changes::of(&before, &wanted.settings, is_given);
    // What is noted has to be noted before the account changes, after which nothing may fail.
    let account = changes.pop_if(|change| *change == Change::Account);
    let change = |change: Change| service.change(change, &before, &wanted.settings, password);
    let changed = changes.into_iter().try_for_each(change).and_then(|()| note(wanted, granted));
    if let Err(error) = changed.and_then(|()| account.map_or(Ok(()), change)) {
        let mut undone = undo_edit(service, &before, wanted);
        undone.extend([restore_note(wanted, given.as_deref(), granted), undo_grant(wanted, granted)]);
        return Err(take_back(refused("ChangeServiceConfigW")(error), undone));
    }
    match given {
        Some(account) if !logon::is_same(&account, &wanted.settings.account) => {
            revoke(&account)?;
            forget_note(wanted, granted)
        }
        Some(_) | None => Ok(()),
    }
}

/// Takes back everything but the account, which is as it was.
fn undo_edit(service: &Service, before: &Settings, wanted: &Wanted) -> Vec<Result<(), String>> {
    let changes = changes::without_account(before, &wanted.settings);
    let undo = |change: Change| {
        let undone = service.change(change, &wanted.settings, before, None);
        undone.map_err(|error| format!("the service's settings ({change:?}): {error}"))
    };
    changes.into_iter().map(undo).collect()
}

/// It is gone when this returns: a name that is still taken would make the next installation fail.
fn delete(name: &ServiceName) -> Result<(), ManagerError> {
    let manager = Manager::connect(Purpose::Use).map_err(refused("OpenSCManagerW"))?;
    let Some(service) = manager.open(name.as_str(), Rights::All).map_err(refused("OpenServiceW"))? else {
        return Ok(());
    };
    hold_ours(name)?;
    let given = registry::parameter(name.as_str(), LOGON).map_err(refused("reading the registry"))?;
    match service.delete() {
        Err(error) if error.raw_os_error() == Some(DELETED_SOON) => {}
        deleted => deleted.map_err(refused("DeleteService"))?,
    }
    drop(service);
    let end = Instant::now() + GONE_WITHIN;
    loop {
        match manager.open(name.as_str(), Rights::Look) {
            Ok(None) => break,
            Err(error) if error.raw_os_error() != Some(DELETED_SOON) => return Err(refused("OpenServiceW")(error)),
            Ok(Some(_)) | Err(_) if Instant::now() >= end => return Err(failed("DeleteService", MARKED)),
            Ok(Some(_)) | Err(_) => std::thread::sleep(LOOK_AGAIN),
        }
    }
    given.map_or(Ok(()), |account| revoke(&account))
}

fn add_source(name: &ServiceName) -> Result<(), ManagerError> {
    if messages_of(name)?.is_some() {
        return Err(foreign(&event_log::path_of(name.as_str())));
    }
    event_log::register(name.as_str(), MESSAGES).map_err(refused(format!("registering the source of events {name}")))
}

/// That a service was made by us.
pub(in super::super) fn hold_ours(name: &ServiceName) -> Result<(), ManagerError> {
    let made_by = registry::parameter(name.as_str(), MADE_BY).map_err(refused("reading the registry"))?;
    if made_by.as_deref() == Some(US) { Ok(()) } else { Err(foreign(&registry::path_of(name.as_str()))) }
}

fn foreign(key: &str) -> ManagerError {
    ManagerError::Foreign { path: PathBuf::from(format!(r"HKLM\{key}")) }
}

/// Gives the account the right without which the service could not be started.
fn grant(wanted: &Wanted) -> Result<Granted, ManagerError> {
    let Some(account) = &wanted.logon else { return Ok(Granted::Before) };
    logon::grant(account).map_err(refused(format!("giving {account} the right to be logged on as a service")))
}

fn note(wanted: &Wanted, granted: Granted) -> io::Result<()> {
    match granted {
        Granted::Now => {
            let given = Parameter { name: LOGON, value: wanted.logon.clone() };
            registry::set_parameter(wanted.name.as_str(), &given)
        }
        Granted::Before => Ok(()),
    }
}

/// The right of the account before is not this service's to take any more.
fn forget_note(wanted: &Wanted, granted: Granted) -> Result<(), ManagerError> {
    match granted {
        // What is noted is the account's that it runs as now.
        Granted::Now => Ok(()),
        Granted::Before => {
            let none = Parameter { name: LOGON, value: None };
            registry::set_parameter(wanted.name.as_str(), &none).map_err(refused("writing the registry"))
        }
    }
}

/// Notes again whose right was given for this service before.
fn restore_note(wanted: &Wanted, given: Option<&str>, granted: Granted) -> Result<(), String> {
    match granted {
        Granted::Now => {
            let before = Parameter { name: LOGON, value: given.map(str::to_owned) };
            let restored = registry::set_parameter(wanted.name.as_str(), &before);
            restored.map_err(|error| format!("the note of whose right was given: {error}"))
        }
        Granted::Before => Ok(()),
    }
}

fn undo_grant(wanted: &Wanted, granted: Granted) -> Result<(), String> {
    match (&wanted.logon, granted) {
        (Some(account), Granted::Now) => {
            logon::revoke(account).map_err(|error| format!("{account} may still be logged on as a service: {error}"))
        }
        (Some(_) | None, Granted::Before) | (None, Granted::Now) => Ok(()),
    }
}

/// Takes the right from an account, unless another service runs as it.
fn revoke(account: &str) -> Result<(), ManagerError> {
    let call = || format!("taking the right to be logged on as a service from {account}");
    let others = registry::services_of(account).map_err(refused(call()))?;
    if others.is_empty() { logon::revoke(account).map_err(refused(call())) } else { Ok(()) }
}

fn take_back(failed: ManagerError, undone: Vec<Result<(), String>>) -> ManagerError {
    let left: Vec<String> = undone.into_iter().filter_map(Result::err).collect();
    if left.is_empty() { failed } else { ManagerError::LeftBehind { failed: Box::new(failed), left } }
}
