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

use std::collections::HashSet;

pub use platform::{end_earlier, hold};

/// So many ends wait to be noted, at most, where each is of another program; a program that ends again and again has its
/// latest kept from there on.
const UNNOTED_MAX: usize = 1024;

/// Which process of which program a descriptor is, as one guard tells the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldProcess {
    /// The program.
    pub place: u64,
    /// The how manieth run of it.
    pub run: u64,
    /// The process.
    pub pid: u32,
}

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

/// Drops the earlier ends of each program where too many wait to be noted; its latest tells the next guard what became of it.
pub(crate) fn thin_out<T>(ended: &mut Vec<T>, place: impl Fn(&T) -> u64) {
    if ended.len() <= UNNOTED_MAX {
        return;
    }
    let mut seen = HashSet::new();
    let latest = ended.drain(..).rev().filter(|end| seen.insert(place(end)));
    let latest: Vec<T> = latest.collect();
    ended.extend(latest.into_iter().rev());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_program_the_latest_end_is_kept_whatever_comes() {
        let mut ended: Vec<(u64, usize)> = (0..UNNOTED_MAX).map(|run| (7, run)).collect();
        thin_out(&mut ended, |(place, _)| *place);
        assert_eq!(ended.len(), UNNOTED_MAX);
        ended.extend([(8, 1), (7, UNNOTED_MAX), (8, 2), (9, 1)]);
        thin_out(&mut ended, |(place, _)| *place);
        assert_eq!(ended, [(7, UNNOTED_MAX), (8, 2), (9, 1)]);
        let many = 2 * UNNOTED_MAX;
        ended.extend((10..).zip([1; 2 * UNNOTED_MAX]));
        thin_out(&mut ended, |(place, _)| *place);
        assert_eq!(ended.len(), 3 + many, "each is of another");
    }
}
