//! A program that works, and what has to be true of it while something is wrong with its guard.

use std::fs;
use std::time::Instant;

use crate::bed::Bed;
use crate::events::Mark;
use crate::process::Process;
use crate::wait::until;

/// The definition of a service named `worker`, which counts in the file `work` of the bed's folder, one round every ten
/// milliseconds, and writes nothing.
pub const WORKER: &str = r#"
    [service.worker]
    command = ["sh", "-c", "n=0; while :; do n=$((n+1)); echo $n > work.new; mv work.new work; sleep 0.01; done"]
"#;

/// So many rounds show that it works: some two seconds of them.
const ROUNDS: u64 = 150;
/// A guard that waits for something to get better looks a few times a second, and asks its probes. One that spins is woken,
/// or computes, without a pause.
const WAKE_UPS_PER_SECOND_MAX: u64 = 1000;

/// The worker of a bed, as it was before anything was wrong.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    mark: Mark,
}

impl Worker {
    /// The worker, once it works.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn of(bed: &Bed) -> Self {
        bed.await_ready("worker");
        bed.await_file("work");
        Self { process: bed.main_process("worker"), mark: bed.mark() }
    }

    /// That it is the same process as before, works, and that its guard neither spins meanwhile nor has done anything to it.
    ///
    /// # Panics
    /// When one of that is not so.
    pub fn works_undisturbed(&self, bed: &Bed) {
        let guard = bed.guard();
        let (begin, before) = (Instant::now(), guard.effort());
        self.works(bed);
        let (elapsed, after) = (begin.elapsed(), guard.effort());
        let (wake_ups, computed) = (after.wake_ups - before.wake_ups, after.computed - before.computed);
        assert!(
            wake_ups < WAKE_UPS_PER_SECOND_MAX * (elapsed.as_secs() + 1),
            "the guard was woken {wake_ups} times within {elapsed:?}"
        );
        assert!(computed * 2 < elapsed, "the guard computed for {computed:?} of {elapsed:?}");
        let done: Vec<_> = bed.history_after(self.mark).into_iter().filter(is_about_worker).collect();
        assert!(done.is_empty(), "something was done to the worker: {done:#?}");
    }

    /// That it is the same process as before and works, whether there is a guard or not.
    ///
    /// # Panics
    /// When it does not.
    pub fn works(&self, bed: &Bed) {
        let round = || fs::read_to_string(bed.path("work")).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let before = round().unwrap();
        until("the worker works", || {
            assert!(self.process.lives(), "the worker is gone");
            round().is_some_and(|now| now > before + ROUNDS)
        });
    }
}

fn is_about_worker(event: &crate::Event) -> bool {
    event.kind == "transition" && event.service.as_deref() == Some("worker")
}
