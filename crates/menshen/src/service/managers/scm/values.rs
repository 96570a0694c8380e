//! Values that Windows has no way to take.

use std::time::Duration;

use menshen_scm::command_line;
use menshen_scm::triggers::Guid;

use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::registration::{Account, Dependency, Protocol, Registration, Trigger};

/// Windows counts waits in milliseconds, with 32 bits.
const WAIT_MAX: Duration = Duration::from_millis(u32::MAX as u64);

const NUL: &str = "a text with NUL in it cannot be passed to Windows";
const RESOURCE: &str = "Windows takes a text that begins with '@' for the number of one in a file";
const PROTOCOL: &str = "the manager runs only programs that answer it (protocol = native); let a guard run any other";
const PROGRAM: &str = r"the program is named by its whole path, such as C:\web\web.exe";
const VARIABLE_PATH: &str = "Windows takes what is between two '%' of the program's path for a variable";
const DIRECTORY: &str = r"it is named by its whole path, such as C:\web";
const VARIABLE: &str = "a variable's name cannot be empty or have '=' in it";
const PASSWORD: &str =
    "Windows logs a user on only with the password; give it, or use an account that has none, such as NT SERVICE";
const MANAGED: &str = r"a group managed service account is named like DOMAIN\name$";
const DEPENDENCY: &str = "that is no name of a service or group";
const LIST: &str = "an empty text cannot be in a list";
const DEVICE: &str = "a class of devices is named by its GUID, such as 4d36e972-e325-11ce-bfc1-08002be10318";
const AUDIT: &str = "who is recorded (S:) can be set only by the system's own tools; say who may do what (D:)";
const WAIT: &str = "Windows counts up to 49 days";

/// Everything of a registration that Windows has no way to take.
pub(super) fn refused(registration: &Registration) -> Vec<Unsupported> {
    let mut refused = Vec::new();
    let mut hold = |option, is_right: bool, why| {
        if !is_right {
            refused.push(Unsupported { option, why });
        }
    };
    hold_program(registration, &mut hold);
    hold_texts(registration, &mut hold);
    hold_account(registration, &mut hold);
    hold_windows(registration, &mut hold);
    hold_waits(registration, &mut hold);
    refused
}

type Hold<'a> = &'a mut dyn FnMut(RegistrationOption, bool, &'static str);

fn hold_program(registration: &Registration, hold: Hold<'_>) {
    use RegistrationOption as O;
    let program = registration.program.to_str();
    hold(O::ProtocolNative, registration.protocol == Protocol::Native, PROTOCOL);
    hold(O::ProtocolNative, program.is_some_and(|path| is_whole(path) && !path.contains('"')), PROGRAM);
    hold(O::ProtocolNative, !program.is_some_and(command_line::has_variable), VARIABLE_PATH);
    hold(O::ProtocolNative, registration.arguments.iter().all(|argument| !argument.contains('\0')), NUL);
    let directory = registration.directory.as_deref();
    hold(O::Directory, directory.is_none_or(|path| path.to_str().is_some_and(is_whole)), DIRECTORY);
}

fn hold_texts(registration: &Registration, hold: Hold<'_>) {
    use RegistrationOption as O;
    let windows = &registration.windows;
    for (option, text) in [(O::DisplayName, &registration.display_name), (O::Description, &registration.description)] {
        let text = text.as_deref().unwrap_or_default();
        hold(option, !text.contains('\0'), NUL);
        hold(option, !text.starts_with('@'), RESOURCE);
    }
    for (name, value) in &registration.environment {
        hold(O::Environment, !name.is_empty() && !name.contains('='), VARIABLE);
        hold(O::Environment, !name.contains('\0') && !value.contains('\0'), NUL);
    }
    for dependency in &registration.depends_on {
        let is_name = |name: &str| !name.is_empty() && !name.contains(['\0', '/', '\\']) && !name.starts_with('+');
        match dependency {
            Dependency::Service(name) => hold(O::DependsOnService, is_name(name), DEPENDENCY),
            Dependency::Group(name) => hold(O::DependsOnGroup, is_name(name), DEPENDENCY),
            // It is refused whatever it is.
            Dependency::Network => {}
        }
    }
    let group = windows.load_order_group.as_deref();
    hold(O::WindowsLoadOrderGroup, group.is_none_or(|group| !group.is_empty() && !group.contains('\0')), DEPENDENCY);
}

fn hold_account(registration: &Registration, hold: Hold<'_>) {
    use RegistrationOption as O;
    match &registration.account {
        Account::User { name, group: _, password } => {
            hold(O::AccountUser, !name.is_empty() && !name.contains('\0'), NUL);
            hold(O::AccountPassword, password.is_some(), PASSWORD);
            hold(O::AccountPassword, password.as_ref().is_none_or(|password| !password.0.contains('\0')), NUL);
        }
        Account::GroupManaged(name) => {
            let is_managed = name.contains('\\') && name.ends_with('$') && !name.contains('\0');
            hold(O::AccountGroupManaged, is_managed, MANAGED);
        }
        Account::Manager | Account::LocalService | Account::NetworkService | Account::Virtual => {}
    }
}

fn hold_windows(registration: &Registration, hold: Hold<'_>) {
    use RegistrationOption as O;
    let windows = &registration.windows;
    let privileges = &windows.required_privileges;
    let is_in_list = |text: &String| !text.is_empty() && !text.contains('\0');
    hold(O::WindowsRequiredPrivileges, privileges.iter().all(is_in_list), LIST);
    let security = windows.security_descriptor.as_deref().unwrap_or_default();
    hold(O::WindowsSecurityDescriptor, !security.contains('\0'), NUL);
    hold(O::WindowsSecurityDescriptor, !security.contains("S:"), AUDIT);
    let is_known = |trigger: &Trigger| match trigger {
        Trigger::NetworkUp | Trigger::DomainJoin => true,
        Trigger::DeviceArrival(class) => Guid::parse(class).is_some(),
    };
    hold(O::WindowsTriggers, windows.triggers.iter().all(is_known), DEVICE);
}

fn hold_waits(registration: &Registration, hold: Hold<'_>) {
    use RegistrationOption as O;
    let restart = &registration.restart;
    let fits = |time: Option<Duration>| time.is_none_or(|time| time <= WAIT_MAX);
    hold(O::RestartDelay, fits(Some(restart.delay)), WAIT);
    hold(O::RestartBackoff, fits(restart.delay_max), WAIT);
    hold(O::RestartReset, fits(restart.reset_after), WAIT);
    hold(O::WindowsPreshutdownTimeout, fits(registration.windows.preshutdown_timeout), WAIT);
    hold(O::StopTimeout, fits(registration.stop_timeout), WAIT);
}

/// Whether a path names a place whatever the current folder and drive.
fn is_whole(path: &str) -> bool {
    let bytes = path.as_bytes();
    let has_drive = matches!(bytes, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    (has_drive || path.starts_with(r"\\")) && !path.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::registration::{Reload, Secret};

    fn registration() -> Registration {
        let mut registration = Registration::new("web".parse().unwrap(), r"C:\web\web.exe");
        registration.protocol = Protocol::Native;
        registration.reload = Some(Reload::Native);
        registration
    }

    fn why(change: impl FnOnce(&mut Registration)) -> Vec<(RegistrationOption, &'static str)> {
        let mut registration = registration();
        change(&mut registration);
        refused(&registration).into_iter().map(|unsupported| (unsupported.option, unsupported.why)).collect()
    }

    fn user(password: Option<&str>) -> Account {
        let password = password.map(|password| Secret(password.to_owned()));
        Account::User { name: "me".to_owned(), group: None, password }
    }

    #[test]
    fn what_windows_can_take_is_not_refused() {
        assert_eq!(why(|_| {}), []);
        assert_eq!(why(|registration| registration.account = user(Some("secret"))), []);
        assert_eq!(why(|registration| registration.program = r"\\server\share\100%\web.exe".into()), []);
        assert_eq!(why(|registration| registration.account = Account::GroupManaged(r"CORP\web$".to_owned())), []);
    }

    #[test]
    fn what_windows_has_no_way_to_take_is_refused_by_name() {
        use RegistrationOption as O;
        assert_eq!(why(|registration| registration.protocol = Protocol::None), [(O::ProtocolNative, PROTOCOL)]);
        assert_eq!(why(|registration| registration.program = "web.exe".into()), [(O::ProtocolNative, PROGRAM)]);
        assert_eq!(
            why(|registration| registration.program = r"C:\%a%\b.exe".into()),
            [(O::ProtocolNative, VARIABLE_PATH)]
        );
        assert_eq!(why(|registration| registration.arguments = vec!["a\0b".to_owned()]), [(O::ProtocolNative, NUL)]);
        assert_eq!(why(|registration| registration.directory = Some("web".into())), [(O::Directory, DIRECTORY)]);
        assert_eq!(
            why(|registration| registration.description = Some("@a,-1".to_owned())),
            [(O::Description, RESOURCE)]
        );
        assert_eq!(
            why(|registration| registration.environment = [("A=B".to_owned(), String::new())].into()),
            [(O::Environment, VARIABLE)]
        );
        assert_eq!(why(|registration| registration.account = user(None)), [(O::AccountPassword, PASSWORD)]);
        assert_eq!(
            why(|registration| registration.account = Account::GroupManaged("web".to_owned())),
            [(O::AccountGroupManaged, MANAGED)]
        );
        assert_eq!(
            why(|registration| registration.depends_on = vec![Dependency::Group("+a".to_owned())]),
            [(O::DependsOnGroup, DEPENDENCY)]
        );
        let windows = |change: fn(&mut crate::service::registration::Windows)| {
            why(|registration| change(&mut registration.windows))
        };
        assert_eq!(
            windows(|windows| windows.triggers = vec![Trigger::DeviceArrival("usb".to_owned())]),
            [(O::WindowsTriggers, DEVICE)]
        );
        assert_eq!(
            windows(|windows| windows.security_descriptor = Some("D:S:".to_owned())),
            [(O::WindowsSecurityDescriptor, AUDIT)]
        );
        assert_eq!(
            windows(|windows| windows.required_privileges = vec![String::new()]),
            [(O::WindowsRequiredPrivileges, LIST)]
        );
        assert_eq!(
            windows(|windows| windows.preshutdown_timeout = Some(Duration::from_secs(1 << 32))),
            [(O::WindowsPreshutdownTimeout, WAIT)]
        );
    }
}
