//! Makes a program a first-class service on Linux and Windows, from one code base.
//!
//! - [`service`]: being a service, whoever started it; and registering one with the machine's service manager.

#[cfg(feature = "service")]
pub mod service;
