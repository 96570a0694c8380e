//! The core through its public door: events in, effects out.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for the effects it is about")]

mod breaker;
mod commands;
mod dependencies;
mod determinism;
mod memory;
mod outdated;
mod pause;
mod probes;
mod reload;
mod restarts;
mod rig;
mod shutdown;
mod stops;
