//! The monotonic clock and the boot's identity.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started, without the time it was suspended: the same for every guard of one boot.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read_ns(ClockId::Monotonic)
}

/// For how many nanoseconds of this boot the machine was suspended.
#[must_use]
pub fn suspended_ns() -> u64 {
    // The clocks are read one after the other; in between, nothing else goes on for long.
    let awake = monotonic_ns();
    read_ns(ClockId::Boottime).saturating_sub(awake)
}

fn read_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// What is the same during one boot and never again. Instants and process ids of another boot mean nothing.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
