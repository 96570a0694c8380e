//! The core in the simulated world.

mod coverage;
mod determinism;
mod invariants;
mod replay;
mod seeds;
