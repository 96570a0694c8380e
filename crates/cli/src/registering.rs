//! From a definition to what a service manager is told.
//!
//! - [`guarded`]: the manager runs a guard, which runs the definition. [`native`]: the manager runs the program itself, where the
//!   definition needs nothing that only a guard does.
//! - [`needed`]: what a service that the manager runs itself needs, and what needs it.
//! - [`record`]: what was installed and how, so that it can be edited, compared and uninstalled.
//! - [`written`]: the definition that is made of a command.
//! - [`folders`]: what goes with the last of it. [`once`]: that nothing is run twice. [`account`]: that there is whom it runs as.
//! - [`manager`]: which manager is asked. [`password`]: where an account's password comes from. [`refusal`]: what somebody may
//!   not or cannot do. [`running`]: by which service a manager runs a guard.

pub(crate) mod account;
pub(crate) mod folders;
pub(crate) mod guarded;
pub(crate) mod manager;
pub(crate) mod native;
pub(crate) mod needed;
pub(crate) mod once;
pub(crate) mod password;
pub(crate) mod record;
pub(crate) mod refusal;
pub(crate) mod running;
pub(crate) mod written;
