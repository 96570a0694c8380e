//! What is promised about every service, shown with small programs through the real command.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails is a test that fails")]
#![expect(clippy::panic, reason = "a helper of a test that fails is a test that fails")]

mod access;
mod command_line;
mod control;
mod environment;
mod order;
mod reload;
mod restarts;
mod secrets;
mod survival;
mod wanted;
