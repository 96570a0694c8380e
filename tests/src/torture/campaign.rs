//! The campaign: kills, what goes on meanwhile, and the checks between.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use menshen_os::fail_point::{FailPoint, VARIABLE};

use super::checks::{self, Killed, Waiting};
use super::notes::Notes;
use super::operator::{Operator, Outcome, Verb};
use super::world::{CAST, Part, definition, of};
use crate::command::built;
use crate::wait::{DEADLINE, until, within};
use crate::{Bed, Process, Signal, State, Trees, require};

/// So many kills come between two looks at everything.
const KILLS_BETWEEN_CHECKS: u32 = 25;
/// A kill comes this long after the start of a guard at the latest.
const KILL_WITHIN: Duration = Duration::from_millis(700);
/// A third of them come sooner: while the guard takes over.
const KILL_EARLY_WITHIN: Duration = Duration::from_millis(60);
/// No guard is there for this long at most.
const GAP: Duration = Duration::from_millis(120);
/// A point is reached for the how manieth time at most.
const COUNT_MAX: u32 = 12;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orders {
    /// The same seed makes the same choices; what the machine makes of them differs.
    pub seed: u64,
    /// How often the guard is killed, besides once at each fail-point.
    pub kills: u32,
    /// How trees are held together.
    pub trees: Trees,
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Kills at a random moment.
    pub at_random: u32,
    /// Kills at each fail-point.
    pub at_points: BTreeMap<&'static str, u32>,
    /// Lives of programs.
    pub lives: u64,
    /// Programs that were killed while there was a guard, and while there was none.
    pub programs_killed: [u32; 2],
    /// Commands that were answered, and those the guard died over.
    pub commands: [u64; 2],
    /// Log lines that were looked at in the end.
    pub lines: u64,
}

impl Counts {
    fn guards_killed(&self) -> u64 {
        u64::from(self.at_random + self.at_points.values().sum::<u32>())
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, at_random) = (self.guards_killed(), self.at_random);
        let at_points = all - u64::from(at_random);
        writeln!(formatter, "guards killed: {all} ({at_random} at a random moment, {at_points} at fail-points)")?;
        for (point, count) in &self.at_points {
            writeln!(formatter, "  {point:24} {count:>5}")?;
        }
        writeln!(
            formatter,
            "lives of programs: {}, of which ended by the campaign with a guard {}, without {}",
            self.lives, self.programs_killed[0], self.programs_killed[1]
        )?;
        writeln!(
            formatter,
            "commands: {} answered, all carried out; {} the guard died over",
            self.commands[0], self.commands[1]
        )?;
        write!(formatter, "log lines: {}, none missing, doubled or out of order", self.lines)
    }
}

/// Tortures a guard; what was done, if it kept every promise.
///
/// # Panics
/// When it did not, with what was broken.
#[must_use]
pub fn torture(orders: Orders) -> Counts {
    let mut campaign = Campaign::begin(orders);
    campaign.visit_every_point();
    for kill in 1..=orders.kills {
        campaign.round();
        if kill % KILLS_BETWEEN_CHECKS == 0 {
            campaign.check();
        }
    }
    campaign.check();
    campaign.end()
}

struct Campaign {
    bed: Bed,
    random: fastrand::Rng,
    operator: Operator,
    killed: Killed,
    counts: Counts,
    folder: PathBuf,
    menshen: PathBuf,
    /// The kernel remembers how a process ended that nobody saw end.
    exits_are_remembered: bool,
}

impl Campaign {
    fn begin(orders: Orders) -> Self {
        let bed = Bed::new(orders.trees, "").keep_if_it_fails();
        let folder = bed.path("notes");
        fs::create_dir(&folder).unwrap();
        let campaign = Self {
            random: fastrand::Rng::with_seed(orders.seed),
            operator: Operator::of(&bed),
            killed: Killed::new(),
            counts: Counts::default(),
            menshen: built("menshen-with-fail-points"),
            exits_are_remembered: require::exits_are_remembered(),
            folder,
            bed,
        };
        campaign.define(true);
        campaign
    }

    fn define(&self, with_guest: bool) {
        self.bed.write("menshen.toml", definition(&built("chronicler"), &self.folder, with_guest));
    }

    /// Starts a guard, which dies at a point if one is given.
    fn start(&self, point: Option<(FailPoint, u32)>) -> Child {
        let said = File::options().create(true).append(true).open(self.bed.path("guard.out")).unwrap();
        let mut command = self.bed.guard_command(&self.menshen);
        if let Some((point, count)) = point {
            command.env(VARIABLE, format!("{}:{count}", point.name()));
        }
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        command.spawn().unwrap()
    }

    /// Kills a guard at each fail-point in turn. One that cannot be reached is a promise nobody looks at.
    fn visit_every_point(&mut self) {
        for point in FailPoint::ALL.iter().copied().filter(|point| *point != FailPoint::EndRemembered) {
            if point == FailPoint::RecordRemoved {
                self.define(false);
            } else if point == FailPoint::PipeMade {
                self.define(true);
            }
            let mut guard = self.start(Some((point, 1)));
            let end = Instant::now() + DEADLINE;
            while guard.try_wait().unwrap().is_none() {
                assert!(Instant::now() < end, "the fail-point {} is not reached", point.name());
                self.act();
            }
            self.guard_died(guard, point);
            self.check_always();
        }
        // The guest has to be there from now on.
        self.define(true);
        self.check();
    }

    /// One guard's life, and what comes after it.
    fn round(&mut self) {
        let points = FailPoint::ALL.iter().copied().filter(|point| !is_special(*point)).collect::<Vec<_>>();
        let point = points[self.random.usize(..points.len())];
        let armed = self.random.bool().then(|| (point, self.random.u32(1..=COUNT_MAX)));
        let latest = if self.random.u8(..3) == 0 { KILL_EARLY_WITHIN } else { KILL_WITHIN };
        let moment = Instant::now() + latest.mul_f64(self.random.f64());
        let mut guard = self.start(armed);
        while guard.try_wait().unwrap().is_none() {
            if Instant::now() >= moment {
                guard.kill().unwrap();
                break;
            }
            self.act();
        }
        self.guard_died(guard, point);
        if self.random.u8(..4) == 0 {
            self.kill_a_program(1);
        }
        // Programs live on, and die, without a guard.
        std::thread::sleep(GAP.mul_f64(self.random.f64()));
        self.check_always();
    }

    /// Counts a death: at the point that was armed, or by the campaign's hand.
    fn guard_died(&mut self, mut guard: Child, point: FailPoint) {
        let was_killed = guard.try_wait().unwrap().is_none();
        let status = guard.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "the guard ended by itself: {status}");
        if was_killed {
            self.counts.at_random += 1;
        } else {
            *self.counts.at_points.entry(point.name()).or_default() += 1;
        }
    }

    /// Does one thing to what is guarded, or only looks.
    fn act(&mut self) {
        match self.random.u8(..12) {
            0 => self.kill_a_program(0),
            1..=5 => self.give_a_command(),
            6..=8 => self.send_on_an_errand(),
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(self.random.u64(..15)));
    }

    fn give_a_command(&mut self) {
        let commanded: Vec<_> = of(Part::Commanded).collect();
        let name = commanded[self.random.usize(..commanded.len())].name;
        let verb = [Verb::Start, Verb::Stop, Verb::Restart][self.random.usize(..3)];
        let notes = Notes::of(&self.folder, name);
        if let Outcome::Refused(why) = self.operator.command(name, verb, &notes) {
            panic!("{verb:?} of {name} was refused: {why}");
        }
    }

    /// Has a one-shot started, if it is at rest and nobody is in doubt about it.
    fn send_on_an_errand(&mut self) {
        let errands: Vec<_> = of(Part::Errand).collect();
        let name = errands[self.random.usize(..errands.len())].name;
        let Outcome::Answered(service) = self.operator.service(name) else { return };
        if matches!(service.state, State::Completed | State::Stopped) {
            let notes = Notes::of(&self.folder, name);
            if let Outcome::Refused(why) = self.operator.command(name, Verb::Start, &notes) {
                panic!("the start of {name} was refused: {why}");
            }
        }
    }

    /// Kills a program that is there to die.
    fn kill_a_program(&mut self, without_guard: usize) {
        let mortals: Vec<_> = of(Part::Mortal).collect();
        let name = mortals[self.random.usize(..mortals.len())].name;
        let notes = Notes::of(&self.folder, name);
        let Some((life, last)) = notes.lives.iter().next_back().filter(|(_, last)| last.code.is_none()) else { return };
        let Some(process) = Process::find(last.pid).filter(Process::lives) else { return };
        if Notes::of(&self.folder, name) == notes && process.signal(Signal::KILL) {
            self.killed.entry(name).or_default().insert(*life);
            self.counts.programs_killed[without_guard] += 1;
        }
    }

    /// Ends of programs that a next guard may not have known.
    fn unseen(&self) -> u64 {
        if self.exits_are_remembered { 0 } else { self.counts.guards_killed() }
    }

    fn check_always(&self) {
        let checked = checks::all_always(&self.folder, &self.killed, &self.operator, self.unseen());
        checked.unwrap_or_else(|wrong| panic!("{wrong}"));
    }

    /// Lets a guard come to rest and looks at everything.
    fn check(&mut self) {
        let mut guard = self.start(None);
        let mut wrong = Vec::new();
        let all_is_well = within(DEADLINE, || {
            assert_eq!(guard.try_wait().unwrap(), None, "the guard ended by itself");
            self.check_always();
            let look = |cast| {
                let notes = Notes::of(&self.folder, cast_name(cast));
                let killed = self.counts.guards_killed();
                checks::settled(&self.folder, cast, &notes, &self.operator, (killed, self.unseen())).err()
            };
            wrong = CAST.iter().filter_map(look).collect();
            wrong.is_empty()
        });
        assert!(all_is_well, "{}", wrong.join("\n"));
        self.clear_doubts();
        self.check_events();
        guard.kill().unwrap();
        guard.wait().unwrap();
        self.counts.at_random += 1;
        self.check_logs(Waiting::Maybe);
    }

    /// What nobody could know is known now.
    fn clear_doubts(&mut self) {
        for cast in &CAST {
            let starts = Notes::of(&self.folder, cast.name).starts();
            let Outcome::Answered(service) = self.operator.service(cast.name) else {
                panic!("a guard that lives answers")
            };
            let Some(ledger) = self.operator.ledgers.get_mut(cast.name) else { continue };
            ledger.wanted = Some(service.wanted == menshen_api::types::Wanted::Up);
            ledger.life_after = 0;
            ledger.starts_max = if cast.part == Part::Errand { starts } else { starts.saturating_sub(1) };
            self.counts.commands[0] += ledger.answered;
            self.counts.commands[1] += ledger.unclear;
            ledger.settled += ledger.answered;
            ledger.doubted += ledger.unclear;
            (ledger.answered, ledger.unclear) = (0, 0);
            ledger.starts_before = starts;
        }
    }

    /// The guard's own account has every command that was answered, and no more than were given.
    fn check_events(&self) {
        let told = self.operator.count_events(|event| event.kind == "command");
        for (name, ledger) in &self.operator.ledgers {
            let told = told.get(*name).copied().unwrap_or(0);
            let expected = ledger.settled..=ledger.settled + ledger.doubted;
            assert!(expected.contains(&told), "{name}: {told} commands in the journal, {expected:?} given");
        }
    }

    fn check_logs(&mut self, waiting: Waiting) {
        let logs = self.bed.home().join("logs").join(self.bed.instance());
        self.counts.lines = checks::logs(&logs, &self.folder, &CAST, waiting).unwrap_or_else(|wrong| panic!("{wrong}"));
    }

    /// Ends everything in order, dies at the end of that, and sees that nothing is left.
    fn end(mut self) -> Counts {
        let mut guard = self.start(Some((FailPoint::EndRemembered, 1)));
        until("the guard answers", || matches!(self.operator.service("rock"), Outcome::Answered(_)));
        assert!(Process::of(guard.id()).signal(Signal::TERM));
        assert!(within(DEADLINE, || guard.try_wait().unwrap().is_some()), "the guard ends in order");
        self.guard_died(guard, FailPoint::EndRemembered);
        until("nothing that was guarded is left", || self.bed.processes().is_empty());
        self.check_logs(Waiting::Nothing);
        self.counts.lives = CAST.iter().map(|cast| Notes::of(&self.folder, cast.name).starts()).sum();
        self.counts
    }
}

/// Points that are not come by in the course of things.
const fn is_special(point: FailPoint) -> bool {
    matches!(point, FailPoint::RecordRemoved | FailPoint::PipeMade | FailPoint::EndRemembered)
}

const fn cast_name(cast: &super::world::Cast) -> &'static str {
    cast.name
}
