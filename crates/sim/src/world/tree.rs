//! One tree of processes: the main one, what it started, and what signals and the freezer do to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use menshen_core::{Exit, Instant, Notification, Role, RunId, SignalTarget};
use menshen_plan::definition::{ProbeKind, ServiceType};
use menshen_plan::plan::ProbeCheck;
use menshen_plan::signal::Signal;
use menshen_plan::{ServiceName, ServicePlan};

use super::report::{News, Report};
use super::{Hands, Happening, TreeId};
use crate::program::{Child, Health, OnStop, Program};
use crate::theme::Theme;

/// How often a program does what it does regularly, unless its watchdog asks for more.
const BEAT: Duration = Duration::from_secs(1);

/// The processes of one start of one program.
#[derive(Debug)]
pub struct Tree {
    /// The world's name for it.
    pub(super) id: TreeId,
    /// Whose it is.
    pub name: ServiceName,
    /// What it is to its service.
    pub role: Role,
    /// The how manieth start.
    pub number: u64,
    /// What the guard that is there now calls it; `None` if it does not know of it.
    pub run: Option<RunId>,
    /// Whether the guard has let go of it: the main process ended, and the rest may stay (`stop.tree = false`).
    pub let_go: bool,
    /// The plan that holds now.
    pub(super) plan: Arc<ServicePlan>,
    /// The signal the program was written to end by.
    stop_signal: Signal,
    pub(super) program: Program,
    pub(super) spawn: Spawn,
    processes: BTreeMap<u32, Process>,
    main: u32,
    handed_over: bool,
    pub(super) end: Option<End>,
    pub(super) told: Told,
    frozen: bool,
    freezer_free_at: Instant,
    born_at: Instant,
    /// What frozen or stopped processes would have done.
    postponed: Vec<Happening>,
    /// What was on the agenda of an earlier generation does not happen any more.
    generation: u32,
    last_report: Instant,
}

/// How far the start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spawn {
    /// Asked for.
    UnderWay,
    /// There is, or was, a process.
    Done,
    /// There never was one.
    Failed,
}

/// How the main process ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub exit: Exit,
    pub oom: bool,
}

/// What the guard that is there now has heard.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    pub exited: bool,
    pub empty: bool,
}

#[derive(Debug)]
struct Process {
    on_stop: OnStop,
    follows_main: bool,
    stuck_for: Duration,
    /// SIGSTOP.
    stopped: bool,
    /// It has been asked to end already.
    asked: bool,
    /// It was killed, and is not gone yet.
    doomed: bool,
    pending: Vec<Signal>,
}

/// Something a process does.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// It ends.
    Ends { exit: Exit, oom: bool },
    /// It says something.
    Says(Notification),
    /// It is ready, says so, and prints so.
    GetsReady,
    /// It does what it does regularly.
    Beats,
    /// Another process becomes the main one.
    HandsOver,
    /// It takes more memory than it may.
    Exceeds,
}

impl Tree {
    pub(super) fn new(id: TreeId, run: RunId, plan: &Arc<ServicePlan>, program: Program, now: Instant) -> Self {
        Self {
            id,
            name: plan.name.clone(),
            role: run.role,
            number: run.number,
            run: Some(run),
            let_go: false,
            plan: Arc::clone(plan),
            stop_signal: plan.stop.signal,
            program,
            spawn: Spawn::UnderWay,
            processes: BTreeMap::new(),
            main: 0,
            handed_over: false,
            end: None,
            told: Told::default(),
            frozen: false,
            freezer_free_at: now,
            born_at: now,
            postponed: Vec::new(),
            generation: 0,
            last_report: now,
        }
    }

    /// Whether any process of it lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.processes.is_empty()
    }

    /// Whether its main process lives.
    #[must_use]
    pub fn is_main_alive(&self) -> bool {
        self.processes.contains_key(&self.main)
    }

    /// Whether everything that lives of it and has to go was killed, and is not gone yet.
    #[must_use]
    pub fn is_unkillable(&self) -> bool {
        let has_to_go = |pid: &u32| self.plan.stop.tree || *pid == self.main;
        self.processes.iter().filter(|(pid, _)| has_to_go(pid)).all(|(_, process)| process.doomed)
    }

    /// Whether its freezer is on.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// The main process; 0 before there is one.
    #[must_use]
    pub const fn main_pid(&self) -> u32 {
        self.main
    }

    /// Whether the main process can do anything right now.
    pub(super) fn is_awake(&self) -> bool {
        !self.frozen && self.processes.get(&self.main).is_some_and(|main| !main.stopped && !main.doomed)
    }

    /// How the main process answers a probe that is asked now.
    pub(super) fn answer(&self, now: Instant, kind: ProbeKind) -> Option<(Duration, bool)> {
        let health = self.program.health[crate::program::place(kind)];
        health.answer(now.since(self.born_at))
    }

    // The start.

    pub(super) fn born(&mut self, hands: &mut Hands<'_>, mut new_pid: impl FnMut() -> u32) {
        if self.spawn != Spawn::UnderWay {
            return;
        }
        if self.program.spawn_error.is_some() {
            self.spawn = Spawn::Failed;
            self.report(hands, News::SpawnFailed);
            return;
        }
        self.spawn = Spawn::Done;
        self.born_at = hands.clock.now();
        self.main = new_pid();
        let main = Process::new(self.program.on_stop, false, self.program.stuck_for);
        self.processes.insert(self.main, main);
        for child in self.program.children.clone() {
            self.add_child(hands, new_pid(), child);
        }
        self.report(hands, News::Spawned);
        self.plan_life(hands);
    }

    fn add_child(&mut self, hands: &mut Hands<'_>, pid: u32, child: Child) {
        self.processes.insert(pid, Process::new(child.on_stop, child.follows_main, child.stuck_for));
        if let Some(wait) = child.lives_for {
            self.plan_act(hands, pid, wait, Act::Ends { exit: Exit::Code(0), oom: false });
        }
    }

    /// Puts on the agenda what the main process will do by itself.
    fn plan_life(&mut self, hands: &mut Hands<'_>) {
        let program = self.program.clone();
        if let Some((wait, exit)) = program.ends {
            self.plan_act(hands, self.main, wait, Act::Ends { exit, oom: program.out_of_memory });
        }
        if self.role != Role::Main {
            return;
        }
        for (wait, word) in program.says {
            self.plan_act(hands, self.main, wait, Act::Says(word));
        }
        let others = [
            (program.ready_after, Act::GetsReady),
            (program.hands_over_after, Act::HandsOver),
            (program.exceeds_after, Act::Exceeds),
            (Some(self.beat()), Act::Beats),
        ];
        for (wait, act) in others {
            if let Some(wait) = wait {
                self.plan_act(hands, self.main, wait, act);
            }
        }
    }

    fn plan_act(&self, hands: &mut Hands<'_>, pid: u32, wait: Duration, act: Act) {
        hands.clock.after(wait, Happening::Acts { tree: self.id, pid, generation: self.generation, act });
    }

    /// Between two signs of life: three in the time the watchdog waits.
    fn beat(&self) -> Duration {
        let liveness = self.plan.probes.liveness.as_ref().filter(|probe| !probe.check.is_asked());
        liveness.map_or(BEAT, |probe| (probe.window() / 3).min(BEAT))
    }

    // What its processes do.

    /// Does something, or keeps it for later. Whether a stop command asks the main process to end.
    pub(super) fn act(&mut self, hands: &mut Hands<'_>, pid: u32, generation: u32, act: &Act) -> bool {
        let Some(process) = self.processes.get(&pid).filter(|_| generation == self.generation) else { return false };
        if process.doomed {
            return false;
        }
        if self.frozen || process.stopped {
            self.postponed.push(Happening::Acts { tree: self.id, pid, generation, act: act.clone() });
            return false;
        }
        match act {
            Act::Ends { exit, oom } => {
                let asks = self.role == Role::Stop && *exit == Exit::Code(0) && self.program.stops_main;
                self.die(hands, pid, *exit, *oom);
                return asks && pid == self.main;
            }
            Act::Says(word) => self.report(hands, News::Notified(word.clone())),
            Act::GetsReady => self.get_ready(hands),
            Act::Beats => self.beat_once(hands),
            Act::HandsOver => self.hand_over(hands),
            Act::Exceeds if self.plan.limits.memory.is_some() => self.report(hands, News::Limit),
            Act::Exceeds => {}
        }
        false
    }

    fn get_ready(&self, hands: &mut Hands<'_>) {
        if self.plan.uses_notify() {
            self.report_loosely(hands, News::Notified(Notification::Ready));
        }
        for kind in [ProbeKind::Startup, ProbeKind::Readiness] {
            if self.waits_for_line(kind) {
                self.report_loosely(hands, News::Line(kind));
            }
        }
    }

    fn beat_once(&mut self, hands: &mut Hands<'_>) {
        let now = hands.clock.now();
        if self.program.feeds_for.is_none_or(|time| now.since(self.born_at) < time) {
            let liveness = self.plan.probes.liveness.as_ref().map(|probe| &probe.check);
            if liveness == Some(&ProbeCheck::Notify) {
                self.report_loosely(hands, News::Notified(Notification::Watchdog));
            }
            if self.waits_for_line(ProbeKind::Liveness) {
                self.report_loosely(hands, News::Line(ProbeKind::Liveness));
            }
        }
        // What was said while no guard listened is said again, when everything behaves.
        if hands.calm {
            self.get_ready(hands);
        }
        self.plan_act(hands, self.main, self.beat(), Act::Beats);
    }

    fn waits_for_line(&self, kind: ProbeKind) -> bool {
        self.plan.probes.get(kind).is_some_and(|probe| matches!(probe.check, ProbeCheck::Log(_)))
    }

    /// A child takes the main process's place, which ends soon after.
    fn hand_over(&mut self, hands: &mut Hands<'_>) {
        let heir = self.processes.iter().find(|(pid, process)| **pid != self.main && !process.doomed);
        let Some(heir) = heir.map(|(pid, _)| *pid) else { return };
        let old = std::mem::replace(&mut self.main, heir);
        self.handed_over = true;
        self.report(hands, News::MainChanged(heir));
        self.plan_act(hands, heir, self.beat(), Act::Beats);
        let wait = hands.random.millis(0, 500);
        self.plan_act(hands, old, wait, Act::Ends { exit: Exit::Code(0), oom: false });
    }

    fn die(&mut self, hands: &mut Hands<'_>, pid: u32, exit: Exit, oom: bool) {
        if self.processes.remove(&pid).is_none() {
            return;
        }
        if pid == self.main {
            // Nobody waits for what is not one's own child.
            let known = !self.handed_over || hands.random.percent(50);
            self.end = Some(End { exit: if known { exit } else { Exit::Unknown }, oom });
            // The cgroup may be seen empty first.
            if self.processes.is_empty() && hands.random.percent(5) {
                self.report(hands, News::Empty);
            }
            self.report(hands, News::Exited);
            let followers: Vec<u32> =
                self.processes.iter().filter(|(_, process)| process.follows_main).map(|(pid, _)| *pid).collect();
            for follower in followers {
                let wait = hands.random.millis(0, 200);
                self.plan_act(hands, follower, wait, Act::Ends { exit: Exit::Code(0), oom: false });
            }
        }
        if self.processes.is_empty() && self.told.exited && !self.told.empty {
            self.report(hands, News::Empty);
        }
    }

    // Signals.

    pub(super) fn signal(&mut self, hands: &mut Hands<'_>, target: SignalTarget, signal: Signal) {
        let pids: Vec<u32> = self
            .processes
            .keys()
            .copied()
            .filter(|pid| match target {
                SignalTarget::Main => *pid == self.main,
                SignalTarget::Rest => *pid != self.main,
                SignalTarget::Tree => true,
            })
            .collect();
        for pid in pids {
            self.signal_one(hands, pid, signal);
        }
    }

    fn signal_one(&mut self, hands: &mut Hands<'_>, pid: u32, signal: Signal) {
        if signal == Signal::Kill {
            self.kill_one(hands, pid);
            return;
        }
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if self.frozen || (process.stopped && signal != Signal::Cont) {
            process.pending.push(signal);
        } else {
            self.receive(hands, pid, signal);
        }
    }

    /// SIGKILL works on frozen and stopped processes too, and on uninterruptible ones when they wake up.
    fn kill_one(&mut self, hands: &mut Hands<'_>, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if process.stuck_for.is_zero() || hands.calm {
            self.die(hands, pid, Exit::Signal(Signal::Kill), false);
        } else if !process.doomed {
            process.doomed = true;
            hands.clock.after(process.stuck_for, Happening::Gone { tree: self.id, pid });
            if hands.random.percent(50) {
                self.report_loosely(hands, News::Unkillable(pid));
            }
        }
    }

    /// Killed by somebody else.
    pub(super) fn murder(&mut self, hands: &mut Hands<'_>, oom: bool) {
        self.die(hands, self.main, Exit::Signal(Signal::Kill), oom);
    }

    pub(super) fn gone(&mut self, hands: &mut Hands<'_>, pid: u32) {
        self.die(hands, pid, Exit::Signal(Signal::Kill), false);
    }

    fn receive(&mut self, hands: &mut Hands<'_>, pid: u32, signal: Signal) {
        let reloads = self.plan.reload.signal == Some(signal);
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if signal == self.stop_signal || signal == Signal::Term {
            self.asked_to_stop(hands, pid, signal);
        } else if matches!(signal, Signal::Stop | Signal::Tstp | Signal::Ttin | Signal::Ttou) {
            process.stopped = !hands.calm;
        } else if signal == Signal::Cont {
            process.stopped = false;
            self.catch_up(hands, pid);
        } else if reloads {
            if pid == self.main && self.plan.uses_notify() {
                self.report_loosely(hands, News::Notified(Notification::Reloading));
                let wait = hands.random.millis(0, 500);
                self.plan_act(hands, pid, wait, Act::Says(Notification::Ready));
            }
        } else if self.program.dies_of_strange_signals && !matches!(signal, Signal::Chld | Signal::Urg | Signal::Winch)
        {
            self.die(hands, pid, Exit::Signal(signal), false);
        }
    }

    fn asked_to_stop(&mut self, hands: &mut Hands<'_>, pid: u32, signal: Signal) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if std::mem::replace(&mut process.asked, true) || process.doomed {
            return;
        }
        match process.on_stop {
            OnStop::Dies => self.die(hands, pid, Exit::Signal(signal), false),
            OnStop::Exits(wait, code) => {
                self.plan_act(hands, pid, wait, Act::Ends { exit: Exit::Code(code), oom: false });
            }
            OnStop::Ignores => {}
        }
        if let Some(time) = self.program.asks_for_time.filter(|_| pid == self.main && self.is_main_alive()) {
            self.report_loosely(hands, News::Notified(Notification::ExtendTimeout(time)));
        }
    }

    /// A stop command has asked the main process to end, in its own way.
    pub(super) fn ask_main_to_stop(&mut self, hands: &mut Hands<'_>) {
        self.signal(hands, SignalTarget::Main, self.stop_signal);
    }

    // The freezer.

    /// Puts a job for the freezer on the agenda, after those it has.
    pub(super) fn use_freezer(&mut self, hands: &mut Hands<'_>, freeze: bool) {
        let at = self.freezer_free_at.max(hands.clock.now()) + self.program.freezing.takes;
        // One nanosecond apart, since what is due at one instant comes in any order.
        self.freezer_free_at = at + Duration::from_nanos(1);
        let happening = if freeze {
            let there = self.is_alive() || hands.random.percent(50);
            Happening::Freezes { tree: self.id, works: self.program.freezing.works && there }
        } else {
            Happening::Thaws(self.id)
        };
        hands.clock.at(at, happening);
    }

    pub(super) fn froze(&mut self, hands: &mut Hands<'_>, works: bool) {
        self.frozen |= works;
        self.report_loosely(hands, if works { News::Frozen } else { News::FreezeFailed });
    }

    pub(super) fn thawed(&mut self, hands: &mut Hands<'_>) {
        self.frozen = false;
        self.report_loosely(hands, News::Thawed);
        let pids: Vec<u32> = self.processes.keys().copied().collect();
        for pid in pids {
            if self
                .processes
                .get(&pid)
                .is_some_and(|process| !process.stopped || process.pending.contains(&Signal::Cont))
            {
                self.catch_up(hands, pid);
            }
        }
    }

    /// A process that runs again receives what was sent meanwhile, and does what it would have done.
    fn catch_up(&mut self, hands: &mut Hands<'_>, pid: u32) {
        let (own, others): (Vec<Happening>, Vec<Happening>) = std::mem::take(&mut self.postponed)
            .into_iter()
            .partition(|happening| matches!(happening, Happening::Acts { pid: whose, .. } if *whose == pid));
        self.postponed = others;
        for happening in own {
            hands.clock.after(Duration::ZERO, happening);
        }
        let pending = self.processes.get_mut(&pid).map(|process| std::mem::take(&mut process.pending));
        for signal in pending.into_iter().flatten() {
            self.signal_one(hands, pid, signal);
        }
    }

    // The calm.

    pub(super) fn calm_down(&mut self, hands: &mut Hands<'_>) {
        self.generation += 1;
        let kind = if self.role == Role::Main { self.plan.kind } else { ServiceType::Daemon };
        let children = std::mem::take(&mut self.program.children);
        self.program = Program { children, health: [Health::Good; 3], ..Program::good(hands.random, self.role, kind) };
        if self.spawn == Spawn::UnderWay {
            hands.clock.after(Duration::from_millis(10), Happening::Born(self.id));
        }
        let pids: Vec<u32> = self.processes.keys().copied().collect();
        for pid in pids {
            self.calm_one(hands, pid);
        }
        self.postponed.clear();
        if self.is_main_alive() {
            self.plan_life(hands);
        }
    }

    fn calm_one(&mut self, hands: &mut Hands<'_>, pid: u32) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.stuck_for = Duration::ZERO;
        process.stopped = false;
        let asked = process.asked || process.pending.contains(&self.stop_signal);
        if pid == self.main {
            process.on_stop = self.program.on_stop;
        }
        if process.doomed {
            hands.clock.after(Duration::from_millis(100), Happening::Gone { tree: self.id, pid });
        } else if asked && pid == self.main && !self.frozen {
            self.plan_act(hands, pid, Duration::from_millis(50), Act::Ends { exit: Exit::Code(0), oom: false });
        }
    }

    // News.

    /// Tells the guard, in the order things happened to this run.
    pub(super) fn report(&mut self, hands: &mut Hands<'_>, news: News) {
        let wait = delay(hands);
        let at = (hands.clock.now() + wait).max(self.last_report + Duration::from_nanos(1));
        self.last_report = at;
        hands.clock.at(at, Happening::Told(Report { tree: self.id, news }));
    }

    /// Tells the guard by a road of its own: a socket, a pipe, another thread.
    fn report_loosely(&self, hands: &mut Hands<'_>, news: News) {
        let wait = delay(hands);
        hands.clock.after(wait, Happening::Told(Report { tree: self.id, news }));
    }
}

impl Process {
    const fn new(on_stop: OnStop, follows_main: bool, stuck_for: Duration) -> Self {
        Self { on_stop, follows_main, stuck_for, stopped: false, asked: false, doomed: false, pending: Vec::new() }
    }
}

/// How long news take to reach the guard's loop.
fn delay(hands: &mut Hands<'_>) -> Duration {
    let late = if hands.theme == Theme::Freezing { 20 } else { 2 };
    let milliseconds = hands.random.weighted(&[(70, 0), (20, 1), (8, 20), (late, 300)]);
    if hands.calm { Duration::ZERO } else { Duration::from_millis(milliseconds) }
}
