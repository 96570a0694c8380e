//! One epoll for everything: pidfds, the pipes that tell of a successful exec, trees, notify sockets, signals.

mod child;
mod exec;
mod prepare;
mod process;
mod reap;
mod room;
mod signals;
mod spawn;
mod window;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use super::{Adopted, Earlier, SystemConfig, Target};
use crate::error::context;
use crate::event::{Ask, Exit, OsEvent, Token, TreeState};
use crate::fail_point::{FailPoint, reach};
use crate::handover::Kept;
use crate::holder::platform::{Entered, Holder, Ledger, Row, Taken};
use crate::holder::{HeldProcess, HeldRun, thin_out};
use crate::notify_socket::NotifySocket;
use crate::program::{Place, Program};
use crate::tree::{Census, Forest, Owner, Tree};
use crate::usage::{Enforced, Limits, Usage};

use prepare::Prepared;
use process::{Process, Stage};
use signals::Signals;

pub(crate) use reap::is_over;
pub use room::make_room;
pub use signals::hold_signals;
use spawn::Spawner;

/// Everything the guard has to do with the operating system's processes.
#[derive(Debug)]
pub struct System {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    signals: Signals,
    forest: Forest,
    /// By service and role: trees are made once for each place.
    trees: HashMap<String, Vec<(String, Rc<Tree>)>>,
    processes: HashMap<Token, Process>,
    by_pid: HashMap<u32, Token>,
    sockets: HashMap<Token, NotifySocket>,
    /// Whose end waits, once, until what programs said before was acted on: a new main process is announced before the old one
    /// ends.
    put_off: HashSet<Token>,
    /// Those that were born since the last wait for what they do.
    newborn: Vec<Token>,
    /// Some child has ended that was not reaped.
    ended_wait: bool,
    /// Signals that ask something of the guard are let through.
    listens: bool,
    /// When the trees to which something is to happen were last looked at.
    looked_at: Instant,
    /// Numbers the marks of runs.
    runs: u64,
    /// What the guard itself was given, for the programs it starts.
    inherited: prepare::Inherited,
    spawner: Spawner,
    ledger: Arc<Ledger>,
    holder: Option<Holder>,
    /// What could not be adopted yet; of what was held of it, the row with which it is held for the next guard, too. It ends
    /// before the descriptor.
    missed: BTreeMap<u32, Option<Row>>,
    /// What was held for this guard.
    taken: Taken,
    /// What programs said to nobody, and is to be told first.
    said: Vec<OsEvent>,
    /// What has ended, and nobody was told yet.
    unnoted: Vec<(String, Entered)>,
}

/// Processes that have ended, each with its service. Until this is dropped, the next guard would learn how: to be kept until
/// that is noted.
#[derive(Debug, Default)]
#[must_use]
pub struct Unnoted(Vec<(String, Entered)>);

impl Unnoted {
    /// Keeps these, which have ended later, too.
    pub fn join(&mut self, later: Self) {
        self.0.extend(later.0);
        thin_out(&mut self.0, |(_, ended)| ended.place());
    }

    /// Keeps those of some services only.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&str) -> bool) {
        self.0.retain(|(service, _)| is_kept(service));
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What runs of a guard's programs, whatever was noted of them.
#[derive(Debug)]
pub struct Running(Census);

impl Running {
    /// Only programs whose main process lives and has the number that is in their marks. In a container, programs of a guard of
    /// the same name have other numbers than here.
    #[must_use]
    pub fn with_main(self) -> Self {
        Self(self.0.with_main())
    }
}

/// Ends a wait from another thread.
#[derive(Debug, Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Ends the wait.
    pub fn wake(&self) {
        // A counter that is full wakes as well.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

/// What an event of the epoll is about; the rest of the number is a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Source {
    /// What programs say comes first.
    Notify = 1,
    Exec,
    Tail,
    Exit,
    Tree,
    Child,
    Signals,
    Wake,
}

impl Source {
    /// Every one: as many as the number of the last.
    const ALL: [Self; Self::Wake as usize] =
        [Self::Notify, Self::Exec, Self::Tail, Self::Exit, Self::Tree, Self::Child, Self::Signals, Self::Wake];
}

const TOKEN_BITS: u32 = 56;
/// How many events one wait takes at most; the others come with the next.
const READY_MAX: usize = 256;
/// How soon those that were born are looked at again whose exec cannot be waited for.
const LOOK_AGAIN_AT_NEWBORN: Duration = Duration::from_millis(50);
/// How many messages one socket may deliver in a wait, so that a chatty program does not keep others waiting.
const MESSAGES_MAX: usize = 32;

impl System {
    /// Sets everything up, once for each process: its signals and its orphans are the system's from then on.
    ///
    /// # Errors
    /// When the system lacks something that cannot be done without.
    pub fn new(config: &SystemConfig) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(io::Error::from)
            .map_err(context("creating the epoll"))?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let signals = Signals::take()?;
        let inherited = prepare::Inherited::take()?;
        // Orphans come to the guard instead of to PID 1; as PID 1 it gets them anyway.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let owner = Owner {
            instance: config.instance.clone(),
            mark: config.mark.clone(),
            run_folder: config.run_folder.clone(),
        };
        let forest = Forest::new(owner, config.trees)?;
        let spawner = Spawner::new(&inherited.null);
        let system = Self {
            epoll,
            wake: Arc::new(wake),
            signals,
            forest,
            trees: HashMap::new(),
            processes: HashMap::new(),
            by_pid: HashMap::new(),
            sockets: HashMap::new(),
            put_off: HashSet::new(),
            newborn: Vec::new(),
            // Those of a program that was this process before, if there was one.
            ended_wait: true,
            listens: false,
            looked_at: Instant::now(),
            runs: 0,
            inherited,
            spawner,
            ledger: Ledger::new().map_err(context("setting up the ledger of processes"))?,
            holder: None,
            missed: BTreeMap::new(),
            taken: Taken::default(),
            said: Vec::new(),
            unnoted: Vec::new(),
        };
        system.watch(system.wake.as_fd(), Source::Wake, Token(0), epoll::EventFlags::IN)?;
        system.watch(system.signals.as_fd(), Source::Signals, Token(0), epoll::EventFlags::IN)?;
        system.watch(system.signals.held(), Source::Child, Token(0), epoll::EventFlags::IN)?;
        system.waker().wake();
        Ok(system)
    }

    /// Has signals that ask something of the guard wait for the next program; what they asked until now.
    pub fn hold_signals(&mut self) -> Vec<Ask> {
        hold_signals();
        self.listens = false;
        let taken = self.signals.read();
        self.ended_wait |= taken.child;
        taken.asked
    }

    /// Whether some process was born whose program may or may not be executed yet.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.processes.values().any(|process| process.stage == Stage::Born)
    }

    /// Goes on as another program. The children, what is kept, and signals that were held go with it. Returns only when that
    /// program cannot be executed, with the reason.
    pub fn become_program(
        &mut self,
        program: &Path,
        arguments: &[OsString],
        environment: &[(OsString, OsString)],
    ) -> io::Error {
        self.inherited.give_back();
        let error = signals::with_children_let_through(|| exec::become_program(program, arguments, environment));
        self.inherited.ask_for_more();
        error
    }

    /// Something to end a wait with.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.wake))
    }

    /// How trees are told apart here, for people.
    #[must_use]
    pub fn describe_trees(&self) -> &'static str {
        self.forest.describe()
    }

    /// Starts a program, for the how manieth run of its service (0 if it is nobody's). `Started` or `StartFailed` follows,
    /// once the kernel has executed it or could not.
    ///
    /// # Errors
    /// When not even a process could be made; nothing follows then.
    pub fn spawn(&mut self, token: Token, place: &Place, run: u64, program: &Program) -> io::Result<u32> {
        let tree = self.tree(place)?;
        self.runs += 1;
        let mark = self.forest.mark(place, self.runs);
        let entries = self.forest.old_entries(&place.service);
        let (prepared, given) = Prepared::new(program, &self.inherited, &mark, entries)?;
        reach(FailPoint::TreeMade);
        let row = self.ledger.row(self.forest.number(place), run)?;
        let born = self.spawner.spawn(row, prepared, &given, tree.folder())?;
        reach(FailPoint::ChildBorn);
        tree.planted(mark, born.pid, born.start_time);
        let oom_kills = self.forest.oom_kills(&place.service, &tree);
        let process = Process::new(token, (place.clone(), run), tree, born, given.tail, oom_kills);
        if let Err(error) = self.watch_new(token, &process) {
            // Nobody would look after it; as an orphan it is reaped.
            process.tree.kill();
            return Err(error);
        }
        let pid = process.pid;
        self.by_pid.insert(pid, token);
        self.processes.insert(token, process);
        self.newborn.push(token);
        Ok(pid)
    }

    /// Sees those that were born on their way.
    fn settle(&mut self) {
        for pid in self.spawner.settle() {
            let process = self.by_pid.get(&pid).and_then(|token| self.processes.get_mut(token));
            if let Some(process) = process {
                let error = io::Error::other("the new process was ended before it had descriptors of its own");
                process.cannot_start(error);
            }
        }
    }

    fn watch_new(&self, token: Token, process: &Process) -> io::Result<()> {
        self.watch(process.pidfd(), Source::Exit, token, epoll::EventFlags::IN)?;
        if let Some(tail) = process.tail() {
            self.watch(tail, Source::Tail, token, epoll::EventFlags::IN)?;
        }
        Ok(())
    }

    /// Looks what runs of this guard's programs now: every process there is tells whose it is.
    ///
    /// # Errors
    /// When one cannot look now.
    pub fn running(&self) -> io::Result<Running> {
        Census::take().map(Running)
    }

    /// The main process of a program that runs.
    #[must_use]
    pub fn main_of(&self, running: &Running, place: &Place) -> Option<Earlier> {
        self.forest.main_of(&running.0, place)
    }

    /// Whether anything of a program lives, be it only what its main process has left.
    #[must_use]
    pub fn has(&self, running: &Running, place: &Place) -> bool {
        self.forest.has(&running.0, place)
    }

    /// Whether a process that an earlier guard looked after is there, and not merely waiting to be reaped.
    #[must_use]
    pub fn lives(&self, earlier: &Earlier) -> bool {
        crate::tree::lives(earlier.pid, earlier.start_time)
    }

    /// Kills whatever lives of a program that an earlier guard started, and nobody waits for.
    pub fn kill_left(&self, place: &Place) {
        self.forest.kill_left(place);
    }

    /// Looks after a process that an earlier guard started, for this run of its service.
    ///
    /// # Errors
    /// When one cannot look now: nothing is known of it then, least of all that it has ended. What was held of it is kept until
    /// this is asked again.
    pub fn adopt(&mut self, token: Token, place: &Place, run: u64, earlier: &Earlier) -> io::Result<Adopted> {
        let adopted = self.try_adopt(token, place, run, earlier);
        if adopted.is_err() {
            self.miss(place, run, earlier.pid);
        } else if self.missed.remove(&earlier.pid).is_some() {
            self.let_go_of_taken();
        }
        adopted
    }

    /// A process could not be adopted. Should this guard be killed, what was held of it is there for the next one.
    fn miss(&mut self, place: &Place, run: u64, pid: u32) {
        if matches!(self.missed.get(&pid), Some(Some(_))) {
            return;
        }
        let entered = self.held(place, pid).and_then(|held| {
            let row = self.ledger.row(self.forest.number(place), run).ok()?;
            row.set(pid, held.as_raw_fd());
            Some(row)
        });
        self.missed.insert(pid, entered);
    }

    /// Of what was held for this guard, only what could not be adopted yet is needed.
    fn let_go_of_taken(&mut self) {
        self.taken.keep(|pid| self.missed.contains_key(&pid));
    }

    /// What was held of a process.
    fn held(&self, place: &Place, pid: u32) -> Option<BorrowedFd<'_>> {
        self.forest.numbers(place).find_map(|number| self.taken.pidfd(number, pid))
    }

    fn try_adopt(&mut self, token: Token, place: &Place, run: u64, earlier: &Earlier) -> io::Result<Adopted> {
        let Earlier { pid, start_time, first, folder: _ } = *earlier;
        let tree = Rc::new(self.forest.tree_of_earlier(place, earlier)?);
        let there = match process::open(pid)? {
            Some(pidfd) if crate::tree::is_there(pid, start_time)? => Some(pidfd),
            Some(_) | None => None,
        };
        let held = self.held(place, pid);
        // It may have ended and wait for somebody to reap it.
        let unreaped = there.as_ref().filter(|pidfd| is_over(pidfd.as_fd()));
        let exit = if let Some(pidfd) = unreaped {
            Some(reap::end_of(pidfd.as_fd(), pid).unwrap_or(Exit::Unknown))
        } else {
            let known = || held.map_or(Exit::Unknown, |pidfd| reap::exit_of_stranger(pidfd, pid));
            there.is_none().then(known)
        };
        let row = self.ledger.row(self.forest.number(place), run)?;
        let entered = match (there, held) {
            (Some(there), _) => Entered::new(row, pid, there),
            (None, Some(held)) => Entered::new(row, pid, held.try_clone_to_owned()?),
            // It needs some descriptor, and the next guard could learn no more from it either.
            (None, None) => {
                Entered::as_written(row, process::open(std::process::id())?.ok_or(io::ErrorKind::NotFound)?)
            }
        };
        let mut process = Process::adopted(token, (place.clone(), run), Rc::clone(&tree), pid, entered);
        process.first = first;
        if exit.is_none() {
            self.watch(process.pidfd(), Source::Exit, token, epoll::EventFlags::IN)?;
        }
        self.plant(place, tree);
        if let Some(exit) = exit {
            process.stage = Stage::Ended;
            let empty = process.tree.is_empty();
            if empty {
                self.unnoted.push(process.into_unnoted());
            } else {
                self.processes.insert(token, process);
                self.await_empty(token);
            }
            return Ok(Adopted::Ended { exit, tree: if empty { TreeState::Empty } else { TreeState::Alive } });
        }
        self.by_pid.insert(pid, token);
        self.processes.insert(token, process);
        Ok(Adopted::Alive)
    }

    /// The process a program was started as, with its start time, if its main process is another one by now.
    #[must_use]
    pub fn first(&self, token: Token) -> Option<(u32, u64)> {
        self.processes.get(&token)?.first
    }

    /// The folder of a program's tree, where it has one.
    #[must_use]
    pub fn folder(&self, token: Token) -> Option<PathBuf> {
        self.processes.get(&token)?.tree.path().map(Path::to_owned)
    }

    /// When a process started: with its number, what tells it from all others of this boot.
    #[must_use]
    pub fn start_time(&self, token: Token) -> Option<u64> {
        self.processes.get(&token)?.start_time()
    }

    /// Asks the holder of the guard that was here before, if there is one, for what it holds. What programs said meanwhile
    /// over sockets that were added since is told by the next wait.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn take_held(&mut self, socket: &Path) -> io::Result<()> {
        self.taken = crate::holder::platform::take(socket)?;
        for (token, socket) in &self.sockets {
            let said = socket.path().map(|path| self.taken.said(&path)).unwrap_or_default();
            self.said.extend(said.into_iter().map(|datagram| OsEvent::Notified { token: *token, datagram }));
        }
        self.waker().wake();
        Ok(())
    }

    /// Takes what the version before, in this very process, had of processes that are not its children.
    pub fn take_strangers(&mut self, strangers: Vec<(HeldProcess, Kept)>) {
        self.taken = Taken::of(strangers);
    }

    /// The main processes that are not this one's children, those that could not be adopted yet among them: when one has ended,
    /// nothing but its descriptor tells how.
    #[must_use]
    pub fn strangers(&self) -> Vec<(HeldProcess, BorrowedFd<'_>)> {
        let strangers = self.processes.values().filter(|process| reap::is_stranger(process.pidfd()));
        let held = |process: &Process| HeldProcess {
            place: self.forest.number(&process.place),
            run: process.run,
            pid: process.pid,
        };
        let missed = self.taken.processes().filter(|(process, _)| self.missed.contains_key(&process.pid));
        strangers.map(|process| (held(process), process.pidfd())).chain(missed).collect()
    }

    /// The runs of a program from this one on that earlier guards began, in their order, as far as their ends may not have
    /// been noted.
    #[must_use]
    pub fn held_runs(&self, place: &Place, from: u64) -> Vec<HeldRun> {
        let mut runs = self.forest.numbers(place).map(|number| self.taken.runs(number, from));
        runs.find(|runs| !runs.is_empty()).unwrap_or_default()
    }

    /// From now on a second process holds for the next guard what dies with this one. What was held for this guard is not
    /// needed any more, but for what could not be adopted yet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin_to_hold(&mut self, socket: &Path) -> io::Result<()> {
        // It may be just these descriptors that are lacking.
        self.let_go_of_taken();
        let holder = Holder::begin(socket, &self.ledger)?;
        self.forest.set_holder(holder.pid());
        self.holder = Some(holder);
        Ok(())
    }

    /// Whether such a process is there, as far as is known.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.holder.is_some()
    }

    /// This guard ends and leaves what it guards to the next: what it closes from now on is held all the same. Returns the
    /// descriptor of the process that holds, for the next version to end it.
    pub fn leave_to_holder(&mut self) -> Option<Kept> {
        self.holder.take().map(Holder::keep_all)
    }

    /// What has ended since this was asked last.
    pub fn take_unnoted(&mut self) -> Unnoted {
        Unnoted(std::mem::take(&mut self.unnoted))
    }

    /// Sends a signal. A process that has ended meanwhile is no error.
    pub fn signal(&self, token: Token, target: Target, signal: i32) {
        let Some(process) = self.processes.get(&token) else { return };
        match target {
            // Its descriptor may be that of another process.
            Target::Main if process.stage == Stage::Ended => {}
            // It has ended, or will be told; either way there is nothing else to do.
            Target::Main => drop(crate::tree::send(process.pidfd(), signal)),
            Target::Rest => drop(process.tree.signal(signal, Some(process.pid))),
            Target::Tree => drop(process.tree.signal(signal, None)),
        }
        reach(FailPoint::SignalSent);
    }

    /// Kills at once.
    pub fn kill(&self, token: Token, target: Target) {
        match (target, self.processes.get(&token)) {
            (Target::Tree, Some(process)) => process.tree.kill(),
            (Target::Main | Target::Rest, _) => self.signal(token, target, libc::SIGKILL),
            (Target::Tree, None) => {}
        }
        reach(FailPoint::TreeKilled);
    }

    /// Freezes a tree; `Frozen` follows.
    ///
    /// # Errors
    /// When it cannot be frozen.
    pub fn freeze(&mut self, token: Token) -> io::Result<()> {
        let process = self.processes.get_mut(&token).ok_or(io::ErrorKind::NotFound)?;
        process.tree.freeze(true)?;
        process.awaits_frost = true;
        self.await_tree(token);
        Ok(())
    }

    /// Whether the tree of a process that was adopted is frozen; `None` if the system does not tell.
    #[must_use]
    pub fn was_left_frozen(&self, token: Token) -> Option<bool> {
        let process = self.processes.get(&token)?;
        process.tree.was_left_frozen(process.pid)
    }

    /// Thaws a tree: when this returns, its processes may run.
    ///
    /// # Errors
    /// When it cannot be thawed.
    pub fn thaw(&mut self, token: Token) -> io::Result<()> {
        let process = self.processes.get_mut(&token).ok_or(io::ErrorKind::NotFound)?;
        process.awaits_frost = false;
        process.tree.freeze(false)
    }

    /// Follows a program that says its main process is another one now. It must belong to the program's tree.
    ///
    /// # Errors
    /// When there is no such process, or it is somebody else's.
    pub fn set_main(&mut self, token: Token, pid: u32) -> io::Result<()> {
        let process = self.processes.get_mut(&token).ok_or(io::ErrorKind::NotFound)?;
        if process.pid == pid {
            return Ok(());
        }
        if process.stage == Stage::Ended {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the main process has ended"));
        }
        let pidfd = process::open(pid)?.ok_or(io::ErrorKind::NotFound)?;
        if !process.tree.contains(pid) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("process {pid} does not belong to the service"),
            ));
        }
        let row = self.ledger.row(self.forest.number(&process.place), process.run)?;
        watch(&self.epoll, pidfd.as_fd(), Source::Exit, token, epoll::EventFlags::IN)?;
        // Events of the old main process are not those of this run any more; as an orphan or child it is reaped.
        let _ = epoll::delete(&self.epoll, process.pidfd());
        self.put_off.remove(&token);
        self.by_pid.remove(&process.pid);
        process.replace_main(pid, Entered::new(row, pid, pidfd));
        self.by_pid.insert(pid, token);
        Ok(())
    }

    /// Whether a process belongs to a tree.
    #[must_use]
    pub fn is_member(&self, token: Token, pid: u32) -> bool {
        self.processes.get(&token).is_some_and(|process| process.pid == pid || process.tree.contains(pid))
    }

    /// What is left of a tree, for people: `pid 12 (cat, uninterruptible in request_wait_answer), pid 13 (sh)`.
    #[must_use]
    pub fn describe_members(&self, token: Token) -> String {
        self.processes.get(&token).map(|process| process::describe_members(&process.tree)).unwrap_or_default()
    }

    /// Sets what a service may use. Says what the kernel enforces.
    pub fn limit(&mut self, service: &str, limits: &Limits) -> Enforced {
        self.forest.limit(service, limits, self.trees_of(service))
    }

    /// Processor time of one run, where the system counts it. What had ended of it, and was nobody's child any more, when this
    /// was first asked for is not in it.
    #[must_use]
    pub fn cpu_of_run(&self, token: Token) -> Option<Duration> {
        self.processes.get(&token)?.cpu()
    }

    /// What a service uses now.
    #[must_use]
    pub fn usage(&self, service: &str) -> Usage {
        let own = self.processes.values().filter(|process| process.place.service == service);
        self.forest.usage(service, self.trees_of(service), own.map(|process| &*process.tree))
    }

    /// The trees of a service, also those in which nothing runs.
    fn trees_of(&self, service: &str) -> impl Iterator<Item = &Tree> {
        self.trees.get(service).into_iter().flatten().map(|(_, tree)| &**tree)
    }

    /// Lets go of what was made for a service that is gone.
    pub fn forget(&mut self, service: &str) {
        self.forest.forget(service, self.trees_of(service));
        self.trees.remove(service);
    }

    /// Lets go of what was made for a service of which nothing will run again, without waiting until it is gone.
    pub fn forget_by_and_by(&mut self, service: &str) {
        let trees = self.trees.remove(service).unwrap_or_default();
        self.forest.sweep(service, trees.into_iter().map(|(_, tree)| tree).collect());
    }

    /// Lets go of everything that was made for trees, where nothing lives in it any more.
    pub fn close_trees(&mut self) {
        self.reap(&mut Vec::new());
        self.trees.clear();
        self.forest.close();
    }

    /// Lets go of that, and of what is held for a next guard, unless it was left to that.
    pub fn close(&mut self) {
        self.close_trees();
        if let Some(holder) = self.holder.take() {
            holder.end();
        }
    }

    /// Listens to a notify socket under this token.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn add_socket(&mut self, token: Token, socket: NotifySocket) -> io::Result<()> {
        self.watch(socket.as_fd(), Source::Notify, token, epoll::EventFlags::IN)?;
        self.sockets.insert(token, socket);
        Ok(())
    }

    /// The notify socket under this token, to be kept for the next program.
    #[must_use]
    pub fn socket(&self, token: Token) -> Option<&NotifySocket> {
        self.sockets.get(&token)
    }

    /// Listens to it no longer.
    pub fn remove_socket(&mut self, token: Token) {
        // Closing it takes it out of the epoll.
        self.sockets.remove(&token);
    }

    /// Waits until something happens, the waker is used, or the time is over, and adds what happened to `events`.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<OsEvent>) -> io::Result<()> {
        self.settle();
        let before = events.len();
        if std::mem::take(&mut self.ended_wait) {
            self.reap(events);
        }
        self.look_at_newborn(events);
        let at_most = match (events.len() > before, self.newborn.is_empty()) {
            (true, _) => Some(Duration::ZERO),
            (false, false) => Some(LOOK_AGAIN_AT_NEWBORN),
            (false, true) => None,
        };
        self.wait_for(timeout.into_iter().chain(at_most).min(), events)
    }

    /// The same, but that programs are executed which were born since the last wait ends no wait: on its way to its first
    /// instruction a program would have to give its processor up for that.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait_in_peace(&mut self, at_most: Duration, events: &mut Vec<OsEvent>) -> io::Result<()> {
        self.wait_for(Some(at_most), events)
    }

    fn wait_for(&mut self, timeout: Option<Duration>, events: &mut Vec<OsEvent>) -> io::Result<()> {
        if !std::mem::replace(&mut self.listens, true) {
            signals::let_through();
        }
        self.forest.go_on_sweeping();
        let look =
            self.processes.values().filter_map(Process::look_interval).min().map(|interval| self.looked_at + interval);
        let until_look = look.map(|look| look.saturating_duration_since(Instant::now()));
        let timeout = timeout.into_iter().chain(until_look).min();
        let timeout = timeout.map(|timeout| Timespec::try_from(timeout).unwrap_or(LONGEST));
        let mut room = [const { MaybeUninit::uninit() }; READY_MAX];
        let ready = match epoll::wait(&self.epoll, &mut room, timeout.as_ref()) {
            Ok((ready, _)) => ready,
            Err(rustix::io::Errno::INTR) => &mut [],
            Err(error) => return Err(error.into()),
        };
        // Whoever has ended has said before whether its program was executed.
        self.settle();
        events.append(&mut self.said);
        let mut sources: Vec<(Source, Token)> = ready.iter().filter_map(|event| decode(event.data.u64())).collect();
        sources.sort_unstable();
        let anybody_speaks = sources.iter().any(|(source, _)| *source == Source::Notify);
        for (source, token) in sources {
            if !(anybody_speaks && source == Source::Exit && self.put_off.insert(token)) {
                self.happened(source, token, events);
            }
        }
        if look.is_some_and(|look| look <= Instant::now()) {
            self.look_again(events);
        }
        Ok(())
    }

    /// Hears whether the programs are executed of those that were born last, of which it is not known yet.
    fn look_at_newborn(&mut self, events: &mut Vec<OsEvent>) {
        for token in std::mem::take(&mut self.newborn) {
            self.executed(token, events);
            let Some(pipe) = self.processes.get(&token).and_then(Process::exec_pipe) else { continue };
            if self.watch(pipe, Source::Exec, token, epoll::EventFlags::IN).is_err() {
                // There may be memory for it the next time.
                self.newborn.push(token);
            }
        }
    }

    fn happened(&mut self, source: Source, token: Token, events: &mut Vec<OsEvent>) {
        match source {
            Source::Notify => self.receive(token, events),
            Source::Exec => self.executed(token, events),
            Source::Tail => self.read_tail(token),
            Source::Exit => self.exited(token, events),
            Source::Tree => self.tree_changed(token, events),
            Source::Child => {
                self.signals.take_held();
                self.ended_wait = true;
            }
            Source::Signals => {
                let taken = self.signals.read();
                self.ended_wait |= taken.child;
                events.extend(taken.asked.into_iter().map(OsEvent::Asked));
            }
            Source::Wake => drop(rustix::io::read(&*self.wake, &mut [0_u8; 8])),
        }
    }

    fn receive(&self, token: Token, events: &mut Vec<OsEvent>) {
        let Some(socket) = self.sockets.get(&token) else { return };
        let messages = std::iter::from_fn(|| socket.receive()).take(MESSAGES_MAX);
        events.extend(messages.map(|datagram| OsEvent::Notified { token, datagram }));
    }

    /// The pipe that tells of the exec has something: its end (executed) or the reason why not.
    fn executed(&mut self, token: Token, events: &mut Vec<OsEvent>) {
        let Some(process) = self.processes.get_mut(&token) else { return };
        if let Some(started) = process.read_exec_pipe() {
            reach(FailPoint::ChildExecuted);
            events.extend(started);
            self.spawner.collect();
        }
    }

    fn read_tail(&mut self, token: Token) {
        if let Some(process) = self.processes.get_mut(&token) {
            process.read_tail();
        }
    }

    /// A main process has ended.
    fn exited(&mut self, token: Token, events: &mut Vec<OsEvent>) {
        self.put_off.remove(&token);
        let Some(process) = self.processes.get_mut(&token).filter(|process| process.stage != Stage::Ended) else {
            return;
        };
        let Some(exit) = reap::end_of(process.pidfd(), process.pid) else { return };
        reach(FailPoint::EndSeen);
        // To reap it takes longer than to look; a successor may be waiting.
        self.ended_wait = true;
        // The pipe may not have been looked at yet.
        events.extend(process.read_exec_pipe().flatten());
        process.read_tail();
        process.stage = Stage::Ended;
        self.by_pid.remove(&process.pid);
        let _ = epoll::delete(&self.epoll, process.pidfd());
        if let Some(error) = process.take_start_error() {
            events.push(OsEvent::StartFailed { token, error });
            self.let_go(token);
            return;
        }
        let killed = exit == Exit::Signal(libc::SIGKILL);
        let oom = killed && self.forest.oom_kills(&process.place.service, &process.tree) > process.oom_kills;
        let empty = process.tree.is_empty();
        let tail = process.take_tail();
        let tree = if empty { TreeState::Empty } else { TreeState::Alive };
        events.push(OsEvent::Exited { token, exit, oom, tree, tail });
        if empty {
            self.let_go(token);
        } else {
            self.await_empty(token);
        }
    }

    /// Nothing is left of a process but its end, until that is noted. Nobody notes what is no run of a service.
    fn let_go(&mut self, token: Token) {
        let ended = self.processes.remove(&token).filter(|process| process.run > 0);
        self.unnoted.extend(ended.map(Process::into_unnoted));
    }

    fn await_empty(&mut self, token: Token) {
        if let Some(process) = self.processes.get_mut(&token) {
            process.awaits_empty = true;
        }
        self.await_tree(token);
    }

    /// Watches a tree for becoming empty or frozen. One that cannot be watched is looked at again and again.
    fn await_tree(&mut self, token: Token) {
        let Some(process) = self.processes.get_mut(&token) else { return };
        if process.watch_tree() {
            let process = &self.processes[&token];
            let watched =
                process.tree_watch().map(|watch| self.watch(watch, Source::Tree, token, epoll::EventFlags::PRI));
            if matches!(watched, Some(Err(_)))
                && let Some(process) = self.processes.get_mut(&token)
            {
                process.look_at_tree();
            }
        }
    }

    fn tree_changed(&mut self, token: Token, events: &mut Vec<OsEvent>) {
        let Some(process) = self.processes.get_mut(&token) else { return };
        process.clear_tree_watch();
        if process.awaits_frost && process.tree.is_frozen() {
            process.awaits_frost = false;
            events.push(OsEvent::Frozen { token });
        }
        if process.awaits_empty && process.tree.is_empty() {
            events.push(OsEvent::TreeEmpty { token });
            self.let_go(token);
        }
    }

    /// Looks at the trees to which something is to happen.
    fn look_again(&mut self, events: &mut Vec<OsEvent>) {
        let mut tokens: Vec<Token> =
            self.processes.values().filter(|process| process.awaits_tree()).map(|process| process.token).collect();
        tokens.sort_unstable();
        self.looked_at = Instant::now();
        for token in tokens {
            self.tree_changed(token, events);
        }
    }

    /// Reaps every child that has ended, but for main processes whose end is still to be told, after what they said before it:
    /// the next wait brings both.
    fn reap(&mut self, events: &mut Vec<OsEvent>) {
        /// More than this many in one go wait for the next.
        const REAPED_MAX: usize = 10_000;
        for _ in 0..REAPED_MAX {
            let Some(pid) = reap::next_ended_child() else {
                self.spawner.collect();
                return;
            };
            if self.by_pid.contains_key(&pid) {
                break;
            }
            reap::discard(pid);
            self.holder_ended(pid, events);
        }
        self.ended_wait = true;
        self.waker().wake();
    }

    fn holder_ended(&mut self, pid: u32, events: &mut Vec<OsEvent>) {
        if let Some(holder) = self.holder.take_if(|holder| holder.pid() == pid) {
            events.push(OsEvent::HolderEnded { after: holder.began().elapsed() });
        }
    }

    fn tree(&mut self, place: &Place) -> io::Result<Rc<Tree>> {
        let trees = self.trees.get(&place.service).map(Vec::as_slice).unwrap_or_default();
        let tree = trees.iter().find(|(role, tree)| *role == place.role && !self.forest.is_spent(&place.service, tree));
        if let Some((_, tree)) = tree {
            return Ok(Rc::clone(tree));
        }
        let tree = Rc::new(self.forest.tree(place)?);
        self.plant(place, Rc::clone(&tree));
        Ok(tree)
    }

    /// From now on this is the tree of a place.
    fn plant(&mut self, place: &Place, tree: Rc<Tree>) {
        let trees = self.trees.entry(place.service.clone()).or_default();
        trees.retain(|(role, _)| *role != place.role);
        trees.push((place.role.clone(), tree));
    }

    fn watch(&self, source: BorrowedFd<'_>, kind: Source, token: Token, flags: epoll::EventFlags) -> io::Result<()> {
        watch(&self.epoll, source, kind, token, flags)
    }
}

fn watch(
    epoll: &OwnedFd,
    source: BorrowedFd<'_>,
    kind: Source,
    token: Token,
    flags: epoll::EventFlags,
) -> io::Result<()> {
    let data = epoll::EventData::new_u64((kind as u64) << TOKEN_BITS | token.0);
    epoll::add(epoll, source, data, flags).map_err(io::Error::from).map_err(context("watching a descriptor"))
}

/// Kills this process, as somebody else would.
#[cfg_attr(not(feature = "fail-points"), expect(dead_code, reason = "only fail-points kill"))]
pub(crate) fn end_at_once() {
    // The kernel takes it, whatever comes back.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

/// Leaves the terminal: Ctrl-C there, and its end, no longer reach this process.
pub fn leave_terminal() {
    // A process that leads a session already has left it.
    let _ = rustix::process::setsid();
}

/// Has what this process says go into a file from now on.
///
/// # Errors
/// When the system does not want to.
pub fn say_into(file: &std::fs::File) -> io::Result<()> {
    rustix::stdio::dup2_stdout(file)?;
    rustix::stdio::dup2_stderr(file)?;
    Ok(())
}

/// Whether there is a process of this number. One that cannot be looked for now is not gone.
#[must_use]
pub fn exists(pid: u32) -> bool {
    !matches!(process::open(pid), Ok(None))
}

/// Whether the process of this number that was started at this time lives.
#[must_use]
pub fn is_alive(pid: u32, start_time: u64) -> bool {
    crate::tree::lives(pid, start_time)
}

const LONGEST: Timespec = Timespec { tv_sec: 1 << 30, tv_nsec: 0 };

fn decode(data: u64) -> Option<(Source, Token)> {
    let kind = Source::ALL.into_iter().find(|kind| *kind as u64 == data >> TOKEN_BITS)?;
    Some((kind, Token(data & ((1 << TOKEN_BITS) - 1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_let_go_of_service_by_service() {
        let ledger = Ledger::new().unwrap();
        let ended = |service: &str, place, run| {
            let descriptor = std::fs::File::open("/dev/null").unwrap().into();
            (service.to_owned(), Entered::new(ledger.row(place, run).unwrap(), 100, descriptor))
        };
        let mut unnoted = Unnoted(vec![ended("web", 7, 1), ended("db", 8, 1)]);
        unnoted.join(Unnoted(vec![ended("web", 7, 2), ended("db", 8, 2)]));
        unnoted.retain(|service| service == "db");
        assert_eq!(unnoted.0.iter().map(|(_, ended)| ended.place()).collect::<Vec<_>>(), [8, 8]);
        unnoted.retain(|_| false);
        assert!(unnoted.is_empty());
    }
}
