//! Text in, a valid [`Plan`] or diagnostics with spans out.
//!
//! This crate is pure: it touches no file, environment, network, thread, clock or randomness. What it must know of the
//! machine (does this program exist, is there such a user) it asks of the caller through [`Facts`].
//!
//! The road of a definition: [`load`] takes the layers of text, [`parse`](mod@parse) reads each into a tree of
//! spanned [`value`]s, `layers` merges them, [`placeholder`] expands `${NAME:default}`, `decode` turns the tree into the
//! typed [`definition`], `build` resolves that into a [`Plan`], and [`check`] runs the rules.

pub mod check;
pub mod command_line;
pub mod config;
pub mod count;
pub mod definition;
pub mod diagnostic;
pub mod diff;
pub mod duration;
pub mod facts;
pub mod fingerprint;
pub mod import;
pub mod order;
pub mod parse;
pub mod placeholder;
pub mod plan;
pub mod schema;
pub mod signal;
pub mod size;
pub mod source;
pub mod value;

mod build;
mod decode;
mod env_file;
mod expand;
mod layers;
mod load;
mod ports;
mod secret;

pub use diagnostic::{Code, Diagnostic, Severity};
pub use diff::{Change, Cost, ServiceDiff, diff};
pub use facts::Facts;
pub use fingerprint::Fingerprint;
pub use load::{Input, Layer, Loaded, load};
pub use plan::{Plan, ServiceName, ServicePlan};
pub use secret::{MASK, Secret, looks_secret};
pub use source::{Source, SourceId, Sources, Span};
