//! `[service.NAME]`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Breaker, Credential, Dependencies, EnvironmentValue, Inherit, Limits, Log, Probes, Restart, Stop};
use crate::command_line::CommandLine;
use crate::duration::{self, DurationText};
use crate::signal::Signal;

/// A program to guard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// The program and its arguments.
    pub command: Option<CommandLine>,
    /// One line for people.
    pub description: Option<String>,
    /// The name service managers show. Without it, the service's name.
    pub display_name: Option<String>,
    /// The working directory. Relative paths start at the definition's folder, which is also the default.
    pub directory: Option<String>,
    /// The account to run as: a name or a number; on Windows also `LocalSystem`, `LocalService`, `NetworkService`,
    /// `NT SERVICE\NAME`, and `DOMAIN\NAME$` for a group managed service account. Without it, the guard's own.
    pub user: Option<Account>,
    /// The password of that account, which Windows needs of users. It stands in a file of its own.
    pub password: Option<Credential>,
    /// The group to run as: a name or a number. Without it, the user's own.
    pub group: Option<Account>,
    /// Supplementary groups. Without it, those of the user.
    pub groups: Option<Vec<Account>>,
    /// The file mode creation mask, in octal.
    pub umask: Option<Umask>,
    /// The scheduling priority, from -20 (first) to 19 (last).
    pub nice: Option<i8>,
    /// Variables of the program's environment.
    pub environment: IndexMap<String, EnvironmentValue>,
    /// A file of `NAME=value` lines, for placeholders and for the program's environment.
    pub env_file: Option<String>,
    /// Variables taken from the guard's own environment: a list of names, or `"all"`.
    pub inherit: Inherit,
    /// What must be there before this service starts.
    pub depends_on: Dependencies,
    /// Whether it starts with the guard.
    pub start: StartType,
    /// How it tells that it is up.
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// Whether `menshen up` ends, with exit code 7, when this service has failed.
    pub essential: bool,
    /// How long it may take until it is up (`type = "notify"`) or done (`type = "oneshot"`). 90 s for notify; no limit for oneshot.
    #[serde(with = "duration::optional")]
    #[schemars(with = "Option<DurationText>")]
    pub start_timeout: Option<Duration>,
    /// How many file descriptors it may leave with the guard for its next start (sd_notify's `FDSTORE=1`).
    pub fd_store: u16,
    /// How its health is known.
    pub probe: Probes,
    /// What happens when it ends.
    pub restart: Restart,
    /// When restarting is given up for a while.
    pub breaker: Breaker,
    /// How it is stopped.
    pub stop: Stop,
    /// How it is told to read its own configuration again.
    pub reload: Reload,
    /// Where its output goes.
    pub log: Log,
    /// What it may use.
    pub limits: Limits,
}

/// When a service starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartType {
    /// With the guard.
    #[default]
    Auto,
    /// With the guard, once the `auto` services have come up, or two minutes later.
    Delayed,
    /// When somebody asks, or another service needs it. A daemon that somebody started stays wanted until somebody stops it,
    /// across restarts of the guard and of the machine; a one-shot is run once for each time it is asked for.
    Manual,
    /// Never.
    Disabled,
}

/// How a service tells that it is up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceType {
    /// It runs until it is stopped; it is up when it was started and its start-up probe succeeds.
    #[default]
    Daemon,
    /// It does one thing and ends; `completed` when it exits with 0.
    Oneshot,
    /// A daemon that says when it is up with `READY=1` (the sd_notify protocol).
    Notify,
}

/// How a service is told to read its own configuration again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reload {
    /// The signal that makes the program read its configuration again.
    pub signal: Option<Signal>,
    /// The program's own configuration files: when one has changed, `menshen reload` sends the signal.
    pub files: Vec<String>,
}

/// A user or a group: a name or a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Account(pub String);

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrNumber;

        impl Visitor<'_> for NameOrNumber {
            type Value = Account;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name or number of an account")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Account, E> {
                let name = name.trim();
                if name.is_empty() || name.contains(['\0', ':', '/', '\n']) && !name.contains('\\') {
                    return Err(E::invalid_value(serde::de::Unexpected::Str(name), &self));
                }
                Ok(Account(name.to_owned()))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Account, E> {
                match u32::try_from(number) {
                    Ok(number) if number != u32::MAX => Ok(Account(number.to_string())),
                    Ok(_) | Err(_) => Err(E::invalid_value(serde::de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Account, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }

        deserializer.deserialize_any(NameOrNumber)
    }
}

impl JsonSchema for Account {
    fn schema_name() -> Cow<'static, str> {
        "Account".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string", "minLength": 1 }, { "type": "integer", "minimum": 0 }] })
    }
}

/// A file mode creation mask, written in octal: `"027"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Umask(pub u32);

impl<'de> Deserialize<'de> for Umask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        match u32::from_str_radix(&text, 8) {
            Ok(mask) if mask <= 0o777 => Ok(Self(mask)),
            Ok(_) | Err(_) => {
                Err(serde::de::Error::custom(format!("'{text}' is not a mask; write it in octal, such as \"027\"")))
            }
        }
    }
}

impl Serialize for Umask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:03o}", self.0))
    }
}

impl JsonSchema for Umask {
    fn schema_name() -> Cow<'static, str> {
        "Umask".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-7]{1,4}$", "examples": ["027"] })
    }
}
