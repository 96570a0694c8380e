//! One completion port for everything: exits, jobs, the console.

mod command_line;
mod console;
mod job;
mod port;
pub(crate) mod process;
pub(crate) mod second;
mod spawn;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::windows::io::OwnedHandle;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::SystemServices::{JOB_OBJECT_MSG_ACTIVE_PROCESS_ZERO, JOB_OBJECT_MSG_JOB_MEMORY_LIMIT};

use super::{Adopted, Earlier, SystemConfig, Target, TreeMode};
use crate::account::platform::Session;
use crate::error::context;
use crate::event::{Ask, Exit, OsEvent, Token, TreeState};
use crate::fail_point::{FailPoint, reach};
use crate::handover::Kept;
use crate::handover::platform::nobody;
use crate::holder::platform::{BREAK, Holder, Row, Taken};
use crate::holder::{HeldProcess, HeldRun, thin_out};
use crate::notify_socket::NotifySocket;
use crate::program::{Place, Program};
use crate::signal::platform::KILL;
use crate::usage::{Enforced, Limits, Usage};
use crate::win32::{owned, raw, size_of_u32};

use job::{Job, Members};
use port::{Packet, Port, Source, Watch};

/// Everything the guard has to do with the operating system's processes.
#[derive(Debug)]
pub struct System {
    port: Arc<Port>,
    woken: Arc<AtomicBool>,
    config: SystemConfig,
    jobs: HashMap<Place, (u64, Rc<Job>)>,
    next_job: u64,
    limits: HashMap<String, Limits>,
    processes: HashMap<Token, Process>,
    tails: u64,
    holder: Option<(Holder, Watch)>,
    holders: u64,
    /// What was held for this guard.
    taken: Taken,
    /// What has happened and is to be told first.
    said: Vec<OsEvent>,
    /// What has ended, and nobody was told yet.
    unnoted: Vec<(String, Row)>,
    /// When the trees of which something is awaited were last looked at.
    looked_at: Instant,
}

#[derive(Debug)]
struct Process {
    place: Place,
    run: u64,
    pid: u32,
    handle: Option<OwnedHandle>,
    job: Rc<Job>,
    job_number: u64,
    watch: Option<Watch>,
    row: Option<Row>,
    has_ended: bool,
    awaits_empty: bool,
    /// It was refused memory beyond its limit.
    oom: bool,
    tail: Option<File>,
    /// The logon it runs under, where this guard began one.
    session: Option<Arc<Session>>,
    cpu_before: Duration,
}

/// Processes that have ended, each with its service. Until this is dropped, the next guard would learn how: to be kept until
/// that is noted.
#[derive(Debug, Default)]
#[must_use]
pub struct Unnoted(Vec<(String, Row)>);

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

/// What runs of a guard's programs, whatever was noted of them: the jobs tell, each when it is asked.
#[derive(Debug)]
pub struct Running(());

impl Running {
    /// Only programs whose main process lives: here the jobs tell when they are asked.
    #[must_use]
    pub const fn with_main(self) -> Self {
        self
    }
}

/// Ends a wait from another thread.
#[derive(Debug, Clone)]
pub struct Waker(Arc<Port>, Arc<AtomicBool>);

impl Waker {
    /// Ends the wait.
    pub fn wake(&self) {
        if !self.1.swap(true, Ordering::AcqRel) {
            self.0.post(Source::Wake, 0);
        }
    }
}

/// How soon a tree is looked at again of which the port is told.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// And one of which it is not.
const LOOK_AGAIN_UNTOLD: Duration = Duration::from_millis(20);
/// How much of a program's last output is kept.
const TAIL_BYTES: u64 = 4096;

impl System {
    /// Sets everything up, once for each process: what its console asks is the system's from then on.
    ///
    /// # Errors
    /// When the system lacks something that cannot be done without.
    pub fn new(config: &SystemConfig) -> io::Result<Self> {
        if config.trees != TreeMode::Auto {
            let why = "trees are jobs on Windows, always: MENSHEN_TREES cannot be set there";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let port = Port::new().map_err(context("creating the completion port"))?;
        console::listen();
        console::tell(&port);
        Ok(Self {
            port,
            woken: Arc::default(),
            config: config.clone(),
            jobs: HashMap::new(),
            next_job: 0,
            limits: HashMap::new(),
            processes: HashMap::new(),
            tails: 0,
            holder: None,
            holders: 0,
            taken: Taken::default(),
            said: Vec::new(),
            unnoted: Vec::new(),
            looked_at: Instant::now(),
        })
    }

    /// What was asked until now and not told.
    pub fn hold_signals(&mut self) -> Vec<Ask> {
        console::take()
    }

    /// Whether some process was born whose program may or may not be executed yet.
    #[must_use]
    pub const fn is_starting(&self) -> bool {
        false
    }

    /// Goes on as another program, which no process can here.
    pub fn become_program(
        &mut self,
        _program: &Path,
        _arguments: &[OsString],
        _environment: &[(OsString, OsString)],
    ) -> io::Error {
        nobody()
    }

    /// Something to end a wait with.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.port), Arc::clone(&self.woken))
    }

    /// How trees are told apart here, for people.
    #[must_use]
    pub const fn describe_trees(&self) -> &'static str {
        "job objects"
    }

    /// Starts a program, for the how manieth run of its service (0 if it is nobody's). `Started` follows.
    ///
    /// # Errors
    /// When it cannot be executed; nothing follows then.
    pub fn spawn(&mut self, token: Token, place: &Place, run: u64, program: &Program) -> io::Result<u32> {
        let (job_number, job) = self.job(place)?;
        reach(FailPoint::TreeMade);
        self.tails += 1;
        let tail = self.config.run_folder.join(format!(".tail-{}-{}", std::process::id(), self.tails));
        let cpu_before = job.cpu();
        let born = spawn::spawn(program, &job, &tail)?;
        reach(FailPoint::ChildBorn);
        let watch = match Watch::begin(&self.port, &born.process, Source::Exit, token) {
            Ok(watch) => watch,
            Err(error) => {
                // Nobody would look after it.
                job.kill();
                return Err(error);
            }
        };
        let row = self.hold(place, run, born.pid, &born.process, &job);
        let process = Process {
            place: place.clone(),
            run,
            pid: born.pid,
            handle: Some(born.process),
            job,
            job_number,
            watch: Some(watch),
            row,
            has_ended: false,
            awaits_empty: false,
            oom: false,
            tail: born.tail,
            session: born.session,
            cpu_before,
        };
        self.processes.insert(token, process);
        self.said.push(OsEvent::Started { token, pid: born.pid });
        self.waker().wake();
        Ok(born.pid)
    }

    fn hold(&self, place: &Place, run: u64, pid: u32, process: &OwnedHandle, job: &Job) -> Option<Row> {
        let (holder, _) = self.holder.as_ref()?;
        // What is not held runs all the same; only its end would not be known, should this guard be killed.
        holder.hold((self.number(place), run), pid, process, job.handle()).ok()
    }

    /// Looks what runs of this guard's programs now.
    ///
    /// # Errors
    /// Never.
    pub const fn running(&self) -> io::Result<Running> {
        Ok(Running(()))
    }

    /// The main process of a program that runs: the oldest of its tree, for all others descend from it.
    #[must_use]
    pub fn main_of(&self, _running: &Running, place: &Place) -> Option<Earlier> {
        let members = self.members_of(place).into_iter().filter_map(|pid| {
            let process = process::open(pid, process::TO_WATCH).filter(|process| !process::has_ended(process))?;
            Some((process::start_time_of(&process)?, pid))
        });
        let (start_time, pid) = members.min()?;
        Some(Earlier { pid, start_time, first: None, folder: None })
    }

    /// Whether anything of a program lives, be it only what its main process has left.
    #[must_use]
    pub fn has(&self, _running: &Running, place: &Place) -> bool {
        !self.members_of(place).is_empty()
    }

    fn members_of(&self, place: &Place) -> Vec<u32> {
        let name = self.job_name(place);
        let held = || self.taken.job(self.number(place));
        Job::find(&name).map(|job| job::members(&job)).or_else(|| held().map(job::members)).unwrap_or_default()
    }

    /// Whether a process that an earlier guard looked after is there.
    #[must_use]
    pub fn lives(&self, earlier: &Earlier) -> bool {
        is_alive(earlier.pid, earlier.start_time)
    }

    /// Kills whatever lives of a program that an earlier guard started, and nobody waits for.
    pub fn kill_left(&self, place: &Place) {
        if let Some(job) = Job::find(&self.job_name(place)) {
            job::kill(&job);
        }
    }

    /// Looks after a process that an earlier guard started, for this run of its service.
    ///
    /// # Errors
    /// When one cannot look now: nothing is known of it then, least of all that it has ended.
    pub fn adopt(&mut self, token: Token, place: &Place, run: u64, earlier: &Earlier) -> io::Result<Adopted> {
        let (pid, start_time) = (earlier.pid, earlier.start_time);
        let (job_number, job) = self.job(place)?;
        let known_time = (start_time != 0).then_some(start_time);
        let is_it = |process: &OwnedHandle| process::start_time_of(process) == Some(start_time);
        let there = process::open(pid, process::TO_WATCH).filter(is_it);
        let held = self.taken.process(pid, known_time).and_then(|process| process.try_clone().ok());
        let handle = there.or(held);
        let ended = handle.as_ref().is_none_or(process::has_ended);
        let watch = match &handle {
            Some(handle) if !ended => Some(Watch::begin(&self.port, handle, Source::Exit, token)?),
            Some(_) | None => None,
        };
        let row = handle.as_ref().and_then(|handle| self.hold(place, run, pid, handle, &job));
        let exit = handle.as_ref().map_or(Exit::Unknown, process::exit_of);
        let is_empty = job.is_empty_but(if ended { pid } else { 0 });
        let process = Process {
            place: place.clone(),
            run,
            pid,
            handle,
            job,
            job_number,
            watch,
            row,
            has_ended: ended,
            awaits_empty: ended,
            oom: false,
            tail: None,
            session: None,
            cpu_before: Duration::ZERO,
        };
        if !ended {
            self.processes.insert(token, process);
            return Ok(Adopted::Alive);
        }
        if is_empty {
            self.unnoted.extend(process.row.map(|row| (process.place.service, row)));
        } else {
            self.processes.insert(token, process);
        }
        Ok(Adopted::Ended { exit, tree: if is_empty { TreeState::Empty } else { TreeState::Alive } })
    }

    /// The process a program was started as, if its main process is another one by now: nothing can say so here.
    #[must_use]
    pub const fn first(&self, _token: Token) -> Option<(u32, u64)> {
        None
    }

    /// The folder of a program's tree; jobs have none.
    #[must_use]
    pub const fn folder(&self, _token: Token) -> Option<PathBuf> {
        None
    }

    /// When a process started: with its number, what tells it from all others.
    #[must_use]
    pub fn start_time(&self, token: Token) -> Option<u64> {
        process::start_time_of(self.processes.get(&token)?.handle.as_ref()?)
    }

    /// Takes what the holder of the guard that was here before holds, if there is one.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn take_held(&mut self, pointer: &Path) -> io::Result<()> {
        let Ok(name) = std::fs::read_to_string(pointer) else { return Ok(()) };
        let ledger = pointer.with_file_name(name.trim());
        self.taken = Taken::from(&ledger).map_err(context(format!("reading {}", ledger.display())))?;
        Ok(())
    }

    /// Takes nothing: no version was this process before.
    pub fn take_strangers(&mut self, _strangers: Vec<(HeldProcess, Kept)>) {}

    /// None: how a process ended is the holder's to know.
    #[must_use]
    pub const fn strangers(&self) -> Vec<(HeldProcess, Kept)> {
        Vec::new()
    }

    /// The runs of a program from this one on that earlier guards began, in their order, as far as their ends may not have
    /// been noted.
    #[must_use]
    pub fn held_runs(&self, place: &Place, from: u64) -> Vec<HeldRun> {
        self.taken.runs(self.number(place), from)
    }

    /// From now on a second process holds for the next guard what dies with this one. What was held for this guard is not
    /// needed any more.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin_to_hold(&mut self, pointer: &Path) -> io::Result<()> {
        self.holders += 1;
        let name = format!("ledger-{}-{}", std::process::id(), self.holders);
        let holder = Holder::begin(&pointer.with_file_name(&name))?;
        let number = Token(self.holders);
        let watch = match Watch::begin(&self.port, holder.process(), Source::Holder, number) {
            Ok(watch) => watch,
            Err(error) => {
                holder.end();
                return Err(error);
            }
        };
        self.holder = Some((holder, watch));
        let tokens: Vec<Token> = self.processes.keys().copied().collect();
        for token in tokens {
            let Some(process) = self.processes.get(&token) else { continue };
            let Some(handle) = &process.handle else { continue };
            let row = self.hold(&process.place, process.run, process.pid, handle, &process.job);
            if let Some(process) = self.processes.get_mut(&token) {
                process.row = row;
            }
        }
        // The next guard sees it from here on.
        if let Err(error) = publish(pointer, &name) {
            // Nobody could find it.
            self.end_holder();
            return Err(context(format!("writing {}", pointer.display()))(error));
        }
        std::mem::take(&mut self.taken).let_go();
        forget_other_ledgers(pointer, &name);
        Ok(())
    }

    /// Whether such a process is there, as far as is known.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.holder.is_some()
    }

    /// This guard ends and leaves what it guards to the next: what it closes from now on is held all the same.
    pub fn leave_to_holder(&mut self) -> Option<Kept> {
        // What is dropped from here on is not to be let go of.
        for process in self.processes.values_mut() {
            process.row.take().into_iter().for_each(Row::keep);
            // Nor is a profile to be unloaded that is in use.
            let _ = process.session.take().map(std::mem::ManuallyDrop::new);
        }
        self.unnoted.drain(..).for_each(|(_, row)| row.keep());
        let (holder, watch) = self.holder.take()?;
        drop(watch);
        holder.keep_all()
    }

    /// What has ended since this was asked last.
    pub fn take_unnoted(&mut self) -> Unnoted {
        Unnoted(std::mem::take(&mut self.unnoted))
    }

    /// Sends what is nearest to a signal: Ctrl-Break to the program's console, `WM_CLOSE` to its windows; or the end at once.
    pub fn signal(&self, token: Token, target: Target, signal: i32) {
        let Some(process) = self.processes.get(&token) else { return };
        if target == Target::Main && process.has_ended {
            return;
        }
        let which = process.members(target);
        if signal == KILL {
            process.job.kill_members(which);
        } else {
            process.press_break(target);
            process.job.close_windows(which);
        }
        reach(FailPoint::SignalSent);
    }

    /// Kills at once.
    pub fn kill(&self, token: Token, target: Target) {
        match (target, self.processes.get(&token)) {
            (Target::Tree, Some(process)) => process.job.kill(),
            (Target::Main | Target::Rest, _) => self.signal(token, target, KILL),
            (Target::Tree, None) => {}
        }
        reach(FailPoint::TreeKilled);
    }

    /// Suspends a tree; `Frozen` follows.
    ///
    /// # Errors
    /// When it cannot be suspended.
    pub fn freeze(&mut self, token: Token) -> io::Result<()> {
        let process = self.processes.get(&token).ok_or(io::ErrorKind::NotFound)?;
        process.job.suspend()?;
        self.said.push(OsEvent::Frozen { token });
        self.waker().wake();
        Ok(())
    }

    /// Whether the tree of a process that was adopted is frozen: the system does not tell.
    #[must_use]
    pub const fn was_left_frozen(&self, _token: Token) -> Option<bool> {
        None
    }

    /// Lets a tree go on: when this returns, its processes may run.
    ///
    /// # Errors
    /// When it cannot.
    pub fn thaw(&mut self, token: Token) -> io::Result<()> {
        self.processes.get(&token).ok_or(io::ErrorKind::NotFound)?.job.resume()
    }

    /// Follows a program that says its main process is another one now; none can say so here.
    ///
    /// # Errors
    /// Always.
    pub fn set_main(&mut self, _token: Token, _pid: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether a process belongs to a tree.
    #[must_use]
    pub fn is_member(&self, token: Token, pid: u32) -> bool {
        self.processes.get(&token).is_some_and(|process| process.pid == pid || process.job.contains(pid))
    }

    /// What is left of a tree, for people: `pid 12 (web.exe), pid 13 (helper.exe)`.
    #[must_use]
    pub fn describe_members(&self, token: Token) -> String {
        let Some(process) = self.processes.get(&token) else { return String::new() };
        let members = process.job.members();
        let of = |entry: &Listed| members.contains(&entry.pid);
        let shown = listed().into_iter().filter(of).map(|entry| format!("pid {} ({})", entry.pid, entry.name));
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Sets what a service may use. Says what the system sees to.
    pub fn limit(&mut self, service: &str, limits: &Limits) -> Enforced {
        self.limits.insert(service.to_owned(), *limits);
        let own = self.jobs.iter().filter(|(place, _)| place.service == service);
        let mut set: Vec<Enforced> = own.map(|(_, (_, job))| job.limit(limits)).collect();
        if set.is_empty() {
            // Nothing of it has run yet.
            set.push(job::enforced(limits));
        }
        let all = |which: fn(&Enforced) -> bool| set.iter().all(which);
        Enforced { memory: all(|set| set.memory), cpu: all(|set| set.cpu), tasks: limits.tasks.is_none() }
    }

    /// Processor time of one run.
    #[must_use]
    pub fn cpu_of_run(&self, token: Token) -> Option<Duration> {
        let process = self.processes.get(&token)?;
        Some(process.job.cpu().saturating_sub(process.cpu_before))
    }

    /// What a service uses now.
    #[must_use]
    pub fn usage(&self, service: &str) -> Usage {
        let mut usage = Usage::default();
        let mut members = Vec::new();
        for (_, job) in self.jobs.iter().filter(|(place, _)| place.service == service).map(|(_, job)| job) {
            usage.cpu += job.cpu();
            members.extend(job.members());
            for process in job.opened() {
                usage.memory_bytes += process::memory_bytes(&process);
                usage.files += process::handles(&process);
            }
        }
        usage.processes = u32::try_from(members.len()).unwrap_or(u32::MAX);
        usage.tasks =
            listed().into_iter().filter(|entry| members.contains(&entry.pid)).map(|entry| entry.threads).sum();
        usage
    }

    /// Lets go of what was made for a service that is gone.
    pub fn forget(&mut self, service: &str) {
        self.jobs.retain(|place, _| place.service != service);
        self.limits.remove(service);
    }

    /// The same for one of which nothing will run again: here it takes no time.
    pub fn forget_by_and_by(&mut self, service: &str) {
        self.forget(service);
    }

    /// Lets go of everything that was made for trees.
    pub fn close_trees(&mut self) {
        self.jobs.clear();
    }

    /// Lets go of that, and of what is held for a next guard, unless it was left to that.
    pub fn close(&mut self) {
        self.close_trees();
        self.end_holder();
    }

    fn end_holder(&mut self) {
        if let Some((holder, watch)) = self.holder.take() {
            drop(watch);
            holder.end();
        }
    }

    /// Listens to a notify socket, of which there are none here.
    ///
    /// # Errors
    /// Never.
    #[expect(clippy::needless_pass_by_value, reason = "there is nothing to be passed")]
    pub fn add_socket(&mut self, _token: Token, socket: NotifySocket) -> io::Result<()> {
        match socket {}
    }

    /// The notify socket under this token; there is none.
    #[must_use]
    pub const fn socket(&self, _token: Token) -> Option<&NotifySocket> {
        None
    }

    /// Listens to it no longer.
    pub const fn remove_socket(&mut self, _token: Token) {}

    /// Waits until something happens, the waker is used, or the time is over, and adds what happened to `events`.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<OsEvent>) -> io::Result<()> {
        let timeout = if self.said.is_empty() { timeout } else { Some(Duration::ZERO) };
        let look = self.look_interval().map(|interval| self.looked_at + interval);
        let until_look = look.map(|look| look.saturating_duration_since(Instant::now()));
        let packets = self.port.wait(timeout.into_iter().chain(until_look).min())?;
        events.append(&mut self.said);
        for packet in packets {
            self.happened(packet, events);
        }
        if look.is_some_and(|look| look <= Instant::now()) {
            self.looked_at = Instant::now();
            self.look_at_trees(events);
        }
        Ok(())
    }

    /// The same: here no event of a program's start is waited for.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait_in_peace(&mut self, at_most: Duration, events: &mut Vec<OsEvent>) -> io::Result<()> {
        self.wait(Some(at_most), events)
    }

    fn happened(&mut self, packet: Packet, events: &mut Vec<OsEvent>) {
        match packet.source {
            Source::Exit => self.exited(Token(packet.number), events),
            Source::Job => self.job_tells(packet, events),
            Source::Asked => events.extend(console::take().into_iter().map(OsEvent::Asked)),
            Source::Holder => {
                if let Some((holder, watch)) = self.holder.take_if(|_| packet.number == self.holders) {
                    drop(watch);
                    events.push(OsEvent::HolderEnded { after: holder.began().elapsed() });
                }
            }
            Source::Wake => self.woken.store(false, Ordering::Release),
        }
    }

    fn job_tells(&mut self, packet: Packet, events: &mut Vec<OsEvent>) {
        match packet.message {
            JOB_OBJECT_MSG_ACTIVE_PROCESS_ZERO => self.look_at_trees(events),
            JOB_OBJECT_MSG_JOB_MEMORY_LIMIT => {
                let own = self.processes.values_mut().filter(|process| process.job_number == packet.number);
                own.for_each(|process| process.oom = true);
            }
            _ => {}
        }
    }

    /// A main process has ended.
    fn exited(&mut self, token: Token, events: &mut Vec<OsEvent>) {
        let Some(process) = self.processes.get_mut(&token).filter(|process| !process.has_ended) else { return };
        reach(FailPoint::EndSeen);
        process.has_ended = true;
        process.watch = None;
        let exit = process.handle.as_ref().map_or(Exit::Unknown, process::exit_of);
        let is_empty = process.job.is_empty_but(process.pid);
        process.awaits_empty = !is_empty;
        let tail = process.tail.take().map(read_tail).unwrap_or_default();
        let tree = if is_empty { TreeState::Empty } else { TreeState::Alive };
        events.push(OsEvent::Exited { token, exit, oom: process.oom, tree, tail });
        if is_empty {
            self.let_go(token);
        }
    }

    /// Looks whether the trees are empty of which that is awaited.
    fn look_at_trees(&mut self, events: &mut Vec<OsEvent>) {
        let empty = |process: &Process| process.awaits_empty && process.job.is_empty_but(process.pid);
        let mut tokens: Vec<Token> =
            self.processes.iter().filter(|(_, process)| empty(process)).map(|(token, _)| *token).collect();
        tokens.sort_unstable();
        for token in tokens {
            events.push(OsEvent::TreeEmpty { token });
            self.let_go(token);
        }
    }

    /// Nothing is left of a process but its end, until that is noted.
    fn let_go(&mut self, token: Token) {
        // Nobody notes what is no run of a service.
        let ended = self.processes.remove(&token).filter(|process| process.run > 0);
        self.unnoted.extend(ended.and_then(|process| Some((process.place.service, process.row?))));
    }

    fn look_interval(&self) -> Option<Duration> {
        let awaited = self.processes.values().filter(|process| process.awaits_empty);
        awaited.map(|process| if process.job.is_told { LOOK_AGAIN } else { LOOK_AGAIN_UNTOLD }).min()
    }

    /// The job of a place: made anew, or what an earlier guard made.
    fn job(&mut self, place: &Place) -> io::Result<(u64, Rc<Job>)> {
        if let Some((number, job)) = self.jobs.get(place) {
            return Ok((*number, Rc::clone(job)));
        }
        self.next_job += 1;
        let number = self.next_job;
        let name = self.job_name(place);
        // Its name is gone where nobody had it open but the holder's copy without one.
        let held = || self.taken.job(self.number(place)).filter(|job| !job::members(job).is_empty());
        let found = Job::find(&name).or_else(|| held().and_then(|job| job.try_clone().ok()));
        let job = match found {
            Some(job) => Job::told_to(job, &self.port, number),
            None => {
                Job::make(&name, &self.port, number).map_err(context(format!("making the job of {}", place.service)))?
            }
        };
        if let Some(limits) = self.limits.get(&place.service) {
            job.limit(limits);
        }
        let job = Rc::new(job);
        self.jobs.insert(place.clone(), (number, Rc::clone(&job)));
        Ok((number, job))
    }

    /// Jobs have one space of names for the whole machine.
    fn job_name(&self, place: &Place) -> String {
        format!(r"Global\menshen-{}-{}-{}", self.config.mark, place.service, place.role)
    }

    fn number(&self, place: &Place) -> u64 {
        crate::hash::of(self.job_name(place).as_bytes())
    }
}

impl Process {
    const fn members(&self, target: Target) -> Members {
        match target {
            Target::Main => Members::Only(self.pid),
            Target::Rest => Members::AllBut(self.pid),
            Target::Tree => Members::All,
        }
    }

    /// Has Ctrl-Break pressed in the program's console: for its main process and those of its group, or for everybody there.
    fn press_break(&self, target: Target) {
        let group = if target == Target::Main { self.pid } else { 0 };
        let member = self.job.members().into_iter().find(|pid| !self.has_ended || *pid != self.pid);
        if let Some(member) = member {
            let arguments = [BREAK.to_owned(), member.to_string(), group.to_string()].map(OsString::from);
            // A program without a console hears nothing either way.
            let _ = second::start(&arguments);
        }
    }
}

fn read_tail(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    // What cannot be read is not told; the program has ended all the same.
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).and_then(|_| file.read_to_end(&mut bytes));
    bytes
}

/// Has the next guard find this ledger.
fn publish(pointer: &Path, name: &str) -> io::Result<()> {
    let beside = pointer.with_extension("new");
    std::fs::write(&beside, name)?;
    std::fs::rename(&beside, pointer)
}

fn forget_other_ledgers(pointer: &Path, name: &str) {
    let entries = pointer.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let others = entries.filter(|entry| {
        let file = entry.file_name();
        file.to_string_lossy().starts_with("ledger-") && file != name
    });
    // One that somebody still has mapped goes the next time.
    others.for_each(|entry| _ = std::fs::remove_file(entry.path()));
}

/// A process as the system lists it.
struct Listed {
    pid: u32,
    threads: u32,
    name: String,
}

/// Every process there is.
fn listed() -> Vec<Listed> {
    // SAFETY: the call takes numbers.
    let Ok(snapshot) = owned(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) }) else { return Vec::new() };
    let mut entry = PROCESSENTRY32W { dwSize: size_of_u32::<PROCESSENTRY32W>(), ..PROCESSENTRY32W::default() };
    let mut found = Vec::new();
    // SAFETY: the snapshot is open, and the entry is there to be written to and says how long it is.
    let mut there = unsafe { Process32FirstW(raw(&snapshot), &raw mut entry) } != 0;
    while there {
        let name = crate::win32::narrow(&entry.szExeFile).to_string_lossy().into_owned();
        found.push(Listed { pid: entry.th32ProcessID, threads: entry.cntThreads, name });
        // SAFETY: as above.
        there = unsafe { Process32NextW(raw(&snapshot), &raw mut entry) } != 0;
    }
    found
}

/// Has what the console asks wait for the guard.
pub fn hold_signals() {
    console::listen();
}

/// The system makes room for handles by itself.
pub const fn make_room(_services: usize) {}

/// Kills this process, as somebody else would.
#[cfg_attr(not(feature = "fail-points"), expect(dead_code, reason = "only fail-points kill"))]
pub(crate) fn end_at_once() {
    process::kill_self();
}

/// Leaves the console: Ctrl-C there, and its end, no longer reach this process.
pub fn leave_terminal() {
    console::leave();
}

/// Has what this process says go into a file from now on: something that no service manager of Windows needs.
///
/// # Errors
/// Always.
pub fn say_into(_file: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether there is a process of this number.
#[must_use]
pub fn exists(pid: u32) -> bool {
    process::open(pid, process::TO_WATCH).is_some_and(|process| !process::has_ended(&process))
}

/// Whether the process of this number that was started at this time lives.
#[must_use]
pub fn is_alive(pid: u32, start_time: u64) -> bool {
    let process = process::open(pid, process::TO_WATCH).filter(|process| !process::has_ended(process));
    process.is_some_and(|process| process::start_time_of(&process) == Some(start_time))
}
