//! The control contract: what goes over a guard's control socket.
//!
//! - [`types`]: the wire types.
//! - [`problem`]: errors, each with a stable code.
//! - [`endpoint`]: every endpoint, once: the server routes by this table, the client calls by it, and
//!   [`openapi`] writes it down.
//! - [`query`]: query strings, as the client writes and the server reads them.
//! - [`page`]: a page of services, written so that it can be passed on without being read.
//! - [`client`]: the Rust client.

pub mod client;
pub mod endpoint;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod query;
pub mod time;
pub mod types;

mod percent;

pub use client::{Client, ClientError};
pub use endpoint::{Endpoint, Role};
pub use problem::{Problem, ProblemCode};
pub use time::Time;
