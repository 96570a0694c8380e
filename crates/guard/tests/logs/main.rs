//! Logs through their public door, with real pipes, real programs and real kills.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics is a test that fails")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says why")]

mod bed;
mod full_disk;
mod handle;
mod killed;
mod load;
