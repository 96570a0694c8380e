//! What the guard says to programs and hears from them, spoken through the real command: sd_notify, probes, alerts, and
//! life as PID 1; and what a program that is written with the library says and hears where no service manager started it.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
#![expect(clippy::panic, reason = "a helper that fails is a test that fails")]
#![expect(clippy::print_stderr, reason = "what a failed test needs to be understood")]

mod alerts;
mod by_hand;
mod manager;
mod notify;
mod pid_one;
mod probes;
mod puppet;
mod server;
mod sockets;
