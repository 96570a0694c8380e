//! Where nothing happens, nothing is done.

use std::process::Stdio;
use std::time::{Duration, Instant};

use menshen_tests::command::menshen;
use menshen_tests::{Bed, Process, Signal, wait, with_both_trees};

const SERVICES: usize = 100;
/// Longer than anything a guard would look at from time to time could be apart and still be worth a look.
const QUIET: Duration = Duration::from_secs(12);

/// Services that do nothing.
fn idle() -> String {
    (0..SERVICES).map(|number| format!("[service.idle-{number}]\ncommand = \"sleep 3600\"\n")).collect()
}

/// How often the guard and what helps it were woken so far.
fn wake_ups(guard: Process) -> u64 {
    let holders = guard.descendants().into_iter().filter(|process| process.name() == "menshen-holder");
    [guard].into_iter().chain(holders).map(|process| process.effort().wake_ups).sum()
}

with_both_trees! {
    fn a_guard_of_a_hundred_services_sleeps_while_nothing_happens(trees: Trees) {
        let bed = Bed::new(trees, &idle());
        // Nobody follows this one, for who follows hears a sign of life from time to time.
        let mut command = bed.guard_command(&menshen());
        let mut guard = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let process = Process::of(guard.id());
        let is_ready = |number: usize| bed.menshen(["status", &format!("idle-{number}")]).code == 0;
        wait::until("all run", || is_ready(0) && (0..SERVICES).all(is_ready));
        let (mut count, mut since) = (wake_ups(process), Instant::now());
        wait::until(&format!("nothing wakes it for {QUIET:?}"), || {
            let now = wake_ups(process);
            if std::mem::replace(&mut count, now) != now {
                since = Instant::now();
            }
            since.elapsed() >= QUIET
        });
        assert!(process.signal(Signal::TERM));
        assert_eq!(wait::until_some("it ends", || guard.try_wait().unwrap()).code(), Some(0));
    }
}
