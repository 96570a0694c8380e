//! The clock, read by the process's first instructions.
#![expect(unsafe_code, reason = "before the C library's start there is only assembly")]

use std::arch::naked_asm;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds and nanoseconds of the monotonic clock; 0 where the program was entered another way.
static BEGAN: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Where the kernel enters the program, if it is linked so: reads the clock and goes on as usual.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn first_instruction() {
    naked_asm!(
        "mov eax, 228", // clock_gettime
        "mov edi, 1",   // CLOCK_MONOTONIC
        "lea rsi, [rip + {began}]",
        "syscall",
        "jmp _start",
        began = sym BEGAN,
    )
}

/// When the process executed its first instruction, in nanoseconds of the monotonic clock.
pub(crate) fn began_ns() -> Option<u64> {
    // Keeps it in the program.
    std::hint::black_box(first_instruction as unsafe extern "C" fn());
    let [seconds, nanoseconds] = [&BEGAN[0], &BEGAN[1]].map(|part| part.load(Ordering::Relaxed));
    (seconds > 0).then_some(seconds * 1_000_000_000 + nanoseconds)
}
