//! Powers of numbers, in place of the system's.
//!
//! `f64::powf` calls C's `pow`, which on Linux is in a library of its own, and nothing else of that library is used here. Each
//! start of a command would look for it, load it and make it ready: 0.06 ms, of 1.6 for `menshen status`. A function of that
//! name in the program itself goes before the library's, which is then not needed at all.

/// C's `pow`.
// SAFETY: what C's standard says of a function of this name, and of no other, is what this does.
#[unsafe(no_mangle)]
extern "C" fn pow(base: f64, exponent: f64) -> f64 {
    libm::pow(base, exponent)
}
