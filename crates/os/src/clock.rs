//! Time.

#[cfg(target_os = "linux")]
#[path = "clock/linux.rs"]
mod platform;
#[cfg(windows)]
#[path = "clock/windows.rs"]
mod platform;

pub use platform::{boot_id, monotonic_ns, suspended_ns};

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, by the wall clock.
#[must_use]
pub fn wall_ms() -> i64 {
    let signed = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => signed(since),
        Err(before) => -signed(before.duration()),
    }
}
