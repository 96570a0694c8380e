//! Programs nobody here wrote, guarded by the real command.

mod chain;
mod death;
mod failing_start;
mod freeze;
mod memory;
mod output;
mod stop;
