//! What a program is started with, as one number: where it is the same, no restart is needed to follow a changed definition.
//!
//! The number is kept with what runs, also by guards of other versions, so a program whose definition nobody changed must have
//! the same one for ever: what is not set is left out, and a key that comes to the definition later is left out at its default.
//!
//! Secrets are in it as they are in what a program is started with: one number of everything at once, in files of the guard's own
//! account, which can read the secrets themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::command_line::CommandLine;
use crate::definition::{Account, INHERITED_BY_DEFAULT, Inherit, ServiceType, Umask};
use crate::diff::notify_protocol;
use crate::plan::ServicePlan;

/// The number. In texts it is 16 hexadecimal digits, so that nothing takes it for a quantity and rounds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What costs a restart when it changes. `diff` says the same, field by field.
#[derive(Serialize)]
struct StartedWith<'a> {
    command: &'a CommandLine,
    directory: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<&'a [Account]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    umask: Option<Umask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nice: Option<i8>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    environment: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inherit: Option<BTreeSet<&'a str>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<ServiceType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fd_store: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<u64>,
    /// Whether the notify protocol is spoken, and the watchdog's time in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    notify: Option<Option<u128>>,
}

/// Makes the number of a service, whose variables but for those of the guard's own environment are `environment`. What those
/// are is not the definition's: a guard in another terminal, or of another manager, has others.
pub(crate) fn fingerprint(
    plan: &ServicePlan,
    inherit: &Inherit,
    environment: &BTreeMap<String, String>,
) -> Fingerprint {
    let directory = normal(&plan.directory);
    let (speaks, watchdog) = notify_protocol(plan);
    let started_with = StartedWith {
        command: &plan.command,
        directory: &directory.to_string_lossy(),
        user: plan.user.as_ref(),
        group: plan.group.as_ref(),
        groups: plan.groups.as_deref(),
        umask: plan.umask,
        nice: plan.nice,
        environment,
        inherit: inherited(inherit),
        kind: (plan.kind != ServiceType::default()).then_some(plan.kind),
        fd_store: (plan.fd_store > 0).then_some(plan.fd_store),
        files: plan.limits.files,
        notify: speaks.then(|| watchdog.map(|time| time.as_millis())),
    };
    of(&started_with)
}

/// Makes the number of a service's own configuration files.
pub(crate) fn of_files(files: &BTreeMap<PathBuf, Option<u64>>) -> Option<Fingerprint> {
    let files: Vec<(PathBuf, Option<u64>)> = files.iter().map(|(path, digest)| (normal(path), *digest)).collect();
    let named: Vec<_> = files.iter().map(|(path, digest)| (path.to_string_lossy(), digest)).collect();
    (!named.is_empty()).then(|| of(&named))
}

/// A number of these bytes, the same in every version.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    hash.into_iter().take(8).fold(0, |number, byte| number << 8 | u64::from(byte))
}

fn of(what: &impl Serialize) -> Fingerprint {
    let bytes = serde_json::to_vec(what).expect("texts and numbers can be written as JSON");
    Fingerprint(digest(&bytes))
}

/// What is inherited besides what always is, in no order.
fn inherited(inherit: &Inherit) -> Option<BTreeSet<&str>> {
    let names: BTreeSet<&str> = match inherit {
        Inherit::Standard => BTreeSet::new(),
        Inherit::Names(names) => names.iter().map(String::as_str).collect(),
        Inherit::All => BTreeSet::from(["*"]),
    };
    let others: BTreeSet<&str> = names.into_iter().filter(|name| !INHERITED_BY_DEFAULT.contains(name)).collect();
    (!others.is_empty()).then_some(others)
}

/// A path in one spelling, whatever the guard was given: without `..`, and nothing after its last name.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => normal.push(component),
        }
    }
    normal
}
