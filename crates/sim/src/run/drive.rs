//! Moving a run on: whatever is due next happens, and the guard hears of it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use menshen_core::{Effect, Event, Instant, RecordKind};

use super::Simulation;
use crate::invariants::Invariant;

/// Who is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    World,
    Timer,
    Operator,
    Guard,
}

impl Simulation {
    /// Lets time pass, with everything that happens in it.
    pub(super) fn advance(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while self.step(end) {}
    }

    /// Lets the next thing happen, if it happens before `end`. Whether to go on.
    pub(super) fn step(&mut self, end: Instant) -> bool {
        let next = self.next().filter(|(at, _)| *at <= end && !self.is_lost() && !self.checker.is_shut_down());
        let Some((at, source)) = next else {
            self.world.advance(end);
            return false;
        };
        if source == Source::World {
            if let Some(event) = self.world.happen() {
                self.give(event);
            }
            return true;
        }
        self.world.advance(at);
        match source {
            Source::Timer => {
                self.wake = None;
                self.give(Event::Timeout);
            }
            Source::Guard => self.next_guard(),
            Source::Operator | Source::World => {
                let services: Vec<_> = self.checker.model.services.keys().copied().collect();
                let action = self.operator.act(self.world.now(), &services);
                self.act(action);
            }
        }
        true
    }

    /// What is due next. At one instant, chance decides who comes first.
    fn next(&mut self) -> Option<(Instant, Source)> {
        let operator = self.operator.next().filter(|_| self.guard.is_some() && !self.calm);
        let mut due = [
            (self.world.next(), Source::World),
            (self.timer(), Source::Timer),
            (operator, Source::Operator),
            (self.guard_at.filter(|_| self.guard.is_none()), Source::Guard),
        ];
        let turn = self.random.index(due.len());
        due.rotate_left(turn);
        due.into_iter().filter_map(|(at, source)| at.map(|at| (at, source))).min_by_key(|(at, _)| *at)
    }

    /// When the guard's loop comes to the core's next time-out: usually at once, sometimes late.
    fn timer(&mut self) -> Option<Instant> {
        let at = self.guard.as_ref()?.core().poll_timeout()?;
        if let Some((_, wake)) = self.wake.filter(|(armed, _)| *armed == at) {
            return Some(wake);
        }
        let late = if self.calm { 0 } else { self.random.weighted(&[(80, 0), (15, 1), (4, 50), (1, 2000)]) };
        let wake = at.max(self.world.now()) + Duration::from_millis(late);
        self.wake = Some((at, wake));
        Some(wake)
    }

    /// Gives an event to the guard and carries out what it wants.
    pub(super) fn give(&mut self, mut event: Event) {
        let Some(guard) = &mut self.guard else { return };
        let now = self.world.now();
        (self.sabotage.event)(&mut event);
        self.events += 1;
        self.coverage.event(&event);
        self.trace.event(now, &event, &self.checker.model);
        let cut = self.cut.take();
        let before = cut.map(|_| self.checker.model.clone());
        self.checker.event(now, &event);
        let handled = catch_unwind(AssertUnwindSafe(|| {
            let mut effects = guard.handle(now, event.clone());
            (self.sabotage.effects)(&event, &mut effects);
            effects
        }));
        let effects = handled.unwrap_or_else(|payload| {
            self.panicked = true;
            self.checker.broken(Invariant::NoPanic, None, panic_text(payload.as_ref()));
            Vec::new()
        });
        self.effects += u64::try_from(effects.len()).unwrap_or_default();
        let done = cut.map_or(effects.len(), |(count, _)| count.min(effects.len()));
        for (index, effect) in effects.iter().enumerate() {
            self.coverage.effect(&event, effect);
            self.trace.effect(effect, index < done, &self.checker.model);
            self.checker.note_alert(effect, index < done);
            self.checker.effect(&event, effect, &self.world);
            if index < done {
                self.carry_out(effect);
            }
        }
        if let Some(((_, down_for), before)) = cut.zip(before) {
            self.checker.model.take_back(now, &before, &effects[..done]);
            self.lose_guard(down_for);
            return;
        }
        if self.panicked {
            return;
        }
        self.look(&event);
        if effects.iter().any(is_transition) {
            self.operator.sees_a_change(now);
        }
    }

    fn carry_out(&mut self, effect: &Effect) {
        if let Some(guard) = &mut self.guard {
            guard.keep(effect, &mut self.disk);
        }
        if let Err(what) = self.world.carry_out(effect) {
            self.checker.broken(Invariant::EffectsMakeSense, None, what);
        }
    }

    /// Looks at everything after an event.
    fn look(&mut self, event: &Event) {
        let Some(guard) = &self.guard else { return };
        let mut statuses = guard.statuses();
        (self.sabotage.statuses)(&mut statuses);
        self.checker.settled(event, &statuses, &self.world);
        for (id, status) in &statuses {
            let current = guard.core().memory(*id);
            self.checker.check_memory(*id, self.disk.get(&status.name), current.as_ref());
        }
        if guard.core().is_at_rest() {
            let mut wake = guard.core().poll_timeout();
            (self.sabotage.wake_at_rest)(&mut wake);
            self.checker.check_idle(wake);
        }
    }
}

/// What a panic said.
fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a text"))
}

const fn is_transition(effect: &Effect) -> bool {
    if let Effect::Record(record) = effect { matches!(record.kind, RecordKind::Transition { .. }) } else { false }
}
