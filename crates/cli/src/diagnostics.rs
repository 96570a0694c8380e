//! Findings of `check`: as text for people, as JSON for programs, as SARIF for code scanning.

pub(crate) mod json;
pub(crate) mod sarif;
pub(crate) mod text;
