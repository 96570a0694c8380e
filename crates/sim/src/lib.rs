//! The proving ground of the core: a virtual clock and a fake operating system that crash, hang, ignore signals, fork, answer
//! late and fill disks, all from one seed, and a second opinion on everything the core does about it.
//!
//! - [`run`]: one run of a seed, start to end. Begin here.
//! - `theme`, `definition`, `program`, `operator`: what is drawn: what a run is about, definitions as text, how programs
//!   behave, who interferes.
//! - [`world`], `guard`: the fake operating system, and the fake guard between it and the core.
//! - [`model`], [`invariants`]: what has to be, and the checks that hold a run against it.
//! - [`coverage`], `trace`: what was tried, and the run written down.
//! - `random`, `clock`: chance and time.
//!
//! The tests run the first few thousand seeds, those in `seeds/kept.txt`, and a wrong core for every invariant. More seeds:
//! `cargo run --release -p menshen-sim -- run --from A --count N --jobs J --coverage`. The seed of a mistake in the core is
//! kept, with what it showed.
//!
//! Pure like the core: no file, thread, environment or clock of its own. The same seed gives the same run on every platform.

pub mod clock;
pub mod coverage;
pub mod definition;
pub mod guard;
pub mod invariants;
pub mod model;
pub mod operator;
pub mod program;
pub mod random;
pub mod run;
pub mod shrink;
pub mod theme;
pub mod trace;
pub mod world;

pub use coverage::Coverage;
pub use invariants::{Invariant, Violation};
pub use run::{Options, Outcome, Sabotage, run};
