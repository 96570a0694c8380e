//! 2 → 3: a run knows what it was started with, and what its configuration files were. Of those of before that is not known.
//!
//! Frozen.

use serde_json::{Value, json};

use super::Record;

pub(super) fn migrate(record: &mut Record) -> Result<(), &'static str> {
    record.insert("format".to_owned(), json!(3));
    let memory = record.get_mut("memory").and_then(Value::as_object_mut).ok_or("memory")?;
    let life = memory.get_mut("life").and_then(Value::as_object_mut).ok_or("a life")?;
    for run in ["main", "stopper"] {
        forget_definition(life.get_mut(run).ok_or("a run")?);
    }
    let fallback = life.get_mut("fallback").and_then(Value::as_object_mut).ok_or("a fallback")?;
    forget_definition(fallback.get_mut("run").ok_or("a fallback's run")?);
    Ok(())
}

/// Where there is no run, there is nothing to forget.
fn forget_definition(run: &mut Value) {
    if let Some(run) = run.as_object_mut() {
        run.insert("definition".to_owned(), Value::Null);
        run.insert("configuration".to_owned(), Value::Null);
    }
}
