//! Services of nssm: what it keeps in the registry, as `reg export` or `nssm dump` writes it.
//!
//! Both become a [`ServiceKey`], and so can what is read from a live registry ([`super::import_service_keys`]): [`registry`] reads exports, [`dump`] the
//! commands of `nssm dump`, [`service`] translates; [`plain`] has what is otherwise of services that are not nssm's.

mod dump;
mod plain;
mod registry;
mod service;

use crate::source::Source;

use super::draft::Drafts;
use super::{ImportError, Place};

pub(crate) use dump::is_dump_line;

/// The key of a service below `HKLM\SYSTEM\CurrentControlSet\Services`, with everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceKey {
    /// The service's name.
    pub name: String,
    /// Its values, and those of its subkeys.
    pub values: Vec<ServiceValue>,
    /// Where it was read.
    pub place: Place,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceValue {
    /// The subkey it is in: empty for the service's own, `Parameters`, `Parameters\AppExit`.
    pub subkey: String,
    /// Its name; empty for the subkey's default.
    pub name: String,
    /// What it is.
    pub data: Data,
    /// Where it was read.
    pub place: Place,
}

/// What a value of the registry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// `REG_SZ`, and `REG_EXPAND_SZ` before it is expanded.
    Text(String),
    /// `REG_MULTI_SZ`.
    Texts(Vec<String>),
    /// `REG_DWORD` and `REG_QWORD`.
    Number(u64),
    /// Anything else.
    Bytes(Vec<u8>),
}

/// Reads the services of exports and dumps.
pub(crate) fn read(sources: &[Source], drafts: &mut Drafts<'_>) -> Result<(), ImportError> {
    for source in sources {
        let keys =
            if source.text.lines().any(is_dump_line) { dump::read(source, drafts) } else { registry::read(source)? };
        translate(&keys, drafts);
    }
    Ok(())
}

/// Translates services, wherever their keys were read.
pub(crate) fn translate(keys: &[ServiceKey], drafts: &mut Drafts<'_>) {
    for key in keys {
        service::translate(key, drafts);
    }
}
