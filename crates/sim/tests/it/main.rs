//! The core in the simulated world.

#![expect(clippy::panic, reason = "a test that panics is a test that fails")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for the effects it is about")]

mod coverage;
mod determinism;
mod invariants;
mod replay;
mod seeds;
