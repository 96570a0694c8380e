//! 2 → 3: a service knows what its program was started with, and what its configuration files were. Of those of before that is
//! not known.
//!
//! Frozen.

use serde_json::{Value, json};

use super::Record;

pub(super) fn migrate(record: &mut Record) -> Result<(), &'static str> {
    record.insert("format".to_owned(), json!(3));
    let memory = record.get_mut("memory").and_then(Value::as_object_mut).ok_or("memory")?;
    let life = memory.get_mut("life").and_then(Value::as_object_mut).ok_or("a life")?;
    for unknown in ["definition", "configuration"] {
        life.insert(unknown.to_owned(), Value::Null);
    }
    Ok(())
}
