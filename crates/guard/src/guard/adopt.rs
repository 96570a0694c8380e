//! Taking over from the last guard: what it remembered, and what became of its processes meanwhile.

use std::sync::Arc;

use menshen_core::{Event, Exit, Found, Frost, Memory, MemoryError, Record, RecordKind, Role, RunId, ServiceId, Tree};
use menshen_os::Place;
use menshen_os::fail_point::{FailPoint, reach};
use menshen_os::holder::HeldRun;
use menshen_os::system::{Adopted, Earlier, Running};
use menshen_plan::definition::{ProbeKind, Rotate, Stop};
use menshen_plan::{Input, Layer, ServiceName, ServicePlan, Source};

use super::carry_out::{probe_role, role_name};
use super::local::log_id;
use super::status::{exit, tree};
use super::store::{self, Remembered, Stored, StoredProcess};
use super::unseen::Unseen;
use super::{EndWhen, Guard, alert, upgrade};
use crate::facts::ThisMachine;

/// What a service may run beside its program.
const BESIDE_MAIN: [Role; 2] = [Role::Fallback, Role::Stop];

/// What has to be told to the core once it has begun.
struct Ended {
    run: RunId,
    exit: Exit,
    tree: Tree,
}

/// What there was before this guard, as far as the machine has been up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// No guard of this name, as far as anything tells of one.
    Nothing,
    /// One at least.
    AGuard,
}

impl Guard {
    /// Goes on with what was remembered of each service. To be called before the core begins.
    ///
    /// What runs is what runs, whatever was remembered: a guard may have died between a start and its note of it, a note may
    /// be damaged, and the folder of all notes may be that of another day, or gone with all else that tells of a guard. Nothing
    /// that runs gets a twin.
    pub(super) fn take_over(&mut self, mut remembered: Remembered, before: Before, running: std::io::Result<Running>) {
        // Where nothing tells of a guard, what carries its marks may be another's, in a container.
        let known = |running: Running| match before {
            Before::AGuard => running,
            Before::Nothing => running.with_main(),
        };
        let running = running.map(known).map(Some).unwrap_or_else(|error| {
            self.note(format!("what runs could not be looked at, only what was noted: {error}"));
            None
        });
        if let Some(running) = &running {
            self.end_what_was_under_way(running);
        }
        let ids: Vec<ServiceId> = self.core.services().collect();
        let mut ended = Vec::new();
        for id in ids {
            let Some(name) = self.core.name(id).map(ToString::to_string) else { continue };
            let noted = match remembered.remove(&name) {
                None => Vec::new(),
                Some(Ok(stored)) => self.resume(id, &name, stored),
                Some(Err(error)) => {
                    self.note(error.to_string());
                    Vec::new()
                }
            };
            ended.extend(self.look_for_runs(id, &name, &noted, running.as_ref()));
            // They may be others than when what runs on began.
            self.apply_limits(id);
            reach(FailPoint::TakenOver);
        }
        ended.extend(self.take_over_gone(remembered, running.as_ref()));
        if before == Before::AGuard {
            self.end_last_lines(&ended);
        }
        self.tell_of_unseen();
        for Ended { run, exit, tree } in ended {
            self.feed_later(Event::Exited { run, exit, oom: false, tree });
        }
    }

    /// Nobody waits any more for the commands of alerts that the last guard began, nor for what a binary would have answered.
    fn end_what_was_under_way(&mut self, running: &Running) {
        for place in alert::places() {
            if self.system.has(running, &place) {
                self.system.kill_left(&place);
                let told = "whether it told anybody is not known";
                self.note(format!("an alert's command that the guard before had begun was ended; {told}"));
            }
        }
        self.end_left(&upgrade::place(), running);
    }

    /// What the last run of a service has begun and not ended is a line, where nothing of it runs on.
    fn end_last_lines(&self, ended: &[Ended]) {
        for service in self.core.services() {
            let runs: Vec<_> = self.core.memory(service).iter().flat_map(Memory::runs).collect();
            let runs_on = |(role, number): (Role, u64)| {
                let run = RunId { service, role, number };
                role != Role::Stop && !ended.iter().any(|ended| ended.run == run)
            };
            if !runs.into_iter().any(|(role, number, _)| runs_on((role, number))) {
                self.logs.end_run_soon(log_id(service));
            }
        }
    }

    /// Hands what was remembered of a service to the core, and says which processes were noted.
    fn resume(&mut self, id: ServiceId, name: &str, stored: Stored) -> Vec<StoredProcess> {
        let asked = stored.memory.asked();
        if stored.orderly || stored.boot != self.boot {
            // `menshen run` was typed just now, which says more than a stop of an earlier day.
            if let Some(wanted) = asked.filter(|_| self.end == EndWhen::Asked) {
                self.core.resume_wanted(id, wanted);
                if let Some(local) = self.services.get_mut(&id) {
                    local.asked = asked;
                }
            }
            return Vec::new();
        }
        let resumed = self.core.resume(id, stored.memory);
        self.is_known(name, resumed).map_or_else(Vec::new, |()| stored.processes)
    }

    /// Services that left the definition while no guard was there: what runs of them ends, and nothing of them is kept.
    fn take_over_gone(&mut self, remembered: Remembered, running: Option<&Running>) -> Vec<Ended> {
        let mut ended = Vec::new();
        let memory = self.paths.memory(&self.instance);
        for (name, stored) in remembered {
            match stored {
                Ok(stored) if self.may_live(&name, &stored, running) => {
                    ended.extend(self.take_over_one_gone(&name, stored, running));
                }
                Ok(_) => self.notes.disk.forget(store::path(&memory, &name)),
                Err(error) => {
                    self.note(error.to_string());
                    ended.extend(running.map(|running| self.take_over_unknown(&name, running)).unwrap_or_default());
                }
            }
        }
        ended
    }

    /// Whether something may be left of what a guard began.
    fn may_live(&self, name: &str, stored: &Stored, running: Option<&Running>) -> bool {
        let is_noted = !stored.orderly && stored.memory.runs().next().is_some();
        let runs = running.is_some_and(|running| self.system.has(running, &place(name, Role::Main)));
        stored.boot == self.boot && (is_noted || runs)
    }

    fn take_over_one_gone(&mut self, name: &str, stored: Stored, running: Option<&Running>) -> Vec<Ended> {
        let Some(plan) = plan_of_gone(stored.memory.service(), &stored.stop) else {
            self.note(format!("what was remembered of {name} cannot be followed; it may still run"));
            return Vec::new();
        };
        let resumed = self.core.resume_gone(&plan, stored.memory);
        let Some(id) = self.is_known(name, resumed) else { return Vec::new() };
        self.furnish(id, &plan);
        self.look_for_runs(id, name, &stored.processes, running)
    }

    /// Of a service that left the definition nothing but its name can be read: what runs of its program ends as most do. Where
    /// nothing does, what else runs of it ends at once, and its file is of no more use.
    fn take_over_unknown(&mut self, name: &str, running: &Running) -> Vec<Ended> {
        if !self.system.has(running, &place(name, Role::Main)) {
            probe_places(name).chain(BESIDE_MAIN.map(|role| place(name, role))).for_each(|place| {
                self.end_left(&place, running);
            });
            let path = store::path(&self.paths.memory(&self.instance), name);
            // A folder of that name is nobody's.
            if path.is_file() {
                self.notes.disk.forget(path);
            }
            return Vec::new();
        }
        let Some(plan) = name.parse().ok().and_then(|name| plan_of_gone(&name, &Stop::default())) else {
            self.note(format!("what runs of {name} cannot be ended; it runs on"));
            return Vec::new();
        };
        let id = self.core.resume_unknown(&plan);
        self.furnish(id, &plan);
        self.look_for_runs(id, name, &[], Some(running))
    }

    /// Ends what runs there and is nobody's.
    fn end_left(&self, place: &Place, running: &Running) {
        if self.system.has(running, place) {
            self.system.kill_left(place);
        }
    }

    /// Opens what runs of a service, and tells what has ended.
    fn look_for_runs(
        &mut self,
        id: ServiceId,
        name: &str,
        noted: &[StoredProcess],
        running: Option<&Running>,
    ) -> Vec<Ended> {
        if let Some(running) = running {
            self.take_in_what_runs(id, name, noted, running);
        }
        let runs: Vec<_> = self.core.memory(id).iter().flat_map(Memory::runs).collect();
        let mut ended = Vec::new();
        for (role, number, pid) in runs {
            let run = RunId { service: id, role, number };
            let place = place(name, role);
            let held = || self.system.held_runs(&place, number).into_iter().find(|held| held.number == number);
            let pid = pid.or_else(|| held().map(|held| held.pid)).unwrap_or(Earlier::UNKNOWN.pid);
            let unnoted = Earlier { pid, ..Earlier::UNKNOWN };
            let earlier = self.earlier(&place, run, noted, running).unwrap_or(unnoted);
            let token = self.jobs.token();
            self.jobs.add_run(token, run);
            match self.system.adopt(token, &place, number, &earlier) {
                Ok(Adopted::Alive) => self.runs_on(run, earlier.pid),
                Ok(Adopted::Ended { exit: how, tree: left }) => {
                    let how = exit(how);
                    self.tell_of_unseen_end(run, earlier.pid, how);
                    ended.push(Ended { run, exit: how, tree: tree(left) });
                }
                Err(error) => {
                    self.succession.unseen.miss(run, Unseen { token, place, earlier }, &error);
                }
            }
        }
        ended
    }

    /// A program that an earlier guard began is looked after from now on.
    pub(super) fn runs_on(&mut self, run: RunId, pid: u32) {
        match self.core.name(run.service).filter(|name| !self.core.plan().services.contains_key(*name)) {
            Some(gone) => drop(self.succession.removed.insert(gone.to_string())),
            None => self.succession.adopted += 1,
        }
        if run.role == Role::Main {
            self.find_removed_pipes(run.service, pid);
            let is_frozen = self.jobs.token_of(run).and_then(|token| self.system.was_left_frozen(token));
            if let Some(is_frozen) = is_frozen {
                let frost = if is_frozen { Frost::Frozen } else { Frost::Thawed };
                self.feed_later(Event::Adopted { run, frost });
            }
        }
        let is_outdated = run.role == Role::Main && self.core.status(run.service).is_some_and(|status| status.outdated);
        let outdated = if is_outdated { ", as it was defined earlier" } else { "" };
        let reason = format!("process {pid} runs on{outdated}");
        let service = self.core.name(run.service).cloned();
        self.write_record(Record { service, kind: RecordKind::Adopted, reason, by: None });
    }

    /// Says of a program that its end was not seen when it came. What follows from it is dated now.
    pub(super) fn tell_of_unseen_end(&mut self, run: RunId, pid: u32, exit: Exit) {
        let was_seen = self.core.memory(run.service).is_some_and(|memory| memory.saw_end(run.role));
        if was_seen || pid == Earlier::UNKNOWN.pid {
            return;
        }
        let how = if exit == Exit::Unknown { String::new() } else { format!(" ({exit})") };
        let reason = format!("process {pid} ended{how} while no guard was there; this was found at take-over");
        let service = self.core.name(run.service).cloned();
        self.write_record(Record { service, kind: RecordKind::EndedUnseen, reason, by: None });
    }

    /// Tells the core of a program that runs and that was not noted. Commands of probes are nobody's: they are ended.
    fn take_in_what_runs(&mut self, id: ServiceId, name: &str, noted: &[StoredProcess], running: &Running) {
        for place in probe_places(name) {
            self.end_left(&place, running);
        }
        for role in BESIDE_MAIN {
            self.end_unnoted(id, &place(name, role), role, (noted, running));
        }
        let main = self.core.main_run(id);
        let noted = main.and_then(|run| noted_as(noted, run));
        if noted.as_ref().is_some_and(|noted| self.system.lives(noted)) {
            return;
        }
        let place = place(name, Role::Main);
        let unnoted = self.unnoted_runs(id, &place);
        if let Some(found) = self.system.main_of(running, &place) {
            // What has named another main process is still the run that was noted.
            let first = noted.and_then(|noted| noted.first);
            if first != Some((found.pid, found.start_time)) {
                let before = unnoted.iter().position(|run| run.pid == found.pid);
                let number = before.map(|index| unnoted[index].number);
                self.core.resume_found(id, self::found(found.pid, number, before.unwrap_or(0)));
            }
        } else if let Some((last, before)) = unnoted.split_last().filter(|(last, _)| last.ended) {
            self.core.resume_found(id, found(last.pid, Some(last.number), before.len()));
        } else if main.is_none() && self.system.has(running, &place) && self.ends_whole(id) {
            self.core.resume_found(id, Found::default());
        }
    }

    /// What stands in for a service, or has been run to stop it, is nobody's if it was not noted. It is started again if it is
    /// needed, and must not have a twin then.
    fn end_unnoted(&self, id: ServiceId, place: &Place, role: Role, (noted, running): (&[StoredProcess], &Running)) {
        let is_known = |number: u64| {
            let run = RunId { service: id, role, number };
            let is_held =
                || self.system.held_runs(place, number).iter().any(|held| held.number == number && !held.ended);
            noted_as(noted, run).is_some_and(|noted| self.system.lives(&noted)) || is_held()
        };
        let mut runs = self.core.memory(id).into_iter().flat_map(|memory| memory.runs().collect::<Vec<_>>());
        let known = runs.any(|(of, number, _)| of == role && is_known(number));
        if !known {
            self.end_left(place, running);
        }
    }

    /// The runs of which nothing was noted, neither that they began nor that they ended.
    fn unnoted_runs(&self, id: ServiceId, place: &Place) -> Vec<HeldRun> {
        let noted = self.core.main_run(id).map(|run| run.number + 1);
        let from = noted.or_else(|| self.core.memory(id).map(|memory| memory.next_run()));
        from.map(|from| self.system.held_runs(place, from)).unwrap_or_default()
    }

    /// Whether nothing a program started may be left when it has ended.
    fn ends_whole(&self, id: ServiceId) -> bool {
        self.services.get(&id).is_none_or(|local| local.plan.stop.tree)
    }

    /// The process of a run: the one that was noted, or, where that is gone or there is none, the one that was found.
    fn earlier(
        &self,
        place: &Place,
        run: RunId,
        noted: &[StoredProcess],
        running: Option<&Running>,
    ) -> Option<Earlier> {
        let noted = noted_as(noted, run);
        if noted.as_ref().is_some_and(|noted| self.system.lives(noted)) {
            return noted;
        }
        let found = running.filter(|_| run.role == Role::Main);
        found.and_then(|running| self.system.main_of(running, place)).or(noted)
    }

    /// What came of handing a memory to the core. One that is another service's is noted, and nothing comes of it.
    fn is_known<T>(&mut self, name: &str, resumed: Result<T, MemoryError>) -> Option<T> {
        resumed.map_err(|error| self.note(format!("what was remembered of {name}: {error}"))).ok()
    }
}

/// The process that was noted of a run.
fn noted_as(noted: &[StoredProcess], run: RunId) -> Option<Earlier> {
    noted.iter().find(|process| process.role == run.role && process.number == run.number).map(StoredProcess::earlier)
}

fn found(pid: u32, run: Option<u64>, before: usize) -> Found {
    Found { pid: Some(pid), run, before: u32::try_from(before).unwrap_or(u32::MAX) }
}

fn place(service: &str, role: Role) -> Place {
    Place { service: service.to_owned(), role: role_name(role).to_owned() }
}

/// Where the commands of a service's probes run.
fn probe_places(service: &str) -> impl Iterator<Item = Place> {
    ProbeKind::ALL.into_iter().map(move |kind| Place { service: service.to_owned(), role: probe_role(kind) })
}

/// A plan for a service that is gone from the definition: it is stopped as it would have been, and its logs are kept.
fn plan_of_gone(name: &ServiceName, stop: &Stop) -> Option<Arc<ServicePlan>> {
    let text = format!("[service.\"{name}\"]\ncommand = [\"gone\"]\n");
    let files = vec![Source { name: "gone".to_owned(), text }];
    let input = Input { layers: vec![Layer { files }], ..Input::default() };
    let plan = menshen_plan::load(&input, &ThisMachine::default()).plan?;
    let mut plan = ServicePlan::clone(plan.services.get(name)?);
    plan.stop = stop.clone();
    plan.log.rotate = Rotate { keep: 0, total: menshen_plan::size::Size(0), ..Rotate::default() };
    Some(Arc::new(plan))
}
