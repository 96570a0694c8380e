//! `restart.on_exit`: what an exit code or a signal means.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::signal::Signal;

/// How a program ended: a code, or the signal that killed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExitMatch {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(Signal),
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExitAction {
    /// Start it again, by policy, back-off and breaker.
    Restart,
    /// Leave it stopped until somebody starts it.
    Stop,
    /// It has failed; an operator must look.
    Fail,
}

impl FromStr for ExitMatch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(code) = text.parse::<i64>() {
            // Windows has exit codes up to 32 bits without a sign; they are the same bits.
            let code = i32::try_from(code).or_else(|_| u32::try_from(code).map(u32::cast_signed));
            return code.map(Self::Code).map_err(|_| format!("'{text}' is too large for an exit code"));
        }
        text.parse()
            .map(Self::Signal)
            .map_err(|_| format!("'{text}' is neither an exit code nor a signal; write 64 or SIGKILL"))
    }
}

impl fmt::Display for ExitMatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "{code}"),
            Self::Signal(signal) => write!(formatter, "{signal}"),
        }
    }
}

impl<'de> Deserialize<'de> for ExitMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for ExitMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for ExitMatch {
    fn schema_name() -> Cow<'static, str> {
        "ExitMatch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "An exit code or the name of a signal.", "examples": ["64", "SIGKILL"] })
    }
}
