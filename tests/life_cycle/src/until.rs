//! Conditions with a deadline: never a time that is hoped to be long enough.

use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(45);
/// How long a condition that does not hold is left alone.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until something can be had. Looking may find that it never will.
///
/// # Errors
/// When it cannot be had within [`DEADLINE`], or looking failed.
pub fn until_some<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>, String>) -> Result<T, String> {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(format!("not so within {DEADLINE:?}: {what}"));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
