//! The password of an account of Windows. It is never an argument, which everybody on the machine could read.

use menshen::service::registration::Secret;

/// The variable it is taken from.
pub(super) const VARIABLE: &str = "MENSHEN_ACCOUNT_PASSWORD";

/// What the environment says it is.
pub(crate) fn of_environment() -> Option<Secret> {
    std::env::var(VARIABLE).ok().filter(|password| !password.is_empty()).map(Secret)
}
