//! How the command shows findings, compiled from its own files: places that a renderer cannot show are found here.

#[path = "../../crates/cli/src/diagnostics/json.rs"]
pub(crate) mod json;
#[path = "../../crates/cli/src/diagnostics/sarif.rs"]
pub(crate) mod sarif;
#[path = "../../crates/cli/src/diagnostics/text.rs"]
pub(crate) mod text;
