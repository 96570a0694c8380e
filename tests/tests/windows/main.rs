//! The guard on Windows, under Wine: what is built of the same sources guards programs there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails")]

mod accounts;
mod adoption;
mod console;
mod guarding;
mod importing;
mod install;
mod jobs;
mod output;
mod pipe;
mod service;
mod shutdown;
mod stop;
mod story;
mod units;
mod upgrade;
