//! From a definition to what a service manager is told.
//!
//! - [`guarded`]: the manager runs a guard, which runs the definition. [`native`]: the manager runs the program itself, where the
//!   definition needs nothing that only a guard does.
//! - [`record`]: what was installed and how, so that it can be edited, compared and uninstalled.
//! - [`manager`]: which manager is asked. [`password`]: where an account's password comes from.

pub(crate) mod guarded;
pub(crate) mod manager;
pub(crate) mod native;
pub(crate) mod password;
pub(crate) mod record;
