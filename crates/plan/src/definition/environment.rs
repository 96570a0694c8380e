//! Values of a program's environment, and texts that may be secret.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text, or where to read it from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretText {
    /// As written.
    Plain(String),
    /// `{ credential = "file:/run/secrets/db" }`: read when the definition is loaded, and masked wherever it could be shown.
    Credential(String),
}

/// What is never written in a definition, but read from where this says: `{ credential = "file:/run/secrets/shop" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential(pub String);

/// The value of an environment variable: a text, a number, a boolean, or a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentValue(pub SecretText);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrCredential).map(|value| value.0)
    }
}

impl<'de> Deserialize<'de> for EnvironmentValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrCredential)
    }
}

impl<'de> Deserialize<'de> for Credential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match SecretText::deserialize(deserializer)? {
            SecretText::Credential(source) => Ok(Self(source)),
            SecretText::Plain(_) => {
                let why = "it is not written in a definition; write { credential = \"file:PATH\" }, and keep it there";
                Err(serde::de::Error::custom(why))
            }
        }
    }
}

struct TextOrCredential;

impl TextOrCredential {
    fn plain<E: serde::de::Error>(text: String) -> Result<EnvironmentValue, E> {
        if text.contains('\0') {
            return Err(E::custom("a value cannot contain a NUL byte"));
        }
        Ok(EnvironmentValue(SecretText::Plain(text)))
    }
}

impl<'de> Visitor<'de> for TextOrCredential {
    type Value = EnvironmentValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text, or { credential = \"file:PATH\" }")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EnvironmentValue, E> {
        Self::plain(text.to_owned())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<EnvironmentValue, E> {
        Self::plain(number.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<EnvironmentValue, E> {
        Self::plain(number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<EnvironmentValue, E> {
        Self::plain(number.to_string())
    }

    fn visit_bool<E: serde::de::Error>(self, boolean: bool) -> Result<EnvironmentValue, E> {
        Self::plain(boolean.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EnvironmentValue, A::Error> {
        let mut credential = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "credential" {
                return Err(serde::de::Error::unknown_field(&key, &["credential"]));
            }
            credential = Some(map.next_value::<String>()?);
        }
        match credential {
            Some(source) if source.strip_prefix("file:").is_some_and(|path| !path.is_empty()) => {
                Ok(EnvironmentValue(SecretText::Credential(source)))
            }
            Some(source) => {
                Err(serde::de::Error::custom(format!("'{source}' is not a credential; write \"file:\" and a path")))
            }
            None => Err(serde::de::Error::missing_field("credential")),
        }
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(text) => serializer.serialize_str(text),
            Self::Credential(source) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("credential", source)?;
                map.end()
            }
        }
    }
}

impl Serialize for Credential {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SecretText::Credential(self.0.clone()).serialize(serializer)
    }
}

impl Serialize for EnvironmentValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

fn credential_schema() -> serde_json::Value {
    serde_json::json!({
        "type": "object",
        "properties": { "credential": { "type": "string", "pattern": "^file:.+", "description": "`file:` and the path of a file that holds the value." } },
        "required": ["credential"],
        "additionalProperties": false,
    })
}

impl JsonSchema for Credential {
    fn schema_name() -> Cow<'static, str> {
        "Credential".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [credential_schema()] })
    }
}

impl JsonSchema for SecretText {
    fn schema_name() -> Cow<'static, str> {
        "SecretText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, credential_schema()] })
    }
}

impl JsonSchema for EnvironmentValue {
    fn schema_name() -> Cow<'static, str> {
        "EnvironmentValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": ["string", "number", "boolean"] }, credential_schema()] })
    }
}

/// The variables a program gets from the guard's environment when the definition does not say: what it needs to find
/// programs, its home, its language and its time zone, and nothing that could differ by accident.
pub const INHERITED_BY_DEFAULT: [&str; 9] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// The like of it on Windows, where a program that lacks some of them finds neither the system nor a place for its files.
pub const INHERITED_BY_DEFAULT_ON_WINDOWS: [&str; 20] = [
    WINDOWS,
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "TEMP",
    "TMP",
    "OS",
    "PROGRAMDATA",
    "ALLUSERSPROFILE",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
    "COMMONPROGRAMFILES",
    "USERPROFILE",
    "USERNAME",
    "USERDOMAIN",
    "APPDATA",
    "LOCALAPPDATA",
    "COMPUTERNAME",
    "NUMBER_OF_PROCESSORS",
];

/// Variables that say on Windows who somebody is and where their files are. A program that runs under another account than the
/// guard has that account's.
pub const PERSONAL_ON_WINDOWS: [&str; 17] = [
    "USERPROFILE",
    "USERNAME",
    "USERDOMAIN",
    "USERDOMAIN_ROAMINGPROFILE",
    "USERDNSDOMAIN",
    "LOGONSERVER",
    "APPDATA",
    "LOCALAPPDATA",
    "TEMP",
    "TMP",
    "HOMEDRIVE",
    "HOMEPATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "ONEDRIVE",
];

/// The variable that every process has on Windows, and none elsewhere.
pub const WINDOWS: &str = "SYSTEMROOT";

/// Which variables come from the guard's own environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Inherit {
    /// [`INHERITED_BY_DEFAULT`].
    #[default]
    Standard,
    /// The standard ones and these.
    Names(Vec<String>),
    /// Every one.
    All,
}

impl<'de> Deserialize<'de> for Inherit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesOrAll;

        impl<'de> Visitor<'de> for NamesOrAll {
            type Value = Inherit;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of names, or \"all\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Inherit, E> {
                match text {
                    "all" => Ok(Inherit::All),
                    "standard" => Ok(Inherit::Standard),
                    other => Err(E::unknown_variant(other, &["all", "standard"])),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Inherit, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = items.next_element::<String>()? {
                    names.push(name);
                }
                Ok(Inherit::Names(names))
            }
        }

        deserializer.deserialize_any(NamesOrAll)
    }
}

impl Serialize for Inherit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Standard => serializer.serialize_str("standard"),
            Self::All => serializer.serialize_str("all"),
            Self::Names(names) => names.serialize(serializer),
        }
    }
}

impl JsonSchema for Inherit {
    fn schema_name() -> Cow<'static, str> {
        "Inherit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "enum": ["standard", "all"] }, { "type": "array", "items": { "type": "string" } }],
            "default": "standard",
        })
    }
}
