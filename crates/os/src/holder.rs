//! What is held for the next guard while none is there: the pipes of programs with what is in them, what programs said over
//! their notify sockets, and how programs ended that nobody saw end.
//!
//! A guard has a second process, the holder. It shares the guard's table of descriptors and nothing else, sleeps as long as
//! the guard lives, and costs nothing when a descriptor is opened or closed. When the guard is killed, the table is still
//! there. The holder then keeps what is of use to a next guard, lets go of everything else (the lock and the control socket
//! first of all), and waits for that guard, who asks for it by a socket among its pipes.
//!
//! - `ledger`: which descriptor is which process, in memory that both share.
//! - `shadow`: the holder as long as the guard lives, and what it does at the guard's death.
//! - `hold`: the holder after that. `take`: the guard who asks. `packet`: what they say to each other.

#[cfg(target_os = "linux")]
#[path = "holder/linux.rs"]
pub(crate) mod platform;
#[cfg(windows)]
#[path = "holder/windows.rs"]
pub(crate) mod platform;

pub use platform::{end_earlier, hold};

/// A run of which the holder knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldRun {
    /// The how manieth of its service.
    pub number: u64,
    /// Its main process.
    pub pid: u32,
    /// Whether that has ended.
    pub ended: bool,
}
