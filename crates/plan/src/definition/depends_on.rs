//! `depends_on`.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::ServiceName;

/// What must be there before a service starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Dependencies(pub IndexMap<ServiceName, Dependency>);

/// One dependency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// What it must have reached.
    pub condition: Condition,
    /// What to do when it no longer is so.
    pub on_loss: OnLoss,
}

/// What a dependency must have reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It is up.
    Started,
    /// It is up and its readiness probe succeeds; a one-shot has completed.
    #[default]
    Ready,
    /// It is a one-shot and has completed.
    Completed,
}

impl Condition {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Completed => "completed",
        }
    }
}

/// What to do when a dependency no longer meets its condition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnLoss {
    /// Run on, as where nothing is said.
    #[default]
    Ignore,
    /// Stop, and stay stopped until somebody starts it, also when the condition holds again.
    Stop,
    /// Stop, and start again when the condition holds again.
    Restart,
}

impl OnLoss {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct DependencyTable {
    condition: Condition,
    on_loss: OnLoss,
}

impl<'de> Deserialize<'de> for Dependency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConditionOrTable;

        impl<'de> Visitor<'de> for ConditionOrTable {
            type Value = Dependency;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("\"started\", \"ready\", \"completed\", or a table with `condition` and `on_loss`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Dependency, E> {
                let condition = Condition::deserialize(text.into_deserializer())?;
                Ok(Dependency { condition, on_loss: OnLoss::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Dependency, A::Error> {
                let table = DependencyTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Dependency { condition: table.condition, on_loss: table.on_loss })
            }
        }

        deserializer.deserialize_any(ConditionOrTable)
    }
}

impl<'de> Deserialize<'de> for Dependencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesOrTable;

        impl<'de> Visitor<'de> for NamesOrTable {
            type Value = Dependencies;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table of services with conditions, or an array of services")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Dependencies, A::Error> {
                let mut dependencies = IndexMap::new();
                while let Some(name) = names.next_element::<ServiceName>()? {
                    dependencies.insert(name, Dependency::default());
                }
                Ok(Dependencies(dependencies))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Dependencies, A::Error> {
                let mut dependencies = IndexMap::new();
                while let Some((name, dependency)) = map.next_entry::<ServiceName, Dependency>()? {
                    dependencies.insert(name, dependency);
                }
                Ok(Dependencies(dependencies))
            }
        }

        deserializer.deserialize_any(NamesOrTable)
    }
}

impl JsonSchema for Dependencies {
    fn schema_name() -> Cow<'static, str> {
        "DependsOn".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let condition = generator.subschema_for::<Condition>();
        let on_loss = generator.subschema_for::<OnLoss>();
        json_schema!({
            "anyOf": [
                { "type": "array", "items": { "type": "string" }, "description": "Services that must be ready." },
                {
                    "type": "object",
                    "additionalProperties": {
                        "anyOf": [
                            condition,
                            {
                                "type": "object",
                                "properties": { "condition": condition, "on_loss": on_loss },
                                "additionalProperties": false,
                            },
                        ],
                    },
                },
            ],
            "examples": [{ "cache": "ready", "migrate": "completed" }, ["cache"]],
        })
    }
}
