//! What an earlier guard left and this one could not look at when it took over: the system lacked descriptors, or memory. It is
//! looked at again until it is known what became of it. Until then it is what was noted of it, and has no twin.

use std::collections::BTreeMap;
use std::time::Duration;

use menshen_core::{Event, Instant, Role, RunId};
use menshen_os::error::describe;
use menshen_os::system::{Adopted, Earlier};
use menshen_os::{Place, Token};
use menshen_plan::count::counted;

use super::troubles::Part;
use super::{Guard, now};

/// So soon it is looked at again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A run of which it is not known whether it goes on.
#[derive(Debug)]
pub(super) struct Unseen {
    pub token: Token,
    pub place: Place,
    pub earlier: Earlier,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct UnseenRuns {
    runs: BTreeMap<RunId, Unseen>,
    /// Why the last of them could not be looked at.
    why: String,
    at: Option<Instant>,
}

impl UnseenRuns {
    /// A run could not be looked at.
    pub(super) fn miss(&mut self, run: RunId, unseen: Unseen, error: &std::io::Error) {
        self.runs.insert(run, unseen);
        self.why = describe(error);
    }

    /// When they are to be looked at, if there are any.
    pub(super) const fn at(&self) -> Option<Instant> {
        self.at
    }

    /// What was noted of a run, if it is one of them.
    pub(super) fn get(&self, run: RunId) -> Option<&Earlier> {
        self.runs.get(&run).map(|unseen| &unseen.earlier)
    }

    fn wait(&mut self) {
        self.at = (!self.runs.is_empty()).then(|| now() + AGAIN_AFTER);
    }
}

impl Guard {
    /// Says what could not be looked at when everything was taken over.
    pub(super) fn tell_of_unseen(&mut self) {
        self.succession.unseen.wait();
        if !self.succession.unseen.runs.is_empty() {
            let left = counted(
                self.succession.unseen.runs.len(),
                "program that the guard before left",
                "programs that the guard before left",
            );
            let text = format!("{left} cannot be looked at yet: {}", self.succession.unseen.why);
            self.begin_trouble_later(Part::Unseen, text);
        }
    }

    /// Looks at what could not be looked at, if it is time to.
    pub(super) fn look_at_unseen(&mut self) {
        if self.succession.unseen.at.is_none_or(|at| at > now()) {
            return;
        }
        let runs: Vec<RunId> = self.succession.unseen.runs.keys().copied().collect();
        for run in runs {
            let Some(Unseen { token, place, earlier }) = self.succession.unseen.runs.remove(&run) else { continue };
            match self.system.adopt(token, &place, run.number, &earlier) {
                Ok(Adopted::Alive) => self.saw_alive(run, earlier.pid),
                Ok(Adopted::Ended { exit, tree }) => {
                    self.tell_of_unseen_end(run, earlier.pid, super::status::exit(exit));
                    self.run_exited(token, run, (exit, false, tree));
                }
                Err(error) => self.succession.unseen.miss(run, Unseen { token, place, earlier }, &error),
            }
        }
        self.succession.unseen.wait();
        if self.succession.unseen.at.is_none() {
            self.end_trouble(Part::Unseen, "all that the guard before left has been looked at".to_owned());
        }
    }

    /// It runs on. What was asked of it meanwhile has reached nobody.
    fn saw_alive(&mut self, run: RunId, pid: u32) {
        self.runs_on(run, pid);
        self.apply_limits(run.service);
        match run.role {
            Role::Main | Role::Stop => self.feed(Event::Spawned { run, pid }),
            // Its time to end is counted, and it is killed after that.
            Role::Fallback => {}
        }
    }
}
