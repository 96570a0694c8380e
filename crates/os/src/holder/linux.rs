//! Linux shares a table of descriptors between processes (`CLONE_FILES`), and remembers for a descriptor of a process how that
//! process ended (6.15 and later).

#[path = "linux/hold.rs"]
mod hold;
#[path = "linux/ledger.rs"]
mod ledger;
#[path = "linux/packet.rs"]
mod packet;
#[path = "linux/shadow.rs"]
mod shadow;
#[path = "linux/take.rs"]
mod take;

pub use hold::{end_earlier, hold};
pub(crate) use ledger::{Entered, Ledger, Row};
pub(crate) use shadow::Holder;
pub(crate) use take::{Taken, take};
