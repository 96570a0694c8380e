//! How one fake program behaves in one run: drawn when it is started, the worse its temper the worse.

use std::time::Duration;

use menshen_core::{Exit, Notification, Role};
use menshen_plan::definition::{ProbeKind, ServiceType};
use menshen_plan::signal::Signal;

use crate::random::Random;

/// How good a service's programs are on the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    /// Does what it should.
    Good,
    /// Fails now and then.
    Flaky,
    /// Hardly ever works.
    Broken,
    /// Works, and does not want to end.
    Stubborn,
}

/// One program in one run.
#[derive(Debug, Clone)]
pub struct Program {
    /// How long the spawn takes to be answered.
    pub spawn_takes: Duration,
    /// Why it cannot be spawned.
    pub spawn_error: Option<&'static str>,
    /// When and how it ends by itself.
    pub ends: Option<(Duration, Exit)>,
    /// Whether its own end is the memory limit's doing.
    pub out_of_memory: bool,
    /// When it says READY=1 and prints the line its readiness and start-up probes wait for.
    pub ready_after: Option<Duration>,
    /// How it answers each of the three probes.
    pub health: [Health; 3],
    /// For how long it feeds its watchdog; `None` for ever.
    pub feeds_for: Option<Duration>,
    /// What else it says, and when.
    pub says: Vec<(Duration, Notification)>,
    /// What it does when it is asked to end.
    pub on_stop: OnStop,
    /// By how much it extends the time-out when it is asked to end.
    pub asks_for_time: Option<Duration>,
    /// Whether it dies of signals it does not know.
    pub dies_of_strange_signals: bool,
    /// What it starts.
    pub children: Vec<Child>,
    /// How long it survives SIGKILL (uninterruptible sleep).
    pub stuck_for: Duration,
    /// When one of its children becomes the main process.
    pub hands_over_after: Option<Duration>,
    /// When it takes more memory than it may on a machine whose kernel does not enforce limits.
    pub exceeds_after: Option<Duration>,
    /// How freezing it goes.
    pub freezing: Freezing,
    /// For a stop command: whether it makes the main process end.
    pub stops_main: bool,
}

/// How a program answers a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// At once, and well.
    Good,
    /// At once, and badly.
    Bad,
    /// Not at all.
    Hangs,
    /// Well, after so long.
    Slow(Duration),
    /// Well and badly in turn, each for so long.
    Flips(Duration),
    /// Well for so long, then badly.
    Sickens(Duration),
    /// Badly for so long, then well.
    Recovers(Duration),
}

/// What a process does when it is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// It dies of the signal.
    Dies,
    /// It exits by itself, after so long.
    Exits(Duration, i32),
    /// Nothing.
    Ignores,
}

/// A process that is not the main one.
#[derive(Debug, Clone, Copy)]
pub struct Child {
    /// What it does when it is asked to end.
    pub on_stop: OnStop,
    /// Whether it ends when the main process does.
    pub follows_main: bool,
    /// How long it survives SIGKILL.
    pub stuck_for: Duration,
    /// When it ends by itself.
    pub lives_for: Option<Duration>,
}

/// How freezing a tree goes.
#[derive(Debug, Clone, Copy)]
pub struct Freezing {
    /// How long freezing and thawing take.
    pub takes: Duration,
    /// Whether freezing is possible at all.
    pub works: bool,
}

impl Health {
    /// The answer of a program of this age: after how long, and which. `None` for none.
    #[must_use]
    pub const fn answer(self, age: Duration) -> Option<(Duration, bool)> {
        const AT_ONCE: Duration = Duration::from_millis(3);
        match self {
            Self::Good => Some((AT_ONCE, true)),
            Self::Bad => Some((AT_ONCE, false)),
            Self::Hangs => None,
            Self::Slow(wait) => Some((wait, true)),
            Self::Flips(phase) => {
                let phases = age.as_nanos() / if phase.as_nanos() == 0 { 1 } else { phase.as_nanos() };
                Some((AT_ONCE, phases.is_multiple_of(2)))
            }
            Self::Sickens(after) => Some((AT_ONCE, age.as_nanos() < after.as_nanos())),
            Self::Recovers(after) => Some((AT_ONCE, age.as_nanos() >= after.as_nanos())),
        }
    }
}

impl Temper {
    /// A temper.
    #[must_use]
    pub fn random(random: &mut Random) -> Self {
        random.weighted(&[(35, Self::Good), (35, Self::Flaky), (15, Self::Broken), (15, Self::Stubborn)])
    }

    /// In how many of a hundred cases something goes wrong.
    const fn trouble(self) -> u32 {
        match self {
            Self::Good => 3,
            Self::Flaky => 25,
            Self::Broken => 70,
            Self::Stubborn => 12,
        }
    }
}

impl Program {
    /// A program that does what it should.
    #[must_use]
    pub fn good(random: &mut Random, role: Role, kind: ServiceType) -> Self {
        let ends = match (role, kind) {
            (Role::Stop, _) | (Role::Main, ServiceType::Oneshot) => Some((random.millis(10, 1500), Exit::Code(0))),
            (Role::Main | Role::Fallback, _) => None,
        };
        Self {
            spawn_takes: random.millis(0, 10),
            spawn_error: None,
            ends,
            out_of_memory: false,
            ready_after: Some(random.millis(0, 800)),
            health: [Health::Good; 3],
            feeds_for: None,
            says: Vec::new(),
            on_stop: OnStop::Exits(random.millis(0, 200), 0),
            asks_for_time: None,
            dies_of_strange_signals: false,
            children: Vec::new(),
            stuck_for: Duration::ZERO,
            hands_over_after: None,
            exceeds_after: None,
            freezing: Freezing { takes: random.millis(0, 20), works: true },
            stops_main: true,
        }
    }

    /// A program of this temper.
    #[must_use]
    pub fn random(random: &mut Random, role: Role, kind: ServiceType, temper: Temper) -> Self {
        let mut program = Self::good(random, role, kind);
        let trouble = temper.trouble();
        program.draw_start(random, trouble);
        program.draw_life(random, trouble, role, kind);
        program.draw_health(random, trouble);
        program.draw_speech(random, trouble);
        program.draw_end(random, if temper == Temper::Stubborn { 75 } else { trouble });
        program.draw_family(random, if temper == Temper::Stubborn { 60 } else { trouble });
        if random.percent(trouble) {
            program.freezing.works = random.percent(70);
            program.freezing.takes = random.pick(&[0, 50, 3000, 15_000].map(Duration::from_millis));
        }
        program.stops_main = !random.percent(trouble);
        program
    }

    fn draw_start(&mut self, random: &mut Random, trouble: u32) {
        if random.percent(trouble / 4) {
            self.spawn_error = Some(random.pick(&["no such file", "permission denied", "too many open files"]));
        }
        if random.percent(trouble / 2) {
            self.spawn_takes = random.pick(&[0, 200, 2000, 12_000].map(Duration::from_millis));
        }
        if random.percent(trouble) {
            self.ready_after = random.percent(60).then(|| random.millis(0, 12_000));
        }
    }

    fn draw_life(&mut self, random: &mut Random, trouble: u32, role: Role, kind: ServiceType) {
        let runs_on = role == Role::Fallback || (role == Role::Main && kind != ServiceType::Oneshot);
        if random.percent(trouble) {
            let after = random.pick(&[0, 0, 5, 100, 1000, 5000, 20_000]);
            let exit = match random.between(0, 9) {
                0..=1 if runs_on => Exit::Code(0),
                0..=4 => Exit::Code(1),
                5 => Exit::Code(64),
                6 => Exit::Code(2),
                7 => Exit::Signal(Signal::Segv),
                _ => Exit::Signal(Signal::Kill),
            };
            self.ends = Some((Duration::from_millis(random.between(after / 2, after)), exit));
            self.out_of_memory = exit == Exit::Signal(Signal::Kill) && random.percent(60);
        } else if !runs_on && random.percent(trouble) {
            self.ends = None;
        }
        if role == Role::Main && random.percent(trouble / 6) {
            self.exceeds_after = Some(random.millis(0, 20_000));
        }
    }

    fn draw_health(&mut self, random: &mut Random, trouble: u32) {
        for kind in ProbeKind::ALL {
            if !random.percent(trouble) {
                continue;
            }
            let (wait, phase, time) = (random.millis(100, 4000), random.millis(500, 6000), random.millis(0, 15_000));
            self.health[place(kind)] = random.pick(&[
                Health::Bad,
                Health::Hangs,
                Health::Slow(wait),
                Health::Flips(phase),
                Health::Sickens(time),
                Health::Recovers(time),
            ]);
        }
        if random.percent(trouble) {
            self.feeds_for = Some(random.millis(0, 20_000));
        }
    }

    fn draw_speech(&mut self, random: &mut Random, trouble: u32) {
        let things = if random.percent(trouble) { random.between(1, 4) } else { 0 };
        for _ in 0..things {
            let word = match random.between(0, 9) {
                0 => Notification::Status("at work".to_owned()),
                1..=2 => Notification::Reloading,
                3 => Notification::Stopping,
                4 => Notification::WatchdogTrigger,
                5 => Notification::WatchdogPeriod(random.millis(0, 5000)),
                6..=7 => Notification::ExtendTimeout(random.millis(0, 20_000)),
                8 => Notification::Watchdog,
                _ => Notification::Ready,
            };
            let at = random.millis(0, 15_000);
            let comes_back = word == Notification::Reloading && random.percent(70);
            self.says.push((at, word));
            if comes_back {
                self.says.push((at + random.millis(0, 2000), Notification::Ready));
            }
        }
    }

    fn draw_end(&mut self, random: &mut Random, trouble: u32) {
        if random.percent(trouble) {
            self.on_stop = on_stop(random);
        }
        if random.percent(trouble / 4) {
            self.asks_for_time = Some(random.millis(0, 15_000));
        }
        self.dies_of_strange_signals = random.percent(trouble.max(30));
        if random.percent(trouble / 3) {
            self.stuck_for = stuck_for(random);
        }
    }

    fn draw_family(&mut self, random: &mut Random, trouble: u32) {
        let children = if random.percent(trouble.max(15)) { random.between(1, 3) } else { 0 };
        for _ in 0..children {
            self.children.push(Child {
                on_stop: on_stop(random),
                follows_main: random.percent(40),
                stuck_for: if random.percent(trouble / 4) { stuck_for(random) } else { Duration::ZERO },
                lives_for: random.percent(40).then(|| random.millis(0, 20_000)),
            });
        }
        if !self.children.is_empty() && random.percent(15) {
            self.hands_over_after = Some(random.millis(0, 3000));
        }
    }
}

fn on_stop(random: &mut Random) -> OnStop {
    match random.between(0, 9) {
        0..=2 => OnStop::Dies,
        3..=5 => OnStop::Exits(random.millis(0, 300), 0),
        6 => OnStop::Exits(random.millis(500, 8000), 0),
        7 => OnStop::Exits(random.millis(0, 2000), 1),
        _ => OnStop::Ignores,
    }
}

fn stuck_for(random: &mut Random) -> Duration {
    random.pick(&[500, 500, 2500, 2500, 8000, 40_000, 150_000].map(Duration::from_millis))
}

/// The place of a probe in [`Program::health`].
#[must_use]
pub const fn place(kind: ProbeKind) -> usize {
    match kind {
        ProbeKind::Startup => 0,
        ProbeKind::Liveness => 1,
        ProbeKind::Readiness => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_follow_the_age() {
        let second = Duration::from_secs(1);
        let well = |health: Health, age: u32| health.answer(second * age).map(|(_, well)| well);
        assert_eq!([0, 1, 2].map(|age| well(Health::Flips(second), age)), [Some(true), Some(false), Some(true)]);
        assert_eq!([0, 1].map(|age| well(Health::Sickens(second), age)), [Some(true), Some(false)]);
        assert_eq!([0, 1].map(|age| well(Health::Recovers(second), age)), [Some(false), Some(true)]);
        assert_eq!(well(Health::Hangs, 5), None);
    }

    #[test]
    fn a_good_oneshot_ends_well_and_a_good_daemon_does_not_end() {
        let mut random = Random::new(1);
        let job = Program::good(&mut random, Role::Main, ServiceType::Oneshot);
        assert!(job.ends.is_some_and(|(_, exit)| exit == Exit::Code(0)));
        assert!(Program::good(&mut random, Role::Main, ServiceType::Daemon).ends.is_none());
    }
}
