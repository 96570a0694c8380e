//! The loop: whatever happens reaches the core in one order, and whatever the core wants is carried out in one order.

mod adopt;
mod alert;
mod carry_out;
mod clockwork;
mod complaints;
mod happen;
mod hold;
pub(crate) mod input;
mod jobs;
mod local;
mod manager;
mod notes;
mod origin;
mod request;
mod setup;
mod sleeps;
mod standing;
pub(crate) mod status;
mod store;
mod successor;
mod thrift;
mod troubles;
mod unseen;
mod upgrade;
mod wait;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use menshen_api::types::Event as JournalEvent;
use menshen_core::{Core, Event, Instant, ServiceId};
use menshen_os::handover::{Way, way};
use menshen_os::paths::Paths;
use menshen_os::{OsEvent, System, Target, TreeMode};
use menshen_plan::Plan;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::control::Control;
use crate::definition::DefinitionSource;
use crate::disk::Disk;
use crate::handover::Handover;
use crate::hub::Hub;
use crate::logs::{Logs, TapReceiver, TapScope};
use alert::Alerts;
use clockwork::Clockwork;
use input::{Input, Inputs};
use jobs::Jobs;
use local::Local;
pub(crate) use local::log_id;
use manager::Manager;
pub use manager::{Overseer, Told};
use notes::Notes;
pub use origin::definition_of;
use request::Tickets;
pub(crate) use request::no_such_service;
pub(crate) use setup::recall;
pub use store::{LeftProcess, ended_in_order, is_asked_to_stop, left_processes, left_running, left_unknown};
use thrift::{GiveBack, Thrift};
use troubles::Troubles;
use upgrade::{Succession, Upgrade};
use wait::Waiters;

/// How to guard.
pub struct Options {
    /// Where the definition came from, to read it again.
    pub source: DefinitionSource,
    /// The plan made of it.
    pub plan: Arc<Plan>,
    /// Where everything is.
    pub paths: Paths,
    /// How trees are told apart.
    pub trees: TreeMode,
    /// Whether the guard ends by itself once every service has come to rest, as `menshen run` does.
    pub end: EndWhen,
    /// Somebody who watches: the foreground of `menshen up`.
    pub watcher: Option<Watcher>,
    /// What the version before gave to this one, if it goes on in its place.
    pub takeover: Option<Box<Handover>>,
    /// A service manager that calls the guard within this process.
    pub overseer: Option<Overseer>,
}

/// When the guard ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndWhen {
    /// When it is asked to, or an essential service has failed.
    Asked,
    /// Also when every service has come to rest.
    AtRest,
}

/// Somebody who watches a guard in the same process.
pub struct Watcher {
    /// Hears of every event as it happens, in the loop's thread: it must not wait for anything.
    pub event: Box<dyn FnMut(&JournalEvent)>,
    /// Which lines it gets of those services write.
    pub scope: TapScope,
    /// Gets those lines, once, before anything starts.
    pub lines: Box<dyn FnOnce(TapReceiver)>,
    /// Is called last of all, and returns when everything has been shown, or not within a time that nobody waits longer for.
    pub shown: Box<dyn FnOnce()>,
}

impl Watcher {
    fn begin(&mut self, logs: &Logs) {
        let lines = std::mem::replace(&mut self.lines, Box::new(drop));
        lines(logs.tap(self.scope));
    }

    fn end(self) {
        let Self { event, scope: _, lines, shown } = self;
        drop((event, lines));
        shown();
    }
}

/// Why the guard cannot guard.
#[derive(Debug, Error)]
pub enum GuardError {
    /// Another guard of the same name runs.
    #[error("a guard named '{instance}' is running already")]
    AlreadyRunning {
        /// The name.
        instance: String,
    },
    /// A guard of this name runs, and nothing of it is in the run folder: that was removed, or it was given another one.
    #[error(
        "a guard named '{instance}'{} remembers in {} already, and nothing of it is in {}",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        .memory.display(),
        .run.display()
    )]
    CutOff {
        /// The name.
        instance: String,
        /// Its process, as far as it has said so.
        pid: Option<u32>,
        /// The folder of what it remembers.
        memory: PathBuf,
        /// The folder it would be found in.
        run: PathBuf,
    },
    /// Something of what is remembered was written by a newer version. Nothing was changed.
    #[error(
        "{} was written by a newer version of Menshen: its format has version {found}, and this one ({}) knows those up to {known}",
        .path.display(),
        env!("CARGO_PKG_VERSION")
    )]
    NewerState {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: u32,
        /// The newest version this Menshen knows.
        known: u32,
    },
    /// No version can be executed in the guard's place any more. Everything it guarded runs on.
    #[error("neither {} nor the guard itself can be executed ({}); what was guarded runs on without a guard", .binary.display(), menshen_os::error::describe(.source))]
    NobodyGoesOn {
        /// What was to go on.
        binary: PathBuf,
        /// Why the guard itself cannot.
        source: std::io::Error,
    },
    /// The system refuses something that cannot be done without.
    #[error("{doing}: {}", menshen_os::error::describe(.source))]
    System {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The journal cannot even be made anew.
    #[error(transparent)]
    Journal(crate::journal::JournalError),
}

impl From<crate::journal::JournalError> for GuardError {
    fn from(error: crate::journal::JournalError) -> Self {
        match error {
            crate::journal::JournalError::Newer { path, found, known } => Self::NewerState { path, found, known },
            error @ crate::journal::JournalError::Sqlite { .. } => Self::Journal(error),
        }
    }
}

/// How guarding ended.
#[derive(Debug)]
pub enum Ending {
    /// With this exit code: 0, or 7 if an essential service failed or, with [`EndWhen::AtRest`], any.
    Code(u8),
    /// Another version guards, as this process.
    Succeeded(Child),
    /// Another version should have, and could not: to guard again takes this.
    Returned {
        /// What the next version was to take over.
        handover: Box<Handover>,
        /// What was followed at last.
        plan: Arc<Plan>,
    },
}

/// Guards until asked to end.
///
/// # Errors
/// When the guard cannot begin. Once it guards, nothing ends it but being asked.
pub fn run(options: Options) -> Result<Ending, GuardError> {
    let mut guard = setup::begin(options)?;
    match guard.serve() {
        Served::Ended(code) => {
            guard.finish();
            Ok(Ending::Code(code))
        }
        Served::Left => {
            guard.finish_alone();
            Ok(Ending::Code(0))
        }
        Served::MadeRoom(upgrade) => match way() {
            Way::SameProcess => Err(guard.leave(*upgrade)),
            Way::NextProcess => Ok(guard.hand_on(upgrade.handover())),
        },
    }
}

/// How serving ended.
enum Served {
    /// With this exit code.
    Ended(u8),
    /// Alone: everything runs on.
    Left,
    /// Another version is to go on.
    MadeRoom(Box<Upgrade>),
}

struct Guard {
    instance: String,
    source: DefinitionSource,
    paths: Paths,
    boot: String,
    end: EndWhen,
    watcher: Option<Watcher>,
    started: menshen_api::Time,

    core: Core,
    system: System,
    /// What each process and task is there for.
    jobs: Jobs,
    services: HashMap<ServiceId, Local>,
    /// Services whose logs could not be attached.
    unattached: BTreeSet<ServiceId>,
    /// The group of the start order each service belongs to.
    order: HashMap<ServiceId, u32>,
    clockwork: Clockwork,
    /// When memory is given back that is not needed any more.
    thrift: Thrift,
    identities: crate::program::Identities,

    inputs: Inputs,
    waiting: mpsc::Receiver<Input>,
    /// What came of carrying out, such as a program that could not be started. The core hears of it in the next turn of the
    /// loop, so that nothing that fails again and again keeps the guard from what else happens.
    later: Vec<Event>,
    /// Where tasks run: probes, webhooks, the control socket.
    tasks: Handle,
    control: Control,

    disk: Option<Disk>,
    notes: Notes,
    logs: Logs,
    log_reports: input::LogReports,
    hub: Hub,
    next_sequence: u64,

    alerts: Alerts,
    tickets: Tickets,
    waiters: Waiters,
    /// Whether a service's state or facts changed since waiters were last looked at.
    moved: bool,
    sampling: bool,
    troubles: Troubles,
    succession: Succession,
    manager: Manager,
    shutting_down: bool,
    ended: Option<u8>,
    held: Option<setup::Held>,
}

/// How many inputs are taken between two looks at the operating system.
const INPUTS_AT_ONCE: usize = 256;
/// How long the end waits for alerts that are under way.
const ALERTS_AT_END_MAX: Duration = Duration::from_secs(3);
/// How long it waits for what it killed then.
const KILLED_AT_END_MAX: Duration = Duration::from_secs(1);

impl Guard {
    /// The loop.
    fn serve(&mut self) -> Served {
        self.look_at_clocks();
        self.feed(Event::Begin);
        // Nobody is told that something runs that was found to have ended.
        self.feed_what_is_later();
        self.follow_what_was_typed();
        let standing = self.standing();
        self.manager.ready(standing, now());
        let mut events = Vec::new();
        loop {
            self.tell_manager();
            self.settle_waiters();
            if let Some(code) = self.ended {
                self.settle_alerts(&mut events);
                return Served::Ended(code);
            }
            if self.has_left(&mut events) {
                return Served::Left;
            }
            if let Some(upgrade) = self.make_room(&mut events) {
                return Served::MadeRoom(Box::new(upgrade));
            }
            self.turn(None, &mut events);
        }
    }

    /// Waits until something happens, it is time for something, or no longer than this; and sees to it.
    fn turn(&mut self, at_most: Option<Duration>, events: &mut Vec<OsEvent>) {
        let own = [self.thrift.at(), self.manager.beats_at(), self.succession.unseen.at()];
        let due = own.into_iter().flatten().chain(self.core.poll_timeout()).min();
        self.take_what_happens(due.map(|at| at.since(now())).into_iter().chain(at_most).min(), events);
        self.manager.beat(now());
        self.look_at_unseen();
        match self.thrift.take_due(now()) {
            Some(GiveBack::All) => menshen_os::memory::give_back(),
            Some(GiveBack::Freed) => menshen_os::memory::trim(),
            None => {}
        }
        if self.core.poll_timeout().is_some_and(|at| at <= now()) {
            self.feed(Event::Timeout);
        }
    }

    /// Waits until something happens or the time is over, and sees to it.
    fn take_what_happens(&mut self, timeout: Option<Duration>, events: &mut Vec<OsEvent>) {
        // What is to be taken later does not wait for anything else.
        let timeout = if self.later.is_empty() { timeout } else { Some(Duration::ZERO) };
        if let Err(error) = self.wait(timeout, events) {
            self.trouble(format!("waiting for events: {}", menshen_os::error::describe(&error)));
            // Whatever it is, it must not become a busy loop.
            std::thread::sleep(Duration::from_millis(100));
        }
        self.look_at_clocks();
        for event in events.drain(..) {
            self.os_event(event);
        }
        for _ in 0..INPUTS_AT_ONCE {
            let Ok(input) = self.waiting.try_recv() else { break };
            self.input(input);
        }
        self.log_reports();
        self.feed_what_is_later();
    }

    fn feed_what_is_later(&mut self) {
        for event in std::mem::take(&mut self.later) {
            self.feed(event);
        }
    }

    /// The end waits for alerts that are under way, because they may tell what the guard ends of. But it does not wait long,
    /// and no command of theirs outlives it.
    fn settle_alerts(&mut self, events: &mut Vec<OsEvent>) {
        let end = now() + ALERTS_AT_END_MAX;
        while self.alerts.are_under_way() && now() < end {
            self.turn(Some(end.since(now())), events);
        }
        let left = self.jobs.alerts();
        left.iter().for_each(|token| self.system.kill(*token, Target::Tree));
        let end = now() + KILLED_AT_END_MAX;
        while left.iter().any(|token| self.jobs.get(*token).is_some()) && now() < end {
            self.turn(Some(end.since(now())), events);
        }
    }

    /// Gives an event to the core and carries out what follows.
    fn feed(&mut self, event: Event) {
        self.core.handle(now(), event);
        self.carry_out();
    }

    /// Something of the guard itself does not work.
    fn trouble(&mut self, text: String) {
        self.feed(Event::Trouble { service: None, text });
    }

    fn os_event(&mut self, event: OsEvent) {
        match event {
            OsEvent::Started { token, pid } => self.started(token, pid),
            OsEvent::StartFailed { token, error } => self.start_failed(token, &error),
            OsEvent::Exited { token, exit, oom, tree, tail } => self.exited(token, (exit, oom, tree), &tail),
            OsEvent::TreeEmpty { token } => self.tree_empty(token),
            OsEvent::Frozen { token } => self.frozen(token),
            OsEvent::HolderEnded { after } => self.holder_ended(after),
            OsEvent::Notified { token, datagram } => self.notified(token, datagram),
            OsEvent::Asked(ask) => self.asked(ask),
        }
    }
}

/// Now, as the core counts time.
fn now() -> Instant {
    Instant(menshen_os::clock::monotonic_ns())
}
