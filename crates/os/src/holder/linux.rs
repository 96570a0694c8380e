//! Linux shares a table of descriptors between processes (`CLONE_FILES`), and remembers for a descriptor of a process how that
//! process ended (6.15 and later).

#[path = "linux/exchange.rs"]
mod exchange;
#[path = "linux/ledger.rs"]
mod ledger;
#[path = "linux/shadow.rs"]
mod shadow;

pub(crate) use exchange::{Taken, take};
pub use exchange::{end_earlier, hold};
pub(crate) use ledger::{Entered, Ledger, Row};
pub(crate) use shadow::Holder;
