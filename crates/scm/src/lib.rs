//! The service control manager of Windows.
//!
//! - [`settings`]: what it keeps of a service. [`changes`]: what differs between two, in the order in which it is changed.
//!   [`account`]: the names of whom a service runs as. [`command_line`]: how a program and its arguments are written into it.
//!   [`triggers`]: what else starts a service. [`event`]: events of the log. These are data, and the same on every operating
//!   system.
//! - `manager`, `service`: asking it. `registry`: what it keeps of services, as they and others read it. `logon`: the right to
//!   be logged on as a service. `process`: waiting for a service's process. `event_log`: the log of events.
//! - `dispatch`: being a service.
//! - `levels`, `security`, `text`: what these need.
//!
//! This, `menshen-activation` and `menshen-os` are the only crates with `unsafe` in them.

pub mod account;
pub mod changes;
pub mod command_line;
pub mod event;
pub mod settings;
pub mod triggers;

#[cfg(windows)]
#[path = "windows/dispatch.rs"]
pub mod dispatch;
#[cfg(windows)]
#[path = "windows/event_log.rs"]
pub mod event_log;
#[cfg(windows)]
#[path = "windows/levels.rs"]
mod levels;
#[cfg(windows)]
#[path = "windows/logon.rs"]
pub mod logon;
#[cfg(windows)]
#[path = "windows/manager.rs"]
pub mod manager;
#[cfg(windows)]
#[path = "windows/process.rs"]
pub mod process;
#[cfg(windows)]
#[path = "windows/registry.rs"]
pub mod registry;
#[cfg(windows)]
#[path = "windows/security.rs"]
mod security;
#[cfg(windows)]
#[path = "windows/service.rs"]
pub mod service;
#[cfg(windows)]
#[path = "windows/text.rs"]
mod text;
