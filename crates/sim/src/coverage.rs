//! What a campaign has really tried: rows of the table of states, events, effects.

use std::collections::BTreeMap;

use menshen_core::transition::{TABLE, Trigger};
use menshen_core::{Command, Effect, Event, RecordKind, State};

macro_rules! vocabulary {
    ($(#[doc = $doc:literal])+ $list:ident, $name:ident, $type:ident { $($variant:ident),+ $(,)? }) => {
        $(#[doc = $doc])+
        pub const $list: &[&str] = &[$(stringify!($variant)),+];

        const fn $name(one: &$type) -> &'static str {
            match one {
                $($type::$variant { .. } => stringify!($variant)),+
            }
        }
    };
}

vocabulary! {
    /// Every event there is.
    EVENTS, event_name, Event {
        Begin, Timeout, Command, Spawned, SpawnFailed, MainChanged, Exited, TreeEmpty, Frozen, Adopted, FreezeFailed, Thawed,
        Probed, NotProbed, LogMatched, Notified, LimitExceeded, Unkillable, Trouble, TroubleOver, Reload, Shutdown,
    }
}

vocabulary! {
    /// Every effect there is.
    EFFECTS, effect_name, Effect {
        Remember, Spawn, Signal, Kill, Freeze, Thaw, Probe, CancelProbe, DropFds, Replanned, Removed, Record, Alert, Reply,
        ShutdownComplete,
    }
}

/// How often each thing happened.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// By the row's place in [`TABLE`].
    rows: BTreeMap<usize, u64>,
    events: BTreeMap<&'static str, u64>,
    effects: BTreeMap<&'static str, u64>,
}

impl Coverage {
    /// Counts an event.
    pub fn event(&mut self, event: &Event) {
        *self.events.entry(event_name(event)).or_default() += 1;
    }

    /// Counts an effect of an event.
    pub fn effect(&mut self, event: &Event, effect: &Effect) {
        *self.effects.entry(effect_name(effect)).or_default() += 1;
        if let Effect::Record(record) = effect
            && let RecordKind::Transition { from, to, .. } = record.kind
        {
            let row = row(event, from, to);
            row.into_iter().for_each(|row| *self.rows.entry(row).or_default() += 1);
        }
    }

    /// Adds what another run tried.
    pub fn add(&mut self, other: &Self) {
        fn add<K: Ord + Copy>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            from.iter().for_each(|(key, count)| *to.entry(*key).or_default() += count);
        }
        add(&mut self.rows, &other.rows);
        add(&mut self.events, &other.events);
        add(&mut self.effects, &other.effects);
    }

    /// Each row of the table, with how often it was taken.
    pub fn rows(&self) -> impl Iterator<Item = ((State, Trigger, State), u64)> {
        TABLE.iter().enumerate().map(|(index, row)| (*row, self.rows.get(&index).copied().unwrap_or_default()))
    }

    /// Each event, with how often it came.
    pub fn events(&self) -> impl Iterator<Item = (&'static str, u64)> {
        EVENTS.iter().map(|name| (*name, self.events.get(name).copied().unwrap_or_default()))
    }

    /// Each effect, with how often it came.
    pub fn effects(&self) -> impl Iterator<Item = (&'static str, u64)> {
        EFFECTS.iter().map(|name| (*name, self.effects.get(name).copied().unwrap_or_default()))
    }
}

/// The row that was taken. Where two lead from one state to the same other, the event tells which.
fn row(event: &Event, from: State, to: State) -> Option<usize> {
    let reset = matches!(event, Event::Command { command: Command::Reset, .. });
    let mut rows = TABLE.iter().enumerate().filter(|(_, row)| (row.0, row.2) == (from, to)).peekable();
    let first = rows.peek().map(|(index, _)| *index);
    rows.find(|(_, row)| (row.1 == Trigger::Reset) == reset).map(|(index, _)| index).or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_states_has_rows_the_event_can_tell_apart() {
        for (from, _, to) in TABLE {
            let rows: Vec<_> = TABLE.iter().filter(|row| (row.0, row.2) == (*from, *to)).collect();
            let resets = rows.iter().filter(|row| row.1 == Trigger::Reset).count();
            assert!(rows.len() - resets <= 1 && resets <= 1, "{from} to {to}");
        }
    }
}
