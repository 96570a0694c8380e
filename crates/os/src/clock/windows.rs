//! The interrupt time and the boot's identity.

use windows_sys::Wdk::System::SystemInformation::NtQuerySystemInformation;
use windows_sys::Win32::System::WindowsProgramming::{QueryInterruptTimePrecise, QueryUnbiasedInterruptTimePrecise};

use crate::win32::size_of_u32;

/// A tick of the system's clocks, in nanoseconds.
const TICK_NS: u64 = 100;

/// Nanoseconds since the machine started, without the time it was suspended: the same for every guard of one boot.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let mut ticks = 0;
    // SAFETY: the number is there to be written to.
    unsafe { QueryUnbiasedInterruptTimePrecise(&raw mut ticks) };
    ticks.saturating_mul(TICK_NS)
}

/// For how many nanoseconds of this boot the machine was suspended.
#[must_use]
pub fn suspended_ns() -> u64 {
    // The clocks are read one after the other; in between, nothing else goes on for long.
    let awake = monotonic_ns();
    let mut ticks = 0;
    // SAFETY: the number is there to be written to.
    unsafe { QueryInterruptTimePrecise(&raw mut ticks) };
    ticks.saturating_mul(TICK_NS).saturating_sub(awake)
}

/// `SYSTEM_TIMEOFDAY_INFORMATION`, of which the documentation names the size only.
#[repr(C)]
#[derive(Default)]
struct TimeOfDay {
    boot_time: i64,
    current_time: i64,
    time_zone_bias: i64,
    time_zone_id: u32,
    reserved: u32,
    boot_time_bias: u64,
    sleep_time_bias: u64,
}

/// What is the same during one boot and never again: when it was, whatever the clock was set to since. Instants and process
/// ids of another boot mean nothing.
#[must_use]
pub fn boot_id() -> String {
    /// `SystemTimeOfDayInformation`.
    const CLASS: i32 = 3;
    let mut found = TimeOfDay::default();
    let mut length = 0;
    // SAFETY: there is as much room as is said.
    let status = unsafe {
        NtQuerySystemInformation(CLASS, (&raw mut found).cast(), size_of_u32::<TimeOfDay>(), &raw mut length)
    };
    if status < 0 {
        return String::new();
    }
    format!("{:016x}", found.boot_time.wrapping_sub_unsigned(found.boot_time_bias))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_has_one_identity() {
        assert_eq!(boot_id(), boot_id());
        assert_eq!(boot_id().len(), 16);
    }
}
