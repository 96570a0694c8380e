//! From the records of older versions to today's, step by step.
//!
//! Each step has a file named after the version it begins with, and is frozen: it speaks of the JSON of its time and of none of
//! today's types. `fixtures/state` has what each version really wrote.

mod from_1;
mod from_2;

use serde_json::{Map, Value};

use super::Stored;

type Record = Map<String, Value>;
/// Changes a record into one of the next version; the error says what it lacks.
type Step = fn(&mut Record) -> Result<(), &'static str>;

/// The version written today.
pub(crate) const VERSION: u32 = 3;
/// The steps, from version 1 on.
const STEPS: [Step; VERSION as usize - 1] = [from_1::migrate, from_2::migrate];

/// Why a record is none.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is not a record, for this reason.
    Damaged(String),
    /// It has this version.
    Newer(u32),
}

/// Reads a record of any version.
pub(super) fn migrate(bytes: &[u8]) -> Result<Stored, Refused> {
    let damaged = |why: &dyn std::fmt::Display| Refused::Damaged(why.to_string());
    let mut record: Record = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
    let version = version_of(&record).ok_or_else(|| damaged(&"it says no version"))?;
    if version > VERSION {
        return Err(Refused::Newer(version));
    }
    for (from, step) in (1..).zip(STEPS).filter(|(from, _)| *from >= version) {
        step(&mut record).map_err(|lacks| damaged(&format_args!("version {from} without {lacks}")))?;
    }
    serde_json::from_value(Value::Object(record)).map_err(|error| damaged(&error))
}

/// Version 1 had its number within.
fn version_of(record: &Record) -> Option<u32> {
    let number = record.get("format").or_else(|| record.get("memory")?.get("format"))?;
    number.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0)
}
