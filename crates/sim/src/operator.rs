//! Who acts on the guard from outside: operators, editors of the definition, the power, and whoever kills the guard.

use std::time::Duration;

use menshen_core::{Command, Instant, ServiceId};
use menshen_plan::signal::Signal;

use crate::random::Random;
use crate::theme::Theme;

/// What can be done to a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A command for a service, or for one that does not exist.
    Command {
        /// Which service.
        service: ServiceId,
        /// What.
        command: Command,
        /// Whether somebody waits for the answer.
        answered: bool,
    },
    /// The definition is changed so many times, and loaded.
    Reload {
        /// How many changes.
        changes: u64,
    },
    /// A disk is full, or not any more.
    Trouble {
        /// Whether it is over.
        over: bool,
    },
    /// The guard is killed, and another one comes.
    Crash {
        /// After how many effects of the next event; `None` for at once.
        after_effects: Option<usize>,
        /// For how long there is no guard.
        down_for: Duration,
        /// Whether the definition is changed meanwhile.
        edited: bool,
    },
    /// Somebody else kills a program: an administrator, or the kernel that is out of memory.
    Murder {
        /// Whose.
        service: ServiceId,
        /// Whether the kernel says that memory was the reason.
        oom: bool,
    },
    /// The machine is started anew.
    PowerLoss,
    /// The guard is told to stop.
    Shutdown {
        /// Whether it is to hurry.
        hurry: bool,
    },
    /// The guard's loop wakes up for nothing.
    Wake,
}

/// Acts at random.
#[derive(Debug)]
pub struct Operator {
    random: Random,
    theme: Theme,
    next: Instant,
    actions_left: u64,
    /// How long it waits between actions at most, in milliseconds.
    patience: u64,
}

impl Operator {
    /// An operator who acts at most so often.
    #[must_use]
    pub fn new(now: Instant, mut random: Random, theme: Theme, actions_max: u64) -> Self {
        let drawn = random.pick(&[0, 5, 10, 20, 40, 80]);
        let patience = random.pick(&[50, 1000, 5000, 20_000]);
        let next = now + random.millis(0, patience);
        Self { random, theme, next, actions_left: drawn.min(actions_max), patience }
    }

    /// When the operator acts next, if at all.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        (self.actions_left > 0).then_some(self.next)
    }

    /// Something has changed: an operator who watches may act on it at once.
    pub fn sees_a_change(&mut self, now: Instant) {
        let often = if self.theme == Theme::Anything { 8 } else { 15 };
        if self.random.percent(often) {
            self.next = now + self.random.pick(&[0, 0, 1, 30].map(Duration::from_millis));
        }
    }

    /// The next action.
    pub fn act(&mut self, now: Instant, services: &[ServiceId]) -> Action {
        self.actions_left = self.actions_left.saturating_sub(1);
        self.next = now + self.random.millis(0, self.patience);
        self.draw(services)
    }

    /// Commands for when everything is calm: the same for all services, or any.
    pub fn last_words(&mut self, services: &[ServiceId]) -> Vec<Action> {
        let all_start = self.random.percent(40);
        let choices = [Command::Start, Command::Stop, Command::Restart, Command::Pause, Command::Continue];
        let mut words = Vec::new();
        for _ in 0..services.len() {
            let command = if all_start { Command::Start } else { self.random.pick(&choices) };
            let service = if all_start { services[words.len()] } else { self.random.pick(services) };
            words.push(Action::Command { service, command, answered: true });
        }
        words
    }

    fn draw(&mut self, services: &[ServiceId]) -> Action {
        let Self { random, theme, .. } = self;
        let crashes = if *theme == Theme::Crashing { 40 } else { 10 };
        let murders = if *theme == Theme::Freezing { 14 } else { 3 };
        let kinds = [(62, 'c'), (12, 'r'), (crashes, 'k'), (murders, 'm'), (4, 'w'), (4, 't'), (2, 'p'), (2, 's')];
        match random.weighted(&kinds) {
            'c' => command(random, *theme, services),
            'r' => Action::Reload { changes: random.between(0, 3) },
            'm' => Action::Murder { service: one_of(random, services), oom: random.percent(30) },
            'k' => Action::Crash {
                after_effects: random.percent(60).then(|| random.index(8)),
                down_for: random.pick(&[0, 0, 10, 1000, 10_000, 60_000].map(Duration::from_millis)),
                edited: random.percent(if *theme == Theme::Crashing { 25 } else { 10 }),
            },
            't' => Action::Trouble { over: random.percent(50) },
            'p' => Action::PowerLoss,
            's' => Action::Shutdown { hurry: random.percent(40) },
            _ => Action::Wake,
        }
    }
}

/// A service, or now and then one that does not exist.
fn one_of(random: &mut Random, services: &[ServiceId]) -> ServiceId {
    if services.is_empty() || random.percent(1) { ServiceId(9999) } else { random.pick(services) }
}

fn command(random: &mut Random, theme: Theme, services: &[ServiceId]) -> Action {
    let strange = random.pick(&[
        Signal::Hup,
        Signal::Usr2,
        Signal::Kill,
        Signal::Term,
        Signal::Stop,
        Signal::Cont,
        Signal::Winch,
        Signal::Realtime(3),
    ]);
    let (pauses, resets) = match theme {
        Theme::Freezing => (60, 5),
        Theme::Breaking => (3, 25),
        Theme::Anything | Theme::Crashing | Theme::Depending => (12, 8),
    };
    let command = random.weighted(&[
        (20, Command::Start),
        (20, Command::Stop),
        (20, Command::Restart),
        (pauses, Command::Pause),
        (pauses, Command::Continue),
        (resets, Command::Reset),
        (6, Command::Signal(strange)),
        (4, Command::Reload),
    ]);
    Action::Command { service: one_of(random, services), command, answered: random.percent(90) }
}
