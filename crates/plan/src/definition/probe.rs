//! `[service.NAME.probe]`.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SecretText;
use crate::command_line::CommandLine;
use crate::duration::{self, DurationText};

/// How a service's health is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Probes {
    /// Has it come up? The other probes wait for this one; if it never succeeds, the service is restarted.
    pub startup: Option<Probe>,
    /// Does it still work? When it fails, the service is restarted.
    pub liveness: Option<Probe>,
    /// Can it be used now? Failing never restarts anything.
    pub readiness: Option<Probe>,
}

/// Which of the three probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProbeKind {
    /// Has it come up?
    Startup,
    /// Does it still work?
    Liveness,
    /// Can it be used now?
    Readiness,
}

impl ProbeKind {
    /// All three, in the order they matter.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// The key in the definition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A probe: exactly one of `http`, `tcp`, `exec`, `grpc`, `notify`, `file`, `log`, and its timing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Probe {
    /// A URL; a status from 200 to 399 is a success.
    pub http: Option<String>,
    /// The request method of `http`.
    pub method: Option<String>,
    /// Request headers of `http`.
    pub headers: IndexMap<String, SecretText>,
    /// The statuses of `http` that are a success: `[200, "300-399"]`.
    pub status: Vec<StatusMatch>,
    /// A regular expression the body of `http` must match.
    pub body: Option<String>,
    /// An address that must accept a connection: `"127.0.0.1:6379"`, or a port alone for this machine.
    pub tcp: Option<Target>,
    /// A command that must exit with 0.
    pub exec: Option<CommandLine>,
    /// The address of a server of `grpc.health.v1`.
    pub grpc: Option<Target>,
    /// The service `grpc` asks about. Without it, the server as a whole.
    pub grpc_service: Option<String>,
    /// The program says so itself: `READY=1` for startup and readiness, `WATCHDOG=1` for liveness.
    pub notify: bool,
    /// A file that must exist and be younger than `younger_than`.
    pub file: Option<String>,
    /// How old `file` may be. Without it, any age.
    #[serde(with = "duration::optional")]
    #[schemars(with = "Option<DurationText>")]
    pub younger_than: Option<Duration>,
    /// A regular expression that must match a line of the program's output.
    pub log: Option<String>,

    /// The time from one probe to the next.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub interval: Duration,
    /// How long one may take.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
    /// After this many successes in a row it counts as well. 1 for startup and liveness.
    pub success: u16,
    /// After this many failures in a row it counts as failed.
    pub failure: u16,
    /// The wait before the first one.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub delay: Duration,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            http: None,
            method: None,
            headers: IndexMap::new(),
            status: Vec::new(),
            body: None,
            tcp: None,
            exec: None,
            grpc: None,
            grpc_service: None,
            notify: false,
            file: None,
            younger_than: None,
            log: None,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            success: 1,
            failure: 3,
            delay: Duration::ZERO,
        }
    }
}

impl Probe {
    /// The keys that say what is probed, with whether each is there.
    #[must_use]
    pub fn methods(&self) -> [(&'static str, bool); 7] {
        [
            ("http", self.http.is_some()),
            ("tcp", self.tcp.is_some()),
            ("exec", self.exec.is_some()),
            ("grpc", self.grpc.is_some()),
            ("notify", self.notify),
            ("file", self.file.is_some()),
            ("log", self.log.is_some()),
        ]
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A name or an address, without the brackets of IPv6.
    pub host: String,
    /// From 1.
    pub port: u16,
}

impl Target {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(port) = text.parse() {
            return Self::new("127.0.0.1", port);
        }
        let (host, port) = text.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        Self::new(if host.is_empty() { "127.0.0.1" } else { host }, port.parse().ok()?)
    }

    fn new(host: &str, port: u16) -> Option<Self> {
        let sound =
            port > 0 && !host.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '[' | ']'));
        sound.then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressOrPort;

        impl Visitor<'_> for AddressOrPort {
            type Value = Target;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an address such as \"127.0.0.1:6379\", or a port")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Target, E> {
                Target::parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }

            fn visit_i64<E: serde::de::Error>(self, port: i64) -> Result<Target, E> {
                let target = u16::try_from(port).ok().and_then(|port| Target::new("127.0.0.1", port));
                target.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Signed(port), &self))
            }

            fn visit_u64<E: serde::de::Error>(self, port: u64) -> Result<Target, E> {
                self.visit_i64(i64::try_from(port).unwrap_or(i64::MAX))
            }
        }

        deserializer.deserialize_any(AddressOrPort)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Target {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "string" }, { "type": "integer", "minimum": 1, "maximum": 65535 }],
            "examples": ["127.0.0.1:6379", "[::1]:80", 8080],
        })
    }
}

/// One HTTP status, or a range of them: `200`, `"200-299"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusMatch(pub RangeInclusive<u16>);

impl StatusMatch {
    fn new(first: u16, last: u16) -> Option<Self> {
        (100 <= first && first <= last && last <= 599).then_some(Self(first..=last))
    }

    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Self::new(first.trim().parse().ok()?, last.trim().parse().ok()?)
    }
}

impl<'de> Deserialize<'de> for StatusMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StatusOrRange;

        impl Visitor<'_> for StatusOrRange {
            type Value = StatusMatch;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a status such as 200, or a range such as \"200-299\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<StatusMatch, E> {
                StatusMatch::parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }

            fn visit_i64<E: serde::de::Error>(self, status: i64) -> Result<StatusMatch, E> {
                let range = u16::try_from(status).ok().and_then(|status| StatusMatch::new(status, status));
                range.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Signed(status), &self))
            }

            fn visit_u64<E: serde::de::Error>(self, status: u64) -> Result<StatusMatch, E> {
                self.visit_i64(i64::try_from(status).unwrap_or(i64::MAX))
            }
        }

        deserializer.deserialize_any(StatusOrRange)
    }
}

impl Serialize for StatusMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (first, last) = (self.0.start(), self.0.end());
        if first == last {
            serializer.serialize_u16(*first)
        } else {
            serializer.collect_str(&format_args!("{first}-{last}"))
        }
    }
}

impl JsonSchema for StatusMatch {
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                { "type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$" },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_or_a_port_of_this_machine() {
        for (text, host, port) in [
            ("127.0.0.1:80", "127.0.0.1", 80),
            (":81", "127.0.0.1", 81),
            ("82", "127.0.0.1", 82),
            ("[::1]:83", "::1", 83),
            ("db:84", "db", 84),
        ] {
            assert_eq!(Target::parse(text), Some(Target { host: host.into(), port }), "{text}");
        }
        for text in
            ["", "host", "host:", "host:0", "host:99999", "::1:80", "[::1:80", "a/b:1", "a b:1", "[[a]:1", "a]:1"]
        {
            assert_eq!(Target::parse(text), None, "{text}");
        }
    }
}
