//! On these processors the program's first statement has to do.

/// When the process executed its first instruction, in nanoseconds of the monotonic clock.
pub(crate) const fn began_ns() -> Option<u64> {
    None
}
