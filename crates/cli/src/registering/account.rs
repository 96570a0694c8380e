//! Whether there is the account that a service is to run as.

use menshen::service::registration::Account;
use menshen::service::{ManagerError, ManagerKind, ServiceManager, managers};
use menshen_plan::Facts;

use crate::failure::{Exit, Failure};

/// Refuses an account that the manager cannot mean, and, where the manager is one of this machine's system, one that this machine
/// does not have.
///
/// # Errors
/// With the account's name.
pub(crate) fn hold(account: &Account, manager: &dyn ServiceManager, facts: &dyn Facts) -> Result<(), Failure> {
    let Account::User { name, .. } = account else { return Ok(()) };
    let kind = manager.kind();
    if kind != ManagerKind::Scm && is_of_windows(name) {
        let message = format!("{kind} cannot run anything as '{name}': that is an account of Windows");
        return Err(Failure::new(Exit::Usage, message).help("name a user of the machine"));
    }
    let is_elsewhere = matches!(managers::of(kind, manager.scope()), Err(ManagerError::Elsewhere { .. }));
    if is_elsewhere || facts.user(name).is_some() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("this machine has no user '{name}'"))
        .help("name one that it has; one that does not exist could never be switched to"))
}

/// Whether no system but Windows has accounts of such a name: domains, and what its own manager has.
fn is_of_windows(name: &str) -> bool {
    const OWN: [&str; 3] = ["localsystem", "localservice", "networkservice"];
    name.contains('\\') || OWN.contains(&name.to_ascii_lowercase().as_str())
}
