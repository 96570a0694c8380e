//! One suite for every service manager: the life of a service, from before it is installed until after nothing is left of it.
//!
//! - [`abilities`]: a row for each manager, with what it cannot do. A new manager is a row here and a file in the library.
//! - [`suite`]: the steps, in order. Each is a function that says what went otherwise than it must.
//! - `further`: steps of what only one manager has.
//! - [`sample`]: the program that is installed, as seen from outside; [`program`]: as seen from itself.
//! - [`asked`]: a registration for each option, to see that a manager refuses by name what it cannot do.
//! - [`belongings`]: what a folder holds, to see that nothing is left behind.
//! - [`report`]: what came of each step.
//! - [`until`]: conditions with a deadline.

pub mod abilities;
pub mod asked;
pub mod belongings;
mod further;
mod platform;
pub mod program;
pub mod report;
pub mod sample;
pub mod suite;
pub mod until;
