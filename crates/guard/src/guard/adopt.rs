//! Taking over from the last guard: what it remembered, and what became of its processes meanwhile.

use menshen_core::{Event, Exit, Memory, MemoryError, Record, RecordKind, RunId, ServiceId, Tree};
use menshen_os::Place;
use menshen_os::system::Adopted;

use super::carry_out::role_name;
use super::status::{exit, tree};
use super::store::{self, Stored};
use super::{EndWhen, Guard, GuardError};

/// What has to be told to the core once it has begun.
struct Ended {
    run: RunId,
    exit: Exit,
    tree: Tree,
}

impl Guard {
    /// Reads what was remembered of each service. To be called before the core begins.
    pub(super) fn take_over(&mut self) -> Result<(), GuardError> {
        let ids: Vec<ServiceId> = self.core.services().collect();
        let mut ended = Vec::new();
        for id in ids {
            let Some(name) = self.core.name(id).map(ToString::to_string) else { continue };
            match store::read(&self.paths.memory(&self.instance), &name) {
                Ok(None) => {}
                Ok(Some(stored)) => ended.extend(self.take_over_one(id, &name, &stored)?),
                // A file that was half written or damaged says nothing; the service starts as if it were new.
                Err(error) => self.note(error.to_string()),
            }
        }
        for Ended { run, exit, tree } in ended {
            self.feed_later(Event::Exited { run, exit, oom: false, tree });
        }
        Ok(())
    }

    fn take_over_one(&mut self, id: ServiceId, name: &str, stored: &Stored) -> Result<Vec<Ended>, GuardError> {
        let asked = stored.memory.asked();
        if stored.orderly || stored.boot != self.boot {
            // `menshen run` was typed just now, which says more than a stop of an earlier day.
            if let Some(wanted) = asked.filter(|_| self.end == EndWhen::Asked) {
                self.core.resume_wanted(id, wanted);
                if let Some(local) = self.services.get_mut(&id) {
                    local.asked = asked;
                }
            }
            return Ok(Vec::new());
        }
        let runs: Vec<_> = stored.memory.runs().collect();
        self.resume(id, name, stored.memory.clone())?;
        let mut ended = Vec::new();
        for (role, number, _) in runs {
            let run = RunId { service: id, role, number };
            let process = stored.processes.iter().find(|process| process.role == role && process.number == number);
            let place = Place { service: name.to_owned(), role: role_name(role).to_owned() };
            let Some(process) = process else {
                ended.push(Ended { run, exit: Exit::Unknown, tree: Tree::Empty });
                continue;
            };
            let token = self.jobs.token();
            self.jobs.add_run(token, run);
            match self.system.adopt(token, &place, &process.earlier()) {
                Ok(Adopted::Alive) => {
                    let reason = format!("process {} runs on", process.pid);
                    let service = self.core.name(id).cloned();
                    self.write_record(Record { service, kind: RecordKind::Adopted, reason, by: None });
                }
                Ok(Adopted::Ended { exit: how, tree: left }) => {
                    ended.push(Ended { run, exit: exit(how), tree: tree(left) });
                }
                Err(error) => {
                    self.note(format!("process {} of {name} cannot be looked after: {error}", process.pid));
                    ended.push(Ended { run, exit: Exit::Unknown, tree: Tree::Empty });
                }
            }
        }
        Ok(ended)
    }

    fn resume(&mut self, id: ServiceId, name: &str, memory: Memory) -> Result<(), GuardError> {
        match self.core.resume(id, memory) {
            Ok(()) => Ok(()),
            Err(error @ MemoryError::Newer { .. }) => {
                Err(GuardError::NewerMemory { service: name.to_owned(), why: error.to_string() })
            }
            Err(error @ MemoryError::OtherService { .. }) => {
                self.note(format!("what was remembered of {name}: {error}"));
                Ok(())
            }
        }
    }
}
