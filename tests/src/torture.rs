//! The torture of guards: a guard is killed again and again while programs log, die, fork, and are started and stopped. What
//! was promised is then held against what the programs themselves noted, the kernel knows, and the log files hold.
//!
//! - [`campaign`]: the whole of it, from a seed.
//! - `world`: the definition, and what each service is there for. `notes`: what a program says of itself.
//! - `operator`: who gives commands, and what may follow from each. `checks`: what must be so.

pub mod campaign;

mod checks;
mod notes;
mod operator;
mod world;
