//! What the fuzz targets have in common.
//!
//! - [`machine`]: a machine made of facts, for definitions to be checked against.
//! - [`loading`]: loading a definition, and what must hold of whatever comes of it.
//! - [`notify`]: the guard's reader of sd_notify datagrams.
//! - [`shape`]: definitions made from the schema, right but for a few values.

pub mod loading;
pub mod machine;
pub mod shape;

// Compiled from its own file: the guard's many dependencies take longer to build with a sanitizer than all targets together.
#[path = "../../crates/guard/src/notify.rs"]
pub mod notify;

mod output;
mod shown;
