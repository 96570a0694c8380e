//! What the registry has of services, which their manager has no functions for.

use std::io;

use windows_registry::{Key, LOCAL_MACHINE};

use crate::logon;
use crate::settings::Parameter;

const SERVICES: &str = r"SYSTEM\CurrentControlSet\Services";
const ENVIRONMENT: &str = "Environment";
const DEPENDENCIES: &str = "DependOnService";
const GROUPS: &str = "DependOnGroup";
const PARAMETERS: &str = "Parameters";
const ACCOUNT: &str = "ObjectName";
/// Set by the service control manager.
const DELETE_FLAG: &str = "DeleteFlag";

/// The key of a service.
#[must_use]
pub fn path_of(service: &str) -> String {
    format!(r"{SERVICES}\{service}")
}

/// What a service's key `Parameters` has by a name.
///
/// # Errors
/// When it cannot be read.
pub fn parameter(service: &str, name: &str) -> io::Result<Option<String>> {
    let key = found(LOCAL_MACHINE.open(format!(r"{}\{PARAMETERS}", path_of(service))))?;
    key.map_or(Ok(None), |key| found(key.get_string(name)))
}

/// Whether Windows is to forget a service once nobody has it open any more.
///
/// # Errors
/// When it cannot be read.
pub fn is_marked_for_deletion(service: &str) -> io::Result<bool> {
    let key = found(LOCAL_MACHINE.open(path_of(service)))?;
    let flag = key.map_or(Ok(None), |key| found(key.get_u32(DELETE_FLAG)))?;
    Ok(flag.is_some_and(|flag| flag != 0))
}

/// Variables of a service's environment, as `NAME=value`.
pub(crate) fn environment(service: &str) -> io::Result<Vec<String>> {
    list(service, ENVIRONMENT)
}

/// What a service depends on: services, and groups with a `+` before their names.
pub(crate) fn dependencies(service: &str) -> io::Result<Vec<String>> {
    let groups = list(service, GROUPS)?.into_iter().map(|group| format!("+{group}"));
    Ok(list(service, DEPENDENCIES)?.into_iter().chain(groups).collect())
}

fn list(service: &str, name: &str) -> io::Result<Vec<String>> {
    let key = found(LOCAL_MACHINE.open(path_of(service)))?;
    let texts = key.map_or(Ok(None), |key| found(key.get_multi_string(name)))?.unwrap_or_default();
    // An empty text is the end of the list.
    Ok(texts.into_iter().take_while(|text| !text.is_empty()).collect())
}

/// Gives this process the variables of a service's environment. Windows has given them to it already; Wine does not.
///
/// # Errors
/// When they cannot be read.
pub fn take_environment(service: &str) -> io::Result<()> {
    for variable in environment(service)? {
        if let Some((name, value)) = variable.split_once('=') {
            // SAFETY: Windows guards the environment of a process itself, whoever reads it meanwhile.
            unsafe { std::env::set_var(name, value) };
        }
    }
    Ok(())
}

/// Gives a service variables.
pub(crate) fn set_environment(service: &str, variables: &[String]) -> io::Result<()> {
    let key = opened(&path_of(service))?;
    if variables.is_empty() {
        return found(key.remove_value(ENVIRONMENT)).map(drop);
    }
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    key.set_multi_string(ENVIRONMENT, &variables).map_err(told)
}

/// Gives a service what it reads itself.
///
/// # Errors
/// When whoever asks may not do this.
pub fn set_parameter(service: &str, parameter: &Parameter) -> io::Result<()> {
    let key = opened(&format!(r"{}\{PARAMETERS}", path_of(service)))?;
    match &parameter.value {
        Some(value) => key.set_string(parameter.name, value).map_err(told),
        None => found(key.remove_value(parameter.name)).map(drop),
    }
}

/// The services that run as an account.
///
/// # Errors
/// When it cannot be read.
pub fn services_of(account: &str) -> io::Result<Vec<String>> {
    let services = LOCAL_MACHINE.open(SERVICES).map_err(told)?;
    let names = services.keys().map_err(told)?;
    let runs_as_it = |name: &String| {
        let key = services.open(name).ok();
        key.and_then(|key| key.get_string(ACCOUNT).ok()).is_some_and(|found| logon::is_same(&found, account))
    };
    Ok(names.filter(runs_as_it).collect())
}

/// A key to write to, made if it is not there.
pub(crate) fn opened(path: &str) -> io::Result<Key> {
    LOCAL_MACHINE.create(path).map_err(told)
}

/// `None` for what is not there.
pub(crate) fn found<T>(result: windows_registry::Result<T>) -> io::Result<Option<T>> {
    match result.map_err(told) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The registry's errors are Windows', in another form.
pub(crate) fn told(error: impl Into<io::Error>) -> io::Error {
    const FORM: u32 = 0xffff_0000;
    const OF_WINDOWS: u32 = 0x8007_0000;
    let error = error.into();
    match error.raw_os_error().map(i32::cast_unsigned) {
        Some(code) if code & FORM == OF_WINDOWS => io::Error::from_raw_os_error((code & !FORM).cast_signed()),
        Some(_) | None => error,
    }
}
