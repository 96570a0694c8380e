//! The monotonic clock and the boot's identity.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started, without the time it was suspended: the same for every guard of one boot.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// What is the same during one boot and never again. Instants and process ids of another boot mean nothing.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
