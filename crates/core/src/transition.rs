//! The table of states: every change there is, and the only place where one is looked up.
//!
//! What a service *does* in a change is in `service`; that a change *exists* is here. The diagram in the docs is drawn from
//! this table.

use crate::state::State;

/// What moves a service from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// Everything it needs is there: its program is spawned.
    Start,
    /// Something it needs is not there yet.
    Block,
    /// The start-up probe or READY=1 has come, or nothing was outstanding.
    Up,
    /// It is to be frozen.
    Pause,
    /// Its tree is frozen.
    Freeze,
    /// It is to be thawed, or could not be frozen.
    Continue,
    /// Its tree runs again.
    Thaw,
    /// Its program, or what is left of it, is to be ended.
    Stop,
    /// It ended and stays so.
    End,
    /// It died and will be started again.
    Crash,
    /// It died too often: the breaker opens.
    Trip,
    /// It will not be started again by itself.
    GiveUp,
    /// Its one-shot ended well.
    Complete,
    /// An operator forgave it.
    Reset,
}

impl Trigger {
    /// The word in the diagram.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Block => "dependency missing",
            Self::Up => "up",
            Self::Pause => "pause",
            Self::Freeze => "frozen",
            Self::Continue => "continue",
            Self::Thaw => "thawed",
            Self::Stop => "stop",
            Self::End => "ended",
            Self::Crash => "died",
            Self::Trip => "breaker opens",
            Self::GiveUp => "gave up",
            Self::Complete => "exit 0",
            Self::Reset => "reset",
        }
    }
}

/// Every change of state there is.
pub const TABLE: &[(State, Trigger, State)] = {
    use State::{
        Backoff, Completed, Continuing, Failed, Paused, Pausing, Running, Starting, Stopped, Stopping, Tripped, Waiting,
    };
    use Trigger::{Block, Complete, Continue, Crash, End, Freeze, GiveUp, Pause, Reset, Start, Stop, Thaw, Trip, Up};
    &[
        (Stopped, Start, Starting),
        (Stopped, Block, Waiting),
        (Completed, Start, Starting),
        (Completed, Block, Waiting),
        (Failed, Start, Starting),
        (Failed, Block, Waiting),
        (Failed, Reset, Stopped),
        (Failed, End, Stopped),
        (Waiting, Start, Starting),
        (Waiting, Stop, Stopping),
        (Waiting, End, Stopped),
        (Starting, Up, Running),
        (Starting, Stop, Stopping),
        (Starting, End, Stopped),
        (Starting, Crash, Backoff),
        (Starting, Trip, Tripped),
        (Starting, GiveUp, Failed),
        (Starting, Complete, Completed),
        (Running, Pause, Pausing),
        (Running, Stop, Stopping),
        (Running, End, Stopped),
        (Running, Crash, Backoff),
        (Running, Trip, Tripped),
        (Running, GiveUp, Failed),
        (Running, Complete, Completed),
        (Pausing, Freeze, Paused),
        (Pausing, Continue, Continuing),
        (Pausing, Stop, Stopping),
        (Pausing, End, Stopped),
        (Pausing, Crash, Backoff),
        (Pausing, Trip, Tripped),
        (Pausing, GiveUp, Failed),
        (Pausing, Complete, Completed),
        (Paused, Continue, Continuing),
        (Paused, Stop, Stopping),
        (Paused, End, Stopped),
        (Paused, Crash, Backoff),
        (Paused, Trip, Tripped),
        (Paused, GiveUp, Failed),
        (Paused, Complete, Completed),
        (Continuing, Thaw, Running),
        (Continuing, Pause, Pausing),
        (Continuing, Stop, Stopping),
        (Continuing, End, Stopped),
        (Continuing, Crash, Backoff),
        (Continuing, Trip, Tripped),
        (Continuing, GiveUp, Failed),
        (Continuing, Complete, Completed),
        (Stopping, Start, Starting),
        (Stopping, Block, Waiting),
        (Stopping, End, Stopped),
        (Stopping, Crash, Backoff),
        (Stopping, Trip, Tripped),
        (Stopping, GiveUp, Failed),
        (Stopping, Complete, Completed),
        (Backoff, Start, Starting),
        (Backoff, Block, Waiting),
        (Backoff, Stop, Stopping),
        (Backoff, End, Stopped),
        (Tripped, Start, Starting),
        (Tripped, Stop, Stopping),
        (Tripped, End, Stopped),
    ]
};

/// Where a trigger leads from a state; `None` if it leads nowhere.
#[must_use]
pub fn next(from: State, trigger: Trigger) -> Option<State> {
    TABLE.iter().find(|(state, by, _)| *state == from && *by == trigger).map(|(.., to)| *to)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_trigger_leads_to_one_state_only() {
        let pairs: BTreeSet<_> = TABLE.iter().map(|(from, trigger, _)| (*from, *trigger)).collect();
        assert_eq!(pairs.len(), TABLE.len());
    }

    #[test]
    fn every_state_can_be_reached_and_left() {
        for state in State::ALL {
            assert!(TABLE.iter().any(|(from, ..)| *from == state), "{state} cannot be left");
            assert!(TABLE.iter().any(|(.., to)| *to == state), "{state} cannot be reached");
        }
    }

    #[test]
    fn whatever_runs_can_be_stopped() {
        for state in State::ALL.into_iter().filter(|state| !state.is_at_rest()) {
            let ends = next(state, Trigger::Stop).is_some() || next(state, Trigger::End).is_some();
            assert!(ends, "{state} cannot be stopped");
        }
    }
}
