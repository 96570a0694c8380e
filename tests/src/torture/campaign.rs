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
use super::world::{CAST, FALLBACK, GUEST, PATIENCE_MS, Part, definition, of};
use crate::command::built;
use crate::wait::{DEADLINE, until, within};
use crate::{Bed, Process, Signal, State, Trees, Wanted, require};

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
    /// Upgrades that were answered, those the guard died over, and those after which the next version said that it guards.
    pub upgrades: [u64; 3],
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
        writeln!(
            formatter,
            "upgrades: {} answered, {} the guard died over; {} done",
            self.upgrades[0], self.upgrades[1], self.upgrades[2]
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
    let _again = Again(orders);
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

/// Says how to do the same once more, if it fails.
struct Again(Orders);

impl Drop for Again {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again: {}", self.0.again());
        }
    }
}

impl Orders {
    /// The command that follows them.
    #[must_use]
    pub fn again(&self) -> String {
        let Self { seed, kills, trees } = self;
        format!("MENSHEN_TREES={} cargo xtask torture --seed {seed} --kills {kills}", trees.as_str())
    }
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
        let mut campaign = Self {
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

    /// Writes the definition. A guard reads one whole or the other: what is not in it is stopped, and what is in it again is
    /// started.
    fn define(&mut self, with_guest: bool) {
        self.operator.ledgers.entry(GUEST.name).or_default().starts_max += u64::from(with_guest);
        let beside = self.bed.path("next.toml");
        fs::write(&beside, definition(&built("chronicler"), &self.folder, with_guest)).unwrap();
        fs::rename(beside, self.bed.path("menshen.toml")).unwrap();
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
        // Those of a journal that begins come first, while there is nothing in it.
        self.visit(FailPoint::JournalMigrated);
        self.damage_journal();
        self.visit(FailPoint::JournalPutAside);
        for point in FailPoint::ALL.iter().copied().filter(|point| !is_of_begin_or_end(*point)) {
            if point == FailPoint::RecordRemoved {
                self.define(false);
            } else if point == FailPoint::PipeMade {
                self.define(true);
            }
            self.visit(point);
            if point == FailPoint::LogTailForgotten {
                // What is left of a log that is being closed is seen to by the next guard only if its service is there.
                self.define(true);
            }
        }
        self.check();
    }

    fn visit(&mut self, point: FailPoint) {
        let mut guest_is_there = false;
        let mut guard = self.start(Some((point, 1)));
        let end = Instant::now() + DEADLINE;
        while guard.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the fail-point {} is not reached", point.name());
            self.act();
            if is_of_upgrade(point) {
                self.upgrade();
            } else if point == FailPoint::LogTailForgotten {
                self.define(guest_is_there);
                self.reload();
                guest_is_there = !guest_is_there;
            }
        }
        self.guard_died(guard, point);
        self.check_always();
    }

    /// Leaves a journal that none can be. What lies beside one would mend it.
    fn damage_journal(&self) {
        let folder = self.bed.home().join("state").join(self.bed.instance());
        for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
            fs::write(folder.join(name), "this is no journal\n".repeat(1000)).unwrap();
        }
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
        match self.random.u8(..16) {
            0 => self.kill_a_program(0),
            1..=5 => self.give_a_command(),
            6..=8 => self.send_on_an_errand(),
            9 => self.pause_or_continue(),
            10 => self.say_something(),
            11 => self.reload(),
            12 => self.upgrade(),
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(self.random.u64(..15)));
    }

    fn give_a_command(&mut self) {
        let name = self.one_of(Part::Commanded);
        let verb = [Verb::Start, Verb::Stop, Verb::Restart][self.random.usize(..3)];
        self.order(name, verb);
    }

    /// Pauses what runs, or has it go on.
    fn pause_or_continue(&mut self) {
        let name = self.one_of(Part::Paused);
        let Outcome::Answered(service) = self.operator.service(name) else { return };
        let verb = if service.wanted == Wanted::Paused { Verb::Continue } else { Verb::Pause };
        self.order(name, verb);
    }

    /// Asks of a program what does not change whether it runs.
    fn say_something(&mut self) {
        let (name, verb) = match self.random.u8(..3) {
            0 => (self.one_of(Part::Mortal), Verb::Reset),
            1 => ("brook", Verb::Reload),
            _ => (self.one_of(Part::Steady), Verb::Signal),
        };
        let Outcome::Answered(service) = self.operator.service(name) else { return };
        if verb == Verb::Reset || service.pid.is_some() {
            self.order(name, verb);
        }
    }

    /// Has the definition read again; nothing in it has changed.
    fn reload(&mut self) {
        if let Outcome::Refused(why) = self.operator.reload() {
            panic!("the reload was refused: {why}");
        }
    }

    /// Has another guard go on in the place of this one.
    fn upgrade(&mut self) {
        match self.operator.upgrade(&self.menshen) {
            Outcome::Answered(_) => self.counts.upgrades[0] += 1,
            Outcome::Unclear => self.counts.upgrades[1] += 1,
            // The one before may not be done yet.
            Outcome::Refused(why) => assert!(why.contains("under way"), "the upgrade was refused: {why}"),
            Outcome::Unheard => {}
        }
    }

    fn one_of(&mut self, part: Part) -> &'static str {
        let all: Vec<_> = of(part).collect();
        all[self.random.usize(..all.len())].name
    }

    /// Gives a command that there is no reason to refuse.
    fn order(&mut self, name: &'static str, verb: Verb) {
        let notes = Notes::of(&self.folder, name);
        if let Outcome::Refused(why) = self.operator.command(name, verb, &notes) {
            panic!("{verb:?} of {name} was refused: {why}");
        }
    }

    /// Has a one-shot started, if it is at rest and nobody is in doubt about it.
    fn send_on_an_errand(&mut self) {
        let name = self.one_of(Part::Errand);
        let Outcome::Answered(service) = self.operator.service(name) else { return };
        if matches!(service.state, State::Completed | State::Stopped) {
            self.order(name, Verb::Start);
        }
    }

    /// Kills a program that is there to die.
    fn kill_a_program(&mut self, without_guard: usize) {
        let name = self.one_of(Part::Mortal);
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
        // What dies all the time is well at some time, and not all of it at the same.
        let mut unsettled: Vec<_> = CAST.iter().collect();
        let mut wrong = Vec::new();
        let all_is_well = within(DEADLINE, || {
            assert_eq!(guard.try_wait().unwrap(), None, "the guard ended by itself");
            self.check_always();
            let look = |cast| {
                let notes = Notes::of(&self.folder, cast_name(cast));
                let killed = self.counts.guards_killed();
                checks::settled(&self.folder, cast, &notes, &self.operator, (killed, self.unseen())).err()
            };
            let looked: Vec<_> = unsettled.drain(..).filter_map(|cast| Some((cast, look(cast)?))).collect();
            (unsettled, wrong) = looked.into_iter().unzip();
            wrong.is_empty()
        });
        assert!(all_is_well, "{}", wrong.join("\n"));
        self.check_fallbacks();
        // A child looks like its parent until it executes its program.
        let mut strays = Vec::new();
        let is_tidy = within(DEADLINE, || {
            strays = checks::strays(&self.folder, self.bed.processes());
            strays.is_empty()
        });
        assert!(is_tidy, "processes that nobody needs: {strays:?}");
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
            ledger.wanted = Some(service.wanted == Wanted::Up);
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

    /// One at most stands in for what has failed.
    fn check_fallbacks(&self) {
        let is_fallback = |process: &Process| process.command() == FALLBACK;
        let fallbacks: Vec<Process> = self.bed.processes().into_iter().filter(is_fallback).collect();
        assert!(fallbacks.len() <= 1, "more than one fallback: {fallbacks:?}");
    }

    /// The guard's own account has every command that was answered, and no more than were given.
    fn check_events(&mut self) {
        let events = self.operator.events();
        let mut told: BTreeMap<&str, u64> = BTreeMap::new();
        for event in events.iter().filter(|event| event.kind == "command") {
            *told.entry(event.service.as_deref().unwrap_or_default()).or_default() += 1;
        }
        let [answered, unclear, done] = &mut self.counts.upgrades;
        *done = events.iter().filter(|event| event.kind == "upgraded").count() as u64;
        assert!(*done <= *answered + *unclear, "{done} upgrades of {answered} and {unclear}");
        let failed = events.iter().find(|event| event.reason.contains("could not take over"));
        assert!(failed.is_none(), "{failed:?}");
        for (name, ledger) in &self.operator.ledgers {
            let told = told.get(*name).copied().unwrap_or(0);
            let expected = ledger.settled..=ledger.settled + ledger.doubted;
            assert!(expected.contains(&told), "{name}: {told} commands in the journal, {expected:?} given");
        }
    }

    /// Who waits has waited as long as he was to and not for as long anew with each guard: mostly, for there is not always one.
    fn check_waits(&self) {
        for cast in of(Part::Patient) {
            let mut waits = Notes::of(&self.folder, cast.name).waits_ms();
            waits.sort_unstable();
            let median = waits.get(waits.len() / 2).copied().unwrap_or_default();
            assert!(median < 3 * PATIENCE_MS, "{}: {waits:?}", cast.name);
        }
    }

    fn check_logs(&mut self, waiting: Waiting) {
        let logs = self.bed.home().join("logs").join(self.bed.instance());
        self.counts.lines = checks::logs(&logs, &self.folder, waiting).unwrap_or_else(|wrong| panic!("{wrong}"));
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
        self.check_waits();
        assert!(self.counts.upgrades[2] > 0, "no upgrade was done");
        self.counts.lives = CAST.iter().map(|cast| Notes::of(&self.folder, cast.name).starts()).sum();
        self.counts
    }
}

/// Points that are come by when a journal begins, and at the orderly end.
const fn is_of_begin_or_end(point: FailPoint) -> bool {
    matches!(point, FailPoint::JournalMigrated | FailPoint::JournalPutAside | FailPoint::EndRemembered)
}

/// Points a guard comes by when another goes on in its place.
const fn is_of_upgrade(point: FailPoint) -> bool {
    matches!(point, FailPoint::RoomMade | FailPoint::HandoverReady | FailPoint::HandoverTaken)
}

/// Points that are not come by in the course of things.
const fn is_special(point: FailPoint) -> bool {
    matches!(point, FailPoint::RecordRemoved | FailPoint::PipeMade | FailPoint::LogTailForgotten)
        || is_of_begin_or_end(point)
}

const fn cast_name(cast: &super::world::Cast) -> &'static str {
    cast.name
}
