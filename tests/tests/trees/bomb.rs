//! Programs that fork as fast as they can, below a limit of the kernel's.

use menshen_tests::events::Mark;
use menshen_tests::{Bed, Process, State, Trees, WORKER, Worker, require, wait, with_both_trees};

/// Each process starts another like itself, and again; one that cannot tries on.
const BOMB: &str = "while (1) { fork }";
/// The most processes a bomb gets.
const PROCESSES_MAX: u32 = 60;
/// An account nobody has, so that no other process counts.
const NOBODYS_UID: u32 = 54_321;

/// A service that is a bomb, and the kernel's limit that keeps it from taking the machine along: a control group's where
/// the guard sets one, else that of its user.
fn bomb(trees: Trees) -> Option<Bed> {
    let (perl, prlimit, setpriv) =
        (require::program("perl")?, require::program("prlimit")?, require::program("setpriv")?);
    if !require::root() || (trees == Trees::Cgroup && require::controller("pids").is_none()) {
        return None;
    }
    let bed = Bed::new(trees, WORKER);
    let limits = if trees == Trees::Cgroup { format!("limits.tasks = {PROCESSES_MAX}\n") } else { String::new() };
    let command = [
        prlimit.to_str().unwrap(),
        &format!("--nproc={PROCESSES_MAX}"),
        setpriv.to_str().unwrap(),
        &format!("--reuid={NOBODYS_UID}"),
        "--clear-groups",
        perl.to_str().unwrap(),
        "-e",
        BOMB,
    ];
    let definition =
        format!("[service.bomb]\ncommand = {command:?}\nstop.timeout = \"200ms\"\nstart = \"manual\"\n{limits}");
    Some(bed.and(&definition).up())
}

fn count(bed: &Bed) -> usize {
    members(bed).len()
}

/// Every live process of the bomb's user.
fn members(bed: &Bed) -> Vec<Process> {
    let is_bomb = |process: &Process| {
        std::fs::read_to_string(format!("/proc/{}/status", process.pid))
            .is_ok_and(|status| status.lines().any(|line| line.starts_with(&format!("Uid:\t{NOBODYS_UID}\t"))))
    };
    bed.processes().into_iter().filter(is_bomb).collect()
}

with_both_trees! {
    fn a_fork_bomb_is_stopped_whole_and_harms_nobody_else(trees: Trees) {
        let Some(bed) = bomb(trees) else { return };
        let worker = Worker::of(&bed);
        for _ in 0..3 {
            let before = bed.mark();
            bed.menshen(["start", "bomb", "--no-wait"]).done();
            wait::until("it has gone off", || count(&bed) > PROCESSES_MAX as usize / 2);
            bed.menshen(["stop", "bomb", "--no-wait"]).done();
            let stopped = bed.await_entry(before, "bomb", State::Stopped);
            assert_eq!(members(&bed), [], "{stopped:?}");
        }
        worker.works_undisturbed(&bed);
        assert_eq!(bed.states(Mark::BEGIN, "worker").last(), Some(&State::Running));
    }
}
