//! Beginning and ending: everything the loop needs is made before it runs, and let go in order after.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use menshen_api::types::Upgraded;
use menshen_core::{Core, Record, RecordKind};
use menshen_os::error::is_shortage;
use menshen_os::fail_point::{FailPoint, reach};
use menshen_os::file::{Lock, create_folder};
use menshen_os::handover::{Kept, Way, way};
use menshen_os::paths::{Paths, RUN_FOLDER_MODE};
use menshen_os::system::{Running, SystemConfig};
use menshen_os::{System, TreeMode};
use menshen_plan::Plan;
use menshen_plan::count::counted;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::adopt::Before;
use super::alert::Alerts;
use super::clockwork::Clockwork;
use super::input::{Input, Inputs, LogReports};
use super::jobs::Jobs;
use super::manager::Manager;
use super::notes::{Notes, Orderly};
use super::request::Tickets;
use super::status::wall;
use super::store::Remembered;
use super::thrift::Thrift;
use super::troubles::{Part, Troubles};
use super::upgrade::Succession;
use super::wait::Waiters;
use super::{Guard, GuardError, Options, now, origin, store};
use crate::control::{Control, Farewell, Shared};
use crate::disk::Disk;
use crate::handover::{Handover, Inherited};
use crate::hub::Hub;
use crate::journal::{Bounds, Journal, Opened};
use crate::logs::Logs;
use crate::program::Identities;

/// Programs of any user must be able to reach their sockets and pipes by path, and nobody needs to list them.
const PIPES_FOLDER_MODE: u32 = 0o711;
const PRIVATE_FOLDER_MODE: u32 = 0o750;
/// The file of the journal, among what is remembered.
const JOURNAL: &str = "journal.db";

/// How many threads read files and look up names for tasks. They are made when they are needed.
const HELPERS_MAX: usize = 64;
/// They stay for good: where the machine has no more threads to give, those there are go on with the work.
const HELPERS_STAY: Duration = Duration::from_secs(365 * 24 * 3600);

/// Makes everything the loop needs.
pub(super) fn begin(options: Options) -> Result<Guard, GuardError> {
    let Options { source, plan, paths, trees, end, mut watcher, takeover, overseer } = options;
    let instance = plan.name.to_string();
    let (takeover, mut inherited) = inherit(takeover, &paths, &instance);
    let before = before(&paths, &instance);
    let locks = claim(&paths, &instance, &mut inherited)?;
    let remembered = recall(&paths.memory(&instance))?;
    let (system, running) = control_processes(&instance, &paths, trees)?;
    let (inputs, waiting) = Inputs::channel(system.waker());
    let tasks = Tasks::start().map_err(failed("starting the task thread"))?;
    let (disk, next_sequence, opened) = open_disk(&paths.memory(&instance), &plan, &inputs)?;
    let log_reports = LogReports::default();
    let logs = start_logs(&paths.pipes(&instance), &inputs, &log_reports).map_err(failed("starting the log thread"))?;
    watcher.iter_mut().for_each(|watcher| watcher.begin(&logs));
    let hub = Hub::new(next_sequence - 1);
    let shared = Shared {
        instance: instance.clone(),
        source: source.clone(),
        inputs: inputs.clone(),
        hub: hub.clone(),
        disk: disk.handle(),
        logs: logs.clone(),
        logs_folder: paths.logs.join(&instance),
    };
    let socket = (&*paths.control(&instance), inherited.control.take());
    let control =
        Control::start(&tasks.handle, socket, &plan.access, shared).map_err(failed("opening the control socket"))?;
    let mut guard = Guard {
        core: Core::new(now(), &plan, seed()),
        system,
        jobs: Jobs::default(),
        services: HashMap::new(),
        unattached: BTreeSet::new(),
        order: HashMap::new(),
        boot: menshen_os::clock::boot_id(),
        clockwork: Clockwork::new(&paths.memory(&instance)),
        thrift: Thrift::default(),
        identities: Identities::default(),
        manager: Manager::find(overseer, &tasks.handle, &inputs),
        inputs,
        waiting,
        later: Vec::new(),
        tasks: tasks.handle.clone(),
        control,
        notes: Notes::new(disk.handle()),
        disk: Some(disk),
        logs,
        log_reports,
        hub,
        next_sequence,
        alerts: Alerts::default(),
        tickets: Tickets::default(),
        waiters: Waiters::default(),
        moved: true,
        sampling: false,
        troubles: Troubles::default(),
        succession: Succession { inherited, ..Succession::default() },
        shutting_down: false,
        ended: None,
        started: wall(),
        held: Some(Held { locks, tasks }),
        instance,
        source,
        paths,
        end,
        watcher,
    };
    guard.furnish_all(&plan);
    guard.note_journal(opened);
    guard.succeed(remembered, (before, running), takeover);
    Ok(guard)
}

impl Guard {
    /// Says where events could not be kept as they should be.
    fn note_journal(&mut self, opened: Opened) {
        match opened {
            Opened::Whole => {}
            Opened::Anew => self.note("the journal was damaged; it was put aside and a new one begun".to_owned()),
            // The disk tells when it is over.
            Opened::InMemory(why) => {
                self.begin_trouble(Part::Memory, format!("{why}; until it can be, events are kept in memory only"));
            }
        }
    }
}

/// What the version before gave to this one, or left for it where that was another process; with what is opened of it.
fn inherit(given: Option<Box<Handover>>, paths: &Paths, instance: &str) -> (Option<Box<Handover>>, Inherited) {
    let left = || match way() {
        Way::SameProcess => None,
        Way::NextProcess => Handover::left(&paths.handover(instance)).map(Box::new),
    };
    let takeover = given.or_else(left);
    let inherited = takeover.as_ref().map(|takeover| takeover.open()).unwrap_or_default();
    if takeover.is_some() {
        reach(FailPoint::HandoverTaken);
    }
    (takeover, inherited)
}

/// Whether a guard of this name was here since the machine was started: the folder of its pipes is gone after that.
fn before(paths: &Paths, instance: &str) -> Before {
    if paths.pipes(instance).exists() { Before::AGuard } else { Before::Nothing }
}

/// What the guard holds as long as it lives.
pub(super) struct Held {
    pub locks: Locks,
    pub tasks: Tasks,
}

/// What keeps the guard the only one. The one taken last is let go first.
pub(super) struct Locks {
    /// Of what is remembered; or why that cannot be locked, on a disk that is full or takes no writes.
    pub memory: Result<Lock, std::io::Error>,
    /// Of its name, below the run folder.
    pub instance: Lock,
}

/// The thread of all tasks: probes, webhooks, the control socket.
pub(super) struct Tasks {
    handle: Handle,
    stop: oneshot::Sender<Farewell>,
    thread: std::thread::JoinHandle<()>,
}

impl Tasks {
    fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(HELPERS_MAX)
            .thread_keep_alive(HELPERS_STAY)
            .build()?;
        let handle = runtime.handle().clone();
        // The first is made while threads can be made: with none, the runtime would have to give up what it is asked.
        drop(handle.spawn_blocking(|| ()));
        let (stop, stopped) = oneshot::channel::<Farewell>();
        let run = move || {
            // Either the guard ends or it is gone; both end the tasks.
            runtime.block_on(async {
                if let Ok(farewell) = stopped.await {
                    farewell.said().await;
                }
            });
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("tasks".to_owned()).spawn(run)?;
        Ok(Self { handle, stop, thread })
    }

    pub(super) fn stop(self, farewell: Farewell) {
        // A thread that has ended already needs no telling.
        let _ = self.stop.send(farewell);
        let _ = self.thread.join();
    }
}

/// Makes the folders and takes the locks, as far as the version before did not hand them over.
fn claim(paths: &Paths, instance: &str, inherited: &mut Inherited) -> Result<Locks, GuardError> {
    let folders = [
        (paths.run.clone(), RUN_FOLDER_MODE),
        (paths.pipes(instance), PIPES_FOLDER_MODE),
        (store::folder(&paths.memory(instance)), PRIVATE_FOLDER_MODE),
        (paths.logs.join(instance), PRIVATE_FOLDER_MODE),
    ];
    for (folder, mode) in folders {
        create_folder(&folder, mode).map_err(failed("making its folders"))?;
    }
    let take =
        |kept: Option<Kept>, path: &Path| kept.map_or_else(|| Lock::take(path), |kept| Ok(Some(Lock::kept(kept))));
    let of_instance = take(inherited.lock.take(), &paths.lock(instance)).map_err(failed("taking its lock"))?;
    let already_running = || GuardError::AlreadyRunning { instance: instance.to_owned() };
    let of_instance = of_instance.ok_or_else(already_running)?;
    let of_memory = take(inherited.memory_lock.take(), &paths.memory_lock(instance));
    let cut_off = || GuardError::CutOff {
        instance: instance.to_owned(),
        pid: Lock::holder(&paths.memory_lock(instance)),
        memory: paths.memory(instance),
        run: paths.run.clone(),
    };
    match of_memory {
        Ok(Some(lock)) => Ok(Locks { memory: Ok(lock), instance: of_instance }),
        Ok(None) => Err(cut_off()),
        Err(error) => Ok(Locks { memory: Err(error), instance: of_instance }),
    }
}

/// What is remembered of every service, if all that is kept can be used by this version. Nothing is changed.
pub(crate) fn recall(memory: &Path) -> Result<Remembered, GuardError> {
    crate::journal::refuse_newer(&memory.join(JOURNAL))?;
    store::read_all(memory)
}

/// Process control, and what runs: looked at while there are descriptors to look with. Without them nobody can guard.
fn control_processes(
    instance: &str,
    paths: &Paths,
    trees: TreeMode,
) -> Result<(System, std::io::Result<Running>), GuardError> {
    let mark = paths.mark(instance).map_err(failed("finding its own folder"))?;
    let config = SystemConfig { instance: instance.to_owned(), mark, run_folder: paths.run.clone(), trees };
    let system = System::new(&config).map_err(failed("setting up process control"))?;
    match system.running() {
        Err(error) if is_shortage(&error) => Err(failed("looking at what runs")(error)),
        running => Ok((system, running)),
    }
}

fn open_disk(memory: &Path, plan: &Plan, inputs: &Inputs) -> Result<(Disk, u64, Opened), GuardError> {
    let bounds = Bounds { keep: plan.journal.keep, bytes: plan.journal.size.0 };
    let (journal, opened) = Journal::open(&memory.join(JOURNAL), bounds)?;
    let next_sequence = journal.newest()? + 1;
    let (inputs, memory) = (inputs.clone(), memory.to_owned());
    let record = move |service: &str| store::path(&memory, service);
    let disk = Disk::start(journal, record, move |report| inputs.send_blocking(Input::Disk(report)));
    Ok((disk.map_err(failed("starting the disk thread"))?, next_sequence, opened))
}

fn start_logs(pipes: &Path, inputs: &Inputs, reports: &LogReports) -> std::io::Result<Logs> {
    let (inputs, reports) = (inputs.clone(), reports.clone());
    Logs::start(pipes, move |report| reports.push(report, &inputs))
}

fn failed(doing: &'static str) -> impl FnOnce(std::io::Error) -> GuardError {
    move |source| GuardError::System { doing, source }
}

/// Jitter has to differ between guards that start together, not to be unpredictable.
fn seed() -> u64 {
    menshen_os::clock::monotonic_ns() ^ u64::from(std::process::id()) << 32
}

impl Guard {
    /// Goes on where a guard before this one ended, be it that it was killed or made room.
    fn succeed(
        &mut self,
        remembered: Remembered,
        (before, running): (Before, std::io::Result<Running>),
        takeover: Option<Box<Handover>>,
    ) {
        origin::note(&self.paths.memory(&self.instance), &self.source);
        if let Some(pid) = self.held.as_ref().and_then(|held| held.locks.instance.left_by()) {
            self.note(format!(
                "the guard before this one (process {pid}) ended without a word: it was killed, or it crashed"
            ));
        }
        if let Some(Err(error)) = self.held.as_ref().map(|held| &held.locks.memory) {
            let why = menshen_os::error::describe(error);
            self.note(format!("nothing but its run folder keeps the guard the only one: {why}"));
        }
        if let Some(why) = self.manager.deaf() {
            self.note(format!("the service manager hears nothing of the guard: {why}"));
        }
        if takeover.is_none() || way() == Way::NextProcess {
            self.take_held();
        } else {
            // The holder of the version before sleeps: it waits for the end of this very process.
            self.system.take_strangers(std::mem::take(&mut self.succession.inherited.strangers));
        }
        self.take_over(remembered, before, running);
        self.begin_to_hold();
        // What is left is of services that are gone.
        self.succession.inherited.services.clear();
        if let Some(takeover) = takeover {
            self.tell_of_upgrade(*takeover);
        }
    }

    /// Tries again to lock what is remembered, if that could not be done before. The disk may hang again: the loop does not wait
    /// for it.
    pub(super) fn lock_memory(&mut self) {
        if self.held.as_ref().is_some_and(|held| held.locks.memory.is_err()) {
            let (path, inputs) = (self.paths.memory_lock(&self.instance), self.inputs.clone());
            self.disk().then(move || inputs.send_blocking(Input::MemoryLocked(Lock::take(&path))));
        }
    }

    /// What came of that.
    pub(super) fn memory_locked(&mut self, taken: std::io::Result<Option<Lock>>) {
        // One that was tried twice at once is there already.
        let Some(memory) = self.held.as_mut().map(|held| &mut held.locks.memory).filter(|memory| memory.is_err())
        else {
            return;
        };
        match taken {
            Ok(Some(lock)) => {
                *memory = Ok(lock);
                self.note(
                    "what the guard remembers is locked now: it stays the only one without its run folder, too"
                        .to_owned(),
                );
            }
            Ok(None) => {
                let memory = self.paths.memory(&self.instance);
                self.trouble(format!("another guard remembers in {}, too: one of them has to end", memory.display()));
            }
            Err(error) => *memory = Err(error),
        }
    }

    fn tell_of_upgrade(&mut self, takeover: Handover) {
        let Handover { id, from, binary, by, failure, .. } = takeover;
        let adopted = self.succession.adopted;
        let removed = std::mem::take(&mut self.succession.removed).into_iter().collect();
        if let Some(why) = &failure {
            self.note(format!("{binary} could not take over: {why}; version {from} goes on"));
        }
        let to = env!("CARGO_PKG_VERSION");
        let reason = format!("{from} → {to}; {}", counted(adopted, "program runs on", "programs run on"));
        self.write_record(Record { service: None, kind: RecordKind::Upgraded, reason, by: Some(by.clone()) });
        self.succession.upgraded = Some(Upgraded { id, from, binary, by, adopted, removed, failure });
        if way() == Way::NextProcess {
            // Whoever waits for this guard sees by it that it guards; one that stays would tell of the upgrade once more.
            let _ = std::fs::remove_file(self.paths.handover(&self.instance));
        }
    }

    /// After the loop: what was asked for is remembered, what services wrote last is on disk, and the sockets are gone.
    pub(super) fn finish(mut self) {
        let ids: Vec<_> = self.core.services().collect();
        for id in ids {
            self.remember(id, Orderly::Yes);
        }
        self.end_earlier_holder();
        self.let_go();
    }

    /// After the loop, where everything runs on: the next guard finds what it would find of one that was killed.
    pub(super) fn finish_alone(mut self) {
        self.manager.leaving();
        self.write_down();
        drop(self.system.leave_to_holder());
        self.let_go();
    }

    fn let_go(mut self) {
        self.tell();
        let farewell = self.control.close();
        // The other threads do the last they have to do while this one clears away.
        self.logs.begin_to_stop();
        if let Some(disk) = &self.disk {
            disk.begin_to_stop();
        }
        self.system.close_trees();
        self.services.clear();
        self.logs.stop();
        if let Some(disk) = self.disk.take() {
            disk.stop();
        }
        reach(FailPoint::EndRemembered);
        self.system.close();
        // Last, so that a next guard of this name finds everything let go.
        if let Some(Held { locks, tasks }) = self.held.take() {
            tasks.stop(farewell);
            drop(locks);
        }
        if let Some(watcher) = self.watcher.take() {
            watcher.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::control::Farewells;

    #[test]
    fn tasks_end_when_those_who_asked_for_the_end_have_the_answer() {
        let tasks = Tasks::start().unwrap();
        let (farewells, (over, answered)) = (Farewells::default(), oneshot::channel());
        farewells.add(answered);
        let said = Arc::new(AtomicBool::new(false));
        let saying = Arc::clone(&said);
        tasks.handle.spawn(async move {
            // Far longer than it takes to tell the tasks to end.
            let end = std::time::Instant::now() + Duration::from_millis(50);
            while std::time::Instant::now() < end {
                tokio::task::yield_now().await;
            }
            saying.store(true, Ordering::Relaxed);
            drop(over);
        });
        tasks.stop(farewells.take());
        assert!(said.load(Ordering::Relaxed));
    }
}
