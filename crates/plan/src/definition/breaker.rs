//! `[service.NAME.breaker]`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::command_line::CommandLine;
use crate::duration::{self, DurationText};

/// When restarting is given up for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// This many failures within `within` open the breaker. 0 turns it off.
    pub failures: u16,
    /// The window in which failures are counted.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub within: Duration,
    /// How long it stays open before one trial start; each re-opening doubles it.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub open_for: Duration,
    /// It never stays open longer than this.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub max_open: Duration,
    /// A trial that stays ready this long closes it.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub close_after: Duration,
    /// After opening this many times in a row the service has failed. 0 never gives up.
    pub give_up_after: u32,
    /// A program that runs while the breaker is open.
    pub fallback: Option<Fallback>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            within: Duration::from_secs(60),
            open_for: Duration::from_secs(30),
            max_open: Duration::from_secs(600),
            close_after: Duration::from_secs(10),
            give_up_after: 0,
            fallback: None,
        }
    }
}

/// A program that runs while the breaker is open: a command, or a table with `command` and `until`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fallback {
    /// The program and its arguments.
    pub command: CommandLine,
    /// When it makes way. Without it: `trial` where the two name the same port, else `ready`.
    pub until: Option<FallbackUntil>,
}

/// When the fallback makes way for the service. Without it: `trial` where the two name the same port, else `ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FallbackUntil {
    /// Before a trial starts: for a fallback that listens where the service listens.
    Trial,
    /// When a trial is ready: for a fallback that can run beside the service.
    Ready,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FallbackTable {
    command: CommandLine,
    #[serde(default)]
    until: Option<FallbackUntil>,
}

impl<'de> Deserialize<'de> for Fallback {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CommandOrTable;

        impl<'de> Visitor<'de> for CommandOrTable {
            type Value = Fallback;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a command, or a table with `command` and `until`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Fallback, E> {
                let command = CommandLine::deserialize(text.into_deserializer())?;
                Ok(Fallback { command, until: None })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, words: A) -> Result<Fallback, A::Error> {
                let command = CommandLine::deserialize(SeqAccessDeserializer::new(words))?;
                Ok(Fallback { command, until: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Fallback, A::Error> {
                let table = FallbackTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Fallback { command: table.command, until: table.until })
            }
        }

        deserializer.deserialize_any(CommandOrTable)
    }
}

impl JsonSchema for Fallback {
    fn schema_name() -> Cow<'static, str> {
        "Fallback".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let command = generator.subschema_for::<CommandLine>();
        let until = generator.subschema_for::<FallbackUntil>();
        json_schema!({
            "anyOf": [
                command,
                {
                    "type": "object",
                    "properties": { "command": command, "until": until },
                    "required": ["command"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
