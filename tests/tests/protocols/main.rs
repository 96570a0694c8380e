//! What the guard says to programs and hears from them, spoken through the real command: sd_notify, probes, alerts, and
//! life as PID 1.

mod alerts;
mod notify;
mod pid_one;
mod probes;
mod puppet;
mod server;
