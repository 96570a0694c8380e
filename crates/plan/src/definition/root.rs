//! The whole file.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Alert, Guard, Service, ServiceName};

/// A Menshen definition: the services one guard looks after.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Definition {
    /// The guard itself.
    pub guard: Guard,
    /// The services, by name.
    pub service: IndexMap<ServiceName, Service>,
    /// Who is told when something goes wrong, by a name of your choice.
    pub alert: IndexMap<ServiceName, Alert>,
    /// What `menshen check` is to pass over.
    pub check: Check,
}

/// What `menshen check` is to pass over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Check {
    /// Codes of warnings and advice that are known and accepted, such as `["M028"]`. Errors cannot be accepted.
    pub allow: Vec<String>,
}
