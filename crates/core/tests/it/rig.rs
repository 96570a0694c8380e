//! A core with a scripted world around it: spawns succeed at once, everything else happens when the test says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use menshen_core::{
    Alert, Command, Core, Effect, Event, Exit, Instant, Memory, Record, Refusal, Role, RunId, ServiceId, ServiceStatus,
    SignalTarget, State, Ticket, Tree,
};
use menshen_plan::definition::{AlsoLog, ProbeKind};
use menshen_plan::facts::{Look, System, User};
use menshen_plan::signal::Signal;
use menshen_plan::{Facts, Input, Layer, Plan, Source, load};

/// A machine on which everything a definition names exists.
pub(crate) struct AnyMachine;

impl Facts for AnyMachine {
    fn read(&self, _: &Path) -> Result<String, String> {
        Ok(String::new())
    }

    fn look(&self, _: &Path) -> Look {
        Look::Directory
    }

    fn find_program(&self, name: &str, _: &str) -> Option<PathBuf> {
        Some(Path::new("/bin").join(name))
    }

    fn user(&self, _: &str) -> Option<User> {
        None
    }

    fn has_group(&self, _: &str) -> bool {
        true
    }

    fn system(&self) -> System {
        System::Unix
    }

    fn is_root(&self) -> bool {
        false
    }

    fn has_log(&self, _: AlsoLog) -> bool {
        true
    }

    fn digest(&self, _: &Path) -> Option<u64> {
        None
    }
}

/// The plan of a definition that must be sound.
pub(crate) fn plan(text: &str) -> Arc<Plan> {
    let files = vec![Source { name: "menshen.toml".to_owned(), text: text.to_owned() }];
    let input = Input { layers: vec![Layer { files }], ..Input::default() };
    let loaded = load(&input, &AnyMachine);
    Arc::new(loaded.plan.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics)))
}

pub(crate) struct Rig {
    pub core: Core,
    pub now: Instant,
    pub next_pid: u32,
    next_ticket: u64,
    /// What a guard would have written down.
    disk: std::collections::BTreeMap<ServiceId, Memory>,
    answered: std::collections::BTreeMap<(ServiceId, ProbeKind), u64>,
    /// Every effect so far, in order.
    pub effects: Vec<Effect>,
    /// What came since the last look.
    seen: usize,
    /// Whether spawns are answered at once.
    pub spawns_succeed: bool,
    /// Whether cancelled probes end at once.
    pub cancels_end: bool,
}

impl Rig {
    /// A core for a definition, not begun.
    pub(crate) fn idle(definition: &str) -> Self {
        let now = Instant(1_000_000_000);
        let core = Core::new(now, &plan(definition), 7);
        Self {
            core,
            now,
            next_pid: 100,
            next_ticket: 1,
            disk: std::collections::BTreeMap::new(),
            answered: std::collections::BTreeMap::new(),
            effects: Vec::new(),
            seen: 0,
            spawns_succeed: true,
            cancels_end: true,
        }
    }

    /// A core for a definition, begun.
    pub(crate) fn new(definition: &str) -> Self {
        let mut rig = Self::idle(definition);
        rig.send(Event::Begin);
        rig
    }

    /// One service of this name with this body.
    pub(crate) fn one(body: &str) -> Self {
        Self::new(&format!("[service.web]\ncommand = \"web\"\n{body}"))
    }

    pub(crate) fn send(&mut self, event: Event) {
        self.core.handle(self.now, event);
        while let Some(effect) = self.core.poll_effect() {
            match &effect {
                Effect::Remember { service } => {
                    self.disk.insert(*service, self.core.memory(*service).unwrap());
                }
                Effect::Spawn { run, .. } if self.spawns_succeed => {
                    self.next_pid += 1;
                    self.core.handle(self.now, Event::Spawned { run: *run, pid: self.next_pid });
                }
                Effect::CancelProbe { service, probe, round } if self.cancels_end => {
                    let outcome = Err("cancelled".to_owned());
                    self.core
                        .handle(self.now, Event::Probed { service: *service, probe: *probe, round: *round, outcome });
                }
                _ => {}
            }
            self.effects.push(effect);
        }
        for (service, written) in &self.disk {
            let current = self.core.memory(*service);
            assert!(current.is_none_or(|current| current == *written), "what changed was not to be remembered");
        }
    }

    /// Lets time pass, with every timer on the way.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.send(Event::Timeout);
        }
        self.now = end;
    }

    pub(crate) fn wait_ms(&mut self, milliseconds: u64) {
        self.wait(Duration::from_millis(milliseconds));
    }

    pub(crate) fn wait_s(&mut self, seconds: u64) {
        self.wait(Duration::from_secs(seconds));
    }

    pub(crate) fn id(&self, name: &str) -> ServiceId {
        self.core.id(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    pub(crate) fn status(&self, name: &str) -> ServiceStatus {
        self.core.status(self.id(name)).unwrap()
    }

    pub(crate) fn state(&self, name: &str) -> State {
        self.status(name).state
    }

    pub(crate) fn reason(&self, name: &str) -> String {
        self.status(name).reason
    }

    /// The last run of a role.
    pub(crate) fn run_of(&self, name: &str, role: Role) -> RunId {
        let id = self.id(name);
        let spawned = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Spawn { run, .. } if run.service == id && run.role == role => Some(*run),
            _ => None,
        });
        spawned.unwrap_or_else(|| panic!("{name} has no run as {role:?}"))
    }

    pub(crate) fn run(&self, name: &str) -> RunId {
        self.run_of(name, Role::Main)
    }

    pub(crate) fn exit_with(&mut self, name: &str, exit: Exit, tree: Tree) {
        let run = self.run(name);
        self.send(Event::Exited { run, exit, oom: false, tree });
    }

    pub(crate) fn exit(&mut self, name: &str, code: i32) {
        self.exit_with(name, Exit::Code(code), Tree::Empty);
    }

    pub(crate) fn kill(&mut self, name: &str, signal: Signal) {
        self.exit_with(name, Exit::Signal(signal), Tree::Empty);
    }

    pub(crate) fn command(&mut self, name: &str, command: Command) -> Result<(), Refusal> {
        let service = self.id(name);
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.send(Event::Command { service, command, by: "alice".to_owned(), ticket: Some(ticket) });
        let answer = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Reply(reply) if reply.ticket == ticket => Some(reply.result),
            _ => None,
        });
        answer.expect("every command is answered")
    }

    pub(crate) fn shut_down(&mut self) {
        self.send(Event::Shutdown { reason: "test".to_owned(), hurry: false });
    }

    /// Answers the next round of a probe, as soon as it is asked.
    pub(crate) fn answer(&mut self, name: &str, probe: ProbeKind, outcome: Result<(), &str>) {
        let service = self.id(name);
        let answered = self.answered.get(&(service, probe)).copied();
        while self.last_round(name, probe) <= answered {
            self.now = self.core.poll_timeout().expect("the probe will be asked").max(self.now);
            self.send(Event::Timeout);
        }
        let round = self.last_round(name, probe).unwrap();
        self.answered.insert((service, probe), round);
        self.send(Event::Probed { service, probe, round, outcome: outcome.map_err(str::to_owned) });
    }

    pub(crate) fn last_round(&self, name: &str, kind: ProbeKind) -> Option<u64> {
        let id = self.id(name);
        self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Probe { service, probe, round } if *service == id && *probe == kind => Some(*round),
            _ => None,
        })
    }

    /// The effects since the last look, without what is only written down.
    pub(crate) fn new_effects(&mut self) -> Vec<Effect> {
        let new = self.effects[self.seen..].to_vec();
        self.seen = self.effects.len();
        new.into_iter().filter(|effect| !matches!(effect, Effect::Remember { .. } | Effect::Record(_))).collect()
    }

    pub(crate) fn spawns(&self, name: &str, role: Role) -> usize {
        let id = self.id(name);
        let is_spawn =
            |effect: &&Effect| matches!(effect, Effect::Spawn { run, .. } if run.service == id && run.role == role);
        self.effects.iter().filter(is_spawn).count()
    }

    pub(crate) fn starts(&self, name: &str) -> usize {
        self.spawns(name, Role::Main)
    }

    pub(crate) fn signals(&self, name: &str) -> Vec<(SignalTarget, Signal)> {
        let id = self.id(name);
        let signal = |effect: &Effect| match effect {
            Effect::Signal { run, target, signal } if run.service == id => Some((*target, *signal)),
            Effect::Kill { run, target } if run.service == id => Some((*target, Signal::Kill)),
            _ => None,
        };
        self.effects.iter().filter_map(signal).filter(|(_, signal)| *signal != Signal::Cont).collect()
    }

    pub(crate) fn alerts(&self) -> Vec<Alert> {
        self.effects
            .iter()
            .filter_map(|effect| if let Effect::Alert(alert) = effect { Some(alert.clone()) } else { None })
            .collect()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.effects
            .iter()
            .filter_map(|effect| if let Effect::Record(record) = effect { Some(record.clone()) } else { None })
            .collect()
    }

    pub(crate) fn shutdown_code(&self) -> Option<u8> {
        self.effects
            .iter()
            .find_map(|effect| if let Effect::ShutdownComplete { code } = effect { Some(*code) } else { None })
    }
}
