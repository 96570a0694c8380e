//! Whether there is the account that a service is to run as.

use menshen::service::registration::Account;
use menshen::service::{ManagerError, ManagerKind, ServiceManager, managers};
use menshen_plan::Facts;
use menshen_plan::facts::Look;

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
    if is_elsewhere(manager) || facts.user(name).is_some() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("this machine has no user '{name}'"))
        .help("name one that it has; one that does not exist could never be switched to"))
}

/// Refuses an account under which a guard could keep nothing.
///
/// # Errors
/// With the folder that is not there.
pub(crate) fn hold_home(account: &Account, manager: &dyn ServiceManager, facts: &dyn Facts) -> Result<(), Failure> {
    let Account::User { name, .. } = account else { return Ok(()) };
    // A profile of Windows is made at the first logon.
    if manager.kind() == ManagerKind::Scm || is_elsewhere(manager) {
        return Ok(());
    }
    let homeless = facts.user(name).filter(|user| matches!(facts.look(&user.home), Look::Missing | Look::File(_)));
    let Some(user) = homeless else { return Ok(()) };
    let home = user.home.display();
    let message = format!(
        "'{name}' has no home ({home} is no folder), where a guard keeps its socket, its logs and what it remembers"
    );
    Err(Failure::new(Exit::Failed, message).help(format!(
        "give it one; or let root have the guard, and give what it guards the account: user = \"{name}\" in the definition"
    )))
}

/// Whether the manager is one of another machine's system, of which only what it would be told is asked.
fn is_elsewhere(manager: &dyn ServiceManager) -> bool {
    matches!(managers::of(manager.kind(), manager.scope()), Err(ManagerError::Elsewhere { .. }))
}

/// Whether no system but Windows has accounts of such a name: domains, and what its own manager has.
fn is_of_windows(name: &str) -> bool {
    const OWN: [&str; 3] = ["localsystem", "localservice", "networkservice"];
    name.contains('\\') || OWN.contains(&name.to_ascii_lowercase().as_str())
}
