//! Real programs, started and ended by the real system.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for the events it is about")]

mod bed;
mod folders;
mod identity;
mod programs;
mod trees;
