//! How what is guarded stands, in one line, for whoever asks the service manager.

use menshen_core::State;
use menshen_plan::count::counted;

/// How a service stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub name: String,
    pub state: State,
    /// Whether it can be used.
    pub ready: bool,
    /// Why it is in this state.
    pub reason: String,
}

/// What is not well, the worst first; what is on its way and what somebody wants to be down is well.
const ILLS: [(Ill, &str); 5] = [
    (Ill::Failed, "failed"),
    (Ill::Tripped, "tripped"),
    (Ill::Backoff, "backoff"),
    (Ill::Paused, "paused"),
    (Ill::Unready, "not ready"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ill {
    Failed,
    Tripped,
    Backoff,
    Paused,
    Unready,
}

fn ill(state: State, ready: bool) -> Option<Ill> {
    match state {
        State::Failed => Some(Ill::Failed),
        State::Tripped => Some(Ill::Tripped),
        State::Backoff => Some(Ill::Backoff),
        State::Pausing | State::Paused => Some(Ill::Paused),
        State::Running if !ready => Some(Ill::Unready),
        State::Running
        | State::Stopped
        | State::Waiting
        | State::Starting
        | State::Continuing
        | State::Stopping
        | State::Completed => None,
    }
}

/// The line of a guard of one service: that service's state, and why where it is not well.
pub(super) fn of_one(standing: &Standing) -> String {
    let Standing { name, state, ready, reason } = standing;
    match ill(*state, *ready) {
        None => format!("guarding {name}: {state}"),
        Some(Ill::Unready) => format!("guarding {name}: {state}, not ready"),
        Some(Ill::Failed | Ill::Tripped | Ill::Backoff | Ill::Paused) => format!("guarding {name}: {state}, {reason}"),
    }
}

/// The line of a guard of several: how many there are, and how many are not well.
pub(super) fn of_several(services: impl Iterator<Item = (State, bool)>) -> String {
    let mut counts = [0_usize; ILLS.len()];
    let mut all = 0_usize;
    for (state, ready) in services {
        all += 1;
        let found = ill(state, ready);
        ILLS.iter().zip(&mut counts).filter(|((ill, _), _)| Some(*ill) == found).for_each(|(_, count)| *count += 1);
    }
    let told = ILLS.iter().zip(counts).filter(|(_, count)| *count > 0);
    let told: Vec<String> = told.map(|((_, what), count)| format!("{count} {what}")).collect();
    let services = counted(all, "service", "services");
    if told.is_empty() { format!("guarding {services}") } else { format!("guarding {services}: {}", told.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(state: State, ready: bool) -> String {
        of_one(&Standing { name: "web".to_owned(), state, ready, reason: "exit 3".to_owned() })
    }

    #[test]
    fn what_is_not_well_is_counted_the_worst_first_and_all_else_is_not_spoken_of() {
        let all = State::ALL.into_iter().map(|state| (state, true));
        assert_eq!(of_several(all), "guarding 12 services: 1 failed, 1 tripped, 1 backoff, 2 paused");
        let some = [(State::Running, true), (State::Running, false), (State::Failed, false), (State::Failed, false)];
        assert_eq!(of_several(some.into_iter()), "guarding 4 services: 2 failed, 1 not ready");
        assert_eq!(of_several([(State::Running, true)].into_iter()), "guarding 1 service");
        let well = [State::Running, State::Completed, State::Stopped];
        assert_eq!(of_several(well.map(|state| (state, true)).into_iter()), "guarding 3 services");
        assert_eq!(of_several(std::iter::empty()), "guarding 0 services");
    }

    #[test]
    fn one_that_is_alone_is_shown_as_what_it_is() {
        assert_eq!(one(State::Running, true), "guarding web: running");
        assert_eq!(one(State::Running, false), "guarding web: running, not ready");
        assert_eq!(one(State::Starting, false), "guarding web: starting");
        assert_eq!(one(State::Completed, true), "guarding web: completed");
        for state in [State::Failed, State::Tripped, State::Backoff, State::Paused] {
            assert_eq!(one(state, false), format!("guarding web: {state}, exit 3"));
        }
    }
}
