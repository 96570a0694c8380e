//! What systemd honours, and values that units have no way to write.

use std::time::Duration;

use super::{Version, quote};
use crate::service::manager::Scope;
use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::registration::{Account, Dependency, Listen, Protocol, Registration, Reload, RestartPolicy};

/// Whether systemd honours an option, in this scope and version.
pub(super) fn honours(option: RegistrationOption, scope: Scope, version: Version) -> Result<(), &'static str> {
    use RegistrationOption as O;
    let of_the_machine = |why| if scope == Scope::System { Ok(()) } else { Err(why) };
    let since = |first, why| if version >= first { Ok(()) } else { Err(why) };
    match option {
        O::DisplayName
        | O::Description
        | O::Directory
        | O::Environment
        | O::StartDelayed
        | O::StartManual
        | O::StartDisabled
        | O::DependsOnService
        | O::ProtocolNative
        | O::StartTimeout
        | O::StopTimeout
        | O::StopSignal
        | O::StopCommand
        | O::ReloadSignal
        | O::ReloadCommand
        | O::RestartAlways
        | O::RestartOnFailure
        | O::RestartNever
        | O::RestartDelay
        | O::Watchdog
        | O::ChildrenKept
        | O::OpenFiles
        | O::SocketTcp
        | O::SocketUdp
        | O::SocketLocal => Ok(()),
        O::AccountUser | O::AccountGroup => {
            of_the_machine("a user's systemd runs everything as that user; install it for the machine")
        }
        O::DependsOnNetwork => of_the_machine(
            "a user's systemd does not know of the network; let the program wait, or install it for the machine",
        ),
        O::HardeningStandard | O::HardeningStrict => {
            of_the_machine("a user's systemd may not take these things away; install it for the machine")
        }
        O::ReloadNative => since(Version::NOTIFY_RELOAD, "only systemd 253 and later wait for it; name a signal"),
        O::RestartBackoff => {
            since(Version::RESTART_STEPS, "only systemd 254 and later let the wait grow; the guard's does")
        }
        O::RestartReset => Err("it forgets failures only when it is asked to; the guard does by itself"),
        O::DependsOnGroup => Err(GROUP),
        O::AccountPassword => Err(PASSWORD),
        O::AccountLocalService | O::AccountNetworkService | O::AccountVirtual | O::AccountGroupManaged => {
            Err(WINDOWS_ACCOUNT)
        }
        O::WindowsSid
        | O::WindowsRequiredPrivileges
        | O::WindowsSecurityDescriptor
        | O::WindowsTriggers
        | O::WindowsPreshutdownTimeout
        | O::WindowsLoadOrderGroup
        | O::WindowsFailures => Err(WINDOWS),
    }
}

const WINDOWS: &str = "only Windows has it; leave it out here";
const WINDOWS_ACCOUNT: &str = "only Windows has it; name a user of this machine instead";
const PASSWORD: &str = "systemd needs no password to run a service as a user; leave it out";
const GROUP: &str = "only Windows has groups of services; name the services themselves";
const ONE_LINE: &str = "it has to be one line that neither begins nor ends with a blank";
const VARIABLE: &str = "a variable's name has letters, digits and '_' in it, and begins with no digit";
const VALUE: &str = "systemd takes no control characters in a variable but tabs and line ends";
const SIGNAL: &str = "it has to be a signal's name, such as SIGHUP";
const COMMAND: &str = "it has to begin with the absolute path of a program, without quotes, '$' and '\\'";
const UNIT: &str = "it has to be a unit's name: letters, digits and any of ':-_.\\@'";
const SOCKET: &str = "a socket's name has letters, digits, '-', '_' and '.' in it";
const PATH: &str = "it has to be an absolute path in one line";
const ZERO: &str = "systemd takes no time at all as forever";
const SAYS: &str =
    "a service can only say that it is well, or has read its configuration again, with protocol = native";
const GROWTH: &str = "steps need a delay_max above the delay, and both a restart";

/// The values of a registration that cannot be written.
pub(super) fn refused(registration: &Registration) -> Vec<Unsupported> {
    let all = texts(registration).into_iter().chain(commands(registration)).chain(times(registration));
    all.filter(|(_, is_right, _)| !is_right).map(|(option, _, why)| Unsupported { option, why }).collect()
}

type Held = (RegistrationOption, bool, &'static str);

fn texts(registration: &Registration) -> Vec<Held> {
    use RegistrationOption as O;
    let is_line = |text: &Option<String>| text.as_deref().is_none_or(quote::is_one_line);
    let is_path = |path: &std::path::Path| {
        let text = path.to_string_lossy();
        text.starts_with('/') && quote::is_one_line(&text)
    };
    let is_socket = |socket: &crate::service::registration::Socket| {
        !socket.name.is_empty()
            && socket.name.chars().all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character))
    };
    let is_unit = |dependency: &Dependency| match dependency {
        Dependency::Service(name) => {
            !name.is_empty() && name.chars().all(|one| one.is_ascii_alphanumeric() || ":-_.\\@".contains(one))
        }
        Dependency::Group(_) | Dependency::Network => true,
    };
    let local = |socket: &crate::service::registration::Socket| match &socket.listen {
        Listen::Local(path) => is_path(path),
        Listen::Tcp(_) | Listen::Udp(_) => true,
    };
    let (user, group) = match &registration.account {
        Account::User { name, group, password: _ } => (quote::is_one_line(name), is_line(group)),
        Account::Manager
        | Account::LocalService
        | Account::NetworkService
        | Account::Virtual
        | Account::GroupManaged(_) => (true, true),
    };
    let writable = &registration.hardening.writable;
    vec![
        (O::DisplayName, is_line(&registration.display_name), ONE_LINE),
        (O::Description, is_line(&registration.description), ONE_LINE),
        (O::Directory, registration.directory.as_deref().is_none_or(is_path), PATH),
        (O::Environment, registration.environment.keys().all(|name| is_variable(name)), VARIABLE),
        (O::Environment, registration.environment.values().all(|value| is_value(value)), VALUE),
        (O::AccountUser, user, ONE_LINE),
        (O::AccountGroup, group, ONE_LINE),
        (O::DependsOnService, registration.depends_on.iter().all(is_unit), UNIT),
        (O::SocketLocal, registration.sockets.iter().all(local), PATH),
        (O::SocketTcp, registration.sockets.iter().all(is_socket), SOCKET),
        (O::HardeningStandard, writable.iter().all(|path| is_path(path)), PATH),
    ]
}

fn commands(registration: &Registration) -> Vec<Held> {
    use RegistrationOption as O;
    let reload = registration.reload.as_ref();
    vec![
        (O::StopSignal, registration.stop_signal.as_deref().is_none_or(is_signal), SIGNAL),
        (O::StopCommand, registration.stop_command.as_deref().is_none_or(is_command), COMMAND),
        (O::ReloadSignal, !matches!(reload, Some(Reload::Signal(signal)) if !is_signal(signal)), SIGNAL),
        (O::ReloadCommand, !matches!(reload, Some(Reload::Command(words)) if !is_command(words)), COMMAND),
        (O::ReloadNative, reload != Some(&Reload::Native) || registration.protocol == Protocol::Native, SAYS),
        (O::Watchdog, registration.watchdog.is_none() || registration.protocol == Protocol::Native, SAYS),
    ]
}

fn times(registration: &Registration) -> Vec<Held> {
    use RegistrationOption as O;
    let restart = &registration.restart;
    let is_time = |time: Option<Duration>| time.is_none_or(|time| time.as_micros() > 0);
    let grows = match (restart.delay_max, restart.steps) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some(delay_max), steps) => {
            restart.policy != RestartPolicy::Never && delay_max > restart.delay && steps != Some(0)
        }
    };
    vec![
        (O::StartTimeout, is_time(registration.start_timeout), ZERO),
        (O::StopTimeout, is_time(registration.stop_timeout), ZERO),
        (O::Watchdog, is_time(registration.watchdog), ZERO),
        (O::RestartBackoff, grows, GROWTH),
    ]
}

fn is_variable(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}

fn is_value(value: &str) -> bool {
    value.chars().all(|character| !character.is_ascii_control() || "\t\n".contains(character))
}

fn is_signal(name: &str) -> bool {
    let name = name.strip_prefix("SIG").unwrap_or_default();
    !name.is_empty() && name.chars().all(|one| one.is_ascii_uppercase() || one.is_ascii_digit() || "+-".contains(one))
}

fn is_command(words: &[String]) -> bool {
    let is_path = |path: &String| {
        path.starts_with('/') && !path.contains(['"', '\'', '\\', '$']) && !path.contains(char::is_control)
    };
    words.first().is_some_and(is_path) && !words.iter().any(|word| word.contains('\0'))
}
