//! Asking the service control manager.
//!
//! `register` makes, changes and deletes services. `act` tells them something and waits for it. `refusal` says why Windows did
//! not do something.

#[path = "windows/act.rs"]
mod act;
#[path = "windows/refusal.rs"]
mod refusal;
#[path = "windows/register.rs"]
mod register;
#[path = "windows/state.rs"]
mod state;

pub(super) use self::act::act;
pub(super) use self::register::{hold_ours, installed, knows_failure_flag, messages_of, tell};
pub(super) use self::state::status;
use crate::service::manager::ManagerError;

/// Whether this is Windows.
pub(super) const fn there() -> Result<(), ManagerError> {
    Ok(())
}
