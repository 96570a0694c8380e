//! Why some options are refused, where several managers say the same.

use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::registration::{Account, Dependency, Registration, Reload};

/// What only Windows has.
pub(super) const WINDOWS: &str = "only Windows has it; leave it out here";
/// Accounts that only Windows has.
pub(super) const WINDOWS_ACCOUNT: &str = "only Windows has it; name a user of this machine instead";
/// Passwords.
pub(super) const PASSWORD: &str = "no password is needed to run as another user here; leave it out";
/// Load order groups.
pub(super) const GROUP: &str = "only Windows has groups of services; name the services themselves";
/// Delayed starts.
pub(super) const DELAYED: &str = "it starts everything at boot in one go; start it at once, or by hand (manual)";
/// Time-outs of starts that are not waited for.
pub(super) const START_TIMEOUT: &str =
    "a service has started as soon as it has been executed, so there is nothing to wait for; leave it out";
/// Programs that say when they are ready.
pub(super) const PROTOCOL: &str =
    "it cannot be told that a service is ready; use protocol = none, or let the guard probe it";
/// Reloads that the service ends itself.
pub(super) const RELOAD_NATIVE: &str = "it cannot be told when a reload is over; name a signal or a command";
/// Watchdogs.
pub(super) const WATCHDOG: &str = "it has no watchdog; let the guard probe the program (liveness)";
/// Waits that grow.
pub(super) const BACKOFF: &str = "it knows one delay only; the guard's grows";
/// Counts of failures.
pub(super) const RESET: &str = "it does not count failures, so there is nothing to forget; leave it out";
/// Sandboxes.
pub(super) const HARDENING: &str = "it takes nothing away from services; run it as a user with few rights instead";
/// Sockets.
pub(super) const SOCKETS: &str = "it opens no sockets for services; let the program open them itself";
/// Services that never run.
pub(super) const DISABLED: &str = "what is not started at boot can still be started by hand; use start = manual";

const NUL: &str = "a text with NUL in it cannot be passed to a program";
const VARIABLE: &str = "a variable's name cannot be empty, begin with '-' or have '=' in it";
const SIGNAL: &str = "a signal is named like SIGHUP";
const DIRECTORY: &str = "a directory is an absolute path";
const ACCOUNT: &str =
    "the name of a user or group cannot be empty, begin with '-', or have ':' or a control character in it";
/// What is read line by line.
pub(super) const LINE_END: &str = "a line end in it cannot be written down for this manager";
const NO_COMMAND: &str = "a command begins with the absolute path of a program";

/// The values that a script or a file cannot have.
pub(super) fn values(registration: &Registration) -> Vec<Unsupported> {
    use RegistrationOption as O;
    let mut refused = Vec::new();
    let mut hold = |option: O, text: &str| {
        if text.contains('\0') {
            refused.push(Unsupported { option, why: NUL });
        }
    };
    for (option, text) in [(O::DisplayName, &registration.display_name), (O::Description, &registration.description)] {
        hold(option, text.as_deref().unwrap_or_default());
    }
    for (name, value) in &registration.environment {
        hold(O::Environment, name);
        hold(O::Environment, value);
    }
    hold(O::Directory, &registration.directory.as_deref().map(|path| path.to_string_lossy()).unwrap_or_default());
    refused.extend(forms(registration));
    refused
}

/// What must have a form.
fn forms(registration: &Registration) -> Vec<Unsupported> {
    use RegistrationOption as O;
    let is_signal = |text: &str| {
        text.strip_prefix("SIG")
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !rest.is_empty())
    };
    let is_command = |words: &[String]| words.first().is_some_and(|program| program.starts_with('/'));
    let is_variable = |name: &str| !name.is_empty() && !name.starts_with('-') && !name.contains('=');
    let is_account =
        |name: &str| !name.is_empty() && !name.starts_with('-') && !name.contains(|c: char| c == ':' || c.is_control());
    let (user, group) = match &registration.account {
        Account::User { name, group, password: _ } => (Some(name), group.as_ref()),
        Account::Manager
        | Account::LocalService
        | Account::NetworkService
        | Account::Virtual
        | Account::GroupManaged(_) => (None, None),
    };
    let is_service = |dependency: &Dependency| match dependency {
        Dependency::Service(name) => name.parse::<crate::service::name::ServiceName>().is_ok(),
        Dependency::Group(_) | Dependency::Network => true,
    };
    let reload = registration.reload.as_ref();
    let found = [
        (O::Environment, registration.environment.keys().all(|name| is_variable(name)), VARIABLE),
        (O::Directory, registration.directory.as_ref().is_none_or(|path| path.has_root()), DIRECTORY),
        (O::AccountUser, user.is_none_or(|name| is_account(name)), ACCOUNT),
        (O::AccountGroup, group.is_none_or(|name| is_account(name)), ACCOUNT),
        (O::StopSignal, registration.stop_signal.as_deref().is_none_or(is_signal), SIGNAL),
        (O::StopCommand, registration.stop_command.as_deref().is_none_or(is_command), NO_COMMAND),
        (O::ReloadSignal, !matches!(reload, Some(Reload::Signal(name)) if !is_signal(name)), SIGNAL),
        (O::ReloadCommand, !matches!(reload, Some(Reload::Command(words)) if !is_command(words)), NO_COMMAND),
        (O::DependsOnService, registration.depends_on.iter().all(is_service), "that is no name of a service"),
    ];
    let wrong = found.into_iter().filter(|(_, is_right, _)| !is_right);
    wrong.map(|(option, _, why)| Unsupported { option, why }).collect()
}
