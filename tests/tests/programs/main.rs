//! Programs nobody here wrote, guarded by the real command.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]

mod chain;
mod death;
mod failing_start;
mod freeze;
mod memory;
mod output;
mod stop;
mod torrent;
