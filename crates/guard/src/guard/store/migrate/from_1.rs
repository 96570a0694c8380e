//! 1 → 2: one version for the whole record in the place of one for the core's part of it, and nothing left out.
//!
//! Frozen.

use serde_json::{Value, json};

use super::Record;

pub(super) fn migrate(record: &mut Record) -> Result<(), &'static str> {
    let memory = record.get_mut("memory").and_then(Value::as_object_mut).ok_or("memory")?;
    memory.remove("format");
    record.insert("format".to_owned(), json!(2));
    let stop = json!({ "signal": "SIGTERM", "timeout": "10s", "command": null, "tree": true });
    record.entry("stop").or_insert(stop);
    let processes = record.get_mut("processes").and_then(Value::as_array_mut).ok_or("processes")?;
    for process in processes {
        let process = process.as_object_mut().ok_or("a process's values")?;
        process.entry("first").or_insert(Value::Null);
        process.entry("folder").or_insert(Value::Null);
    }
    Ok(())
}
