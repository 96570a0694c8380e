//! Taking over from the last guard: what it remembered, and what became of its processes meanwhile.

use std::sync::Arc;

use menshen_core::{Event, Exit, MemoryError, Record, RecordKind, RunId, ServiceId, Tree};
use menshen_os::Place;
use menshen_os::system::{Adopted, Earlier};
use menshen_plan::definition::{Rotate, Stop};
use menshen_plan::{Input, Layer, ServiceName, ServicePlan, Source};

use super::carry_out::role_name;
use super::status::{exit, tree};
use super::store::{self, Remembered, Stored, StoredProcess};
use super::{EndWhen, Guard};
use crate::facts::ThisMachine;

/// What has to be told to the core once it has begun.
struct Ended {
    run: RunId,
    exit: Exit,
    tree: Tree,
}

impl Guard {
    /// Goes on with what was remembered of each service. To be called before the core begins.
    pub(super) fn take_over(&mut self, mut remembered: Remembered) {
        let ids: Vec<ServiceId> = self.core.services().collect();
        let mut ended = Vec::new();
        for id in ids {
            let Some(name) = self.core.name(id).map(ToString::to_string) else { continue };
            match remembered.remove(&name) {
                None => {}
                Some(Ok(stored)) => ended.extend(self.take_over_one(id, &name, &stored)),
                // A file that was half written or damaged says nothing; the service starts as if it were new.
                Some(Err(error)) => self.note(error.to_string()),
            }
        }
        ended.extend(self.take_over_gone(remembered));
        for Ended { run, exit, tree } in ended {
            self.feed_later(Event::Exited { run, exit, oom: false, tree });
        }
    }

    fn take_over_one(&mut self, id: ServiceId, name: &str, stored: &Stored) -> Vec<Ended> {
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
        let resumed = self.core.resume(id, stored.memory.clone());
        let known = self.is_known(name, resumed);
        known.map(|()| self.look_for_runs(id, name, stored)).unwrap_or_default()
    }

    /// Services that left the definition while no guard was there: what runs of them ends, and nothing of them is kept.
    fn take_over_gone(&mut self, remembered: Remembered) -> Vec<Ended> {
        let mut ended = Vec::new();
        let memory = self.paths.memory(&self.instance);
        for (name, stored) in remembered {
            match stored {
                Ok(stored) if self.may_live(&stored) => ended.extend(self.take_over_one_gone(&name, &stored)),
                Ok(_) => self.disk_handle.forget(store::path(&memory, &name)),
                Err(error) => self.note(error.to_string()),
            }
        }
        ended
    }

    /// Whether something may be left of what a guard began.
    fn may_live(&self, stored: &Stored) -> bool {
        !stored.orderly && stored.boot == self.boot && stored.memory.runs().next().is_some()
    }

    fn take_over_one_gone(&mut self, name: &str, stored: &Stored) -> Vec<Ended> {
        let Some(plan) = plan_of_gone(stored.memory.service(), &stored.stop) else {
            self.note(format!("what was remembered of {name} cannot be followed; it may still run"));
            return Vec::new();
        };
        let resumed = self.core.resume_gone(&plan, stored.memory.clone());
        let Some(id) = self.is_known(name, resumed) else { return Vec::new() };
        self.furnish(id, &plan);
        self.look_for_runs(id, name, stored)
    }

    /// Opens what runs of a service, and tells what has ended.
    fn look_for_runs(&mut self, id: ServiceId, name: &str, stored: &Stored) -> Vec<Ended> {
        let runs: Vec<_> = stored.memory.runs().collect();
        let mut ended = Vec::new();
        for (role, number, _) in runs {
            let run = RunId { service: id, role, number };
            let process = stored.processes.iter().find(|process| process.role == role && process.number == number);
            let place = Place { service: name.to_owned(), role: role_name(role).to_owned() };
            // The guard may have died between a start and its note of it: what was born meanwhile must not get a twin.
            let earlier = process.map_or(Earlier::UNKNOWN, StoredProcess::earlier);
            let token = self.jobs.token();
            self.jobs.add_run(token, run);
            match self.system.adopt(token, &place, &earlier) {
                Ok(Adopted::Alive) => {
                    self.succession.adopted += 1;
                    let reason = format!("process {} runs on", earlier.pid);
                    let service = self.core.name(id).cloned();
                    self.write_record(Record { service, kind: RecordKind::Adopted, reason, by: None });
                }
                Ok(Adopted::Ended { exit: how, tree: left }) => {
                    ended.push(Ended { run, exit: exit(how), tree: tree(left) });
                }
                Err(error) => {
                    self.note(format!("process {} of {name} cannot be looked after: {error}", earlier.pid));
                    ended.push(Ended { run, exit: Exit::Unknown, tree: Tree::Empty });
                }
            }
        }
        ended
    }

    /// What came of handing a memory to the core. One that is another service's is noted, and nothing comes of it.
    fn is_known<T>(&mut self, name: &str, resumed: Result<T, MemoryError>) -> Option<T> {
        resumed.map_err(|error| self.note(format!("what was remembered of {name}: {error}"))).ok()
    }
}

/// A plan for a service that is gone from the definition: it is stopped as it would have been, and its logs are kept.
fn plan_of_gone(name: &ServiceName, stop: &Stop) -> Option<Arc<ServicePlan>> {
    let text = format!("[service.\"{name}\"]\ncommand = [\"gone\"]\n");
    let files = vec![Source { name: "gone".to_owned(), text }];
    let input = Input { layers: vec![Layer { files }], ..Input::default() };
    let plan = menshen_plan::load(&input, &ThisMachine).plan?;
    let mut plan = ServicePlan::clone(plan.services.get(name)?);
    plan.stop = stop.clone();
    plan.log.rotate = Rotate { keep: 0, total: menshen_plan::size::Size(0), ..Rotate::default() };
    Some(Arc::new(plan))
}
