//! No process and no thread can be made.

use menshen_tests::control_group::Resource;
use menshen_tests::process::Process;
use menshen_tests::{Bed, ControlGroup, Signal, State, WORKER, Worker, with_both_trees};

use crate::told::{ALERTS, heard, over};

const SERVICES: &str = r#"
    [service.probed]
    command = ["sh", "-c", "echo here I am; exec sleep 1000"]
    probe.liveness = { exec = ["true"], interval = "100ms", timeout = "20s", failure = 1 }
    [service.flaky]
    command = "sleep 1000"
    restart = { delay = "20ms", max = "500ms" }
    breaker.failures = 0
"#;

/// It dies where it can start nothing.
const FORKING: &str = r#"
    [service.forking]
    command = ["sh", "-c", "while sleep 0.05; do :; done"]
    restart = { delay = "20ms", max = "500ms" }
    breaker.failures = 0
"#;

const CANNOT: &str = "could not be started: starting a process: resource temporarily unavailable";

with_both_trees! {
    fn no_process_can_be_made(trees: Trees) {
        let bed = Bed::new(trees, WORKER).and(SERVICES).and(ALERTS);
        let Some(group) = ControlGroup::new(Resource::Tasks, bed.instance()) else { return };
        let bed = bed.up();
        bed.await_service("probed", "healthy", |service| service.healthy == Some(true));
        let (probed, flaky) = (bed.main_process("probed"), bed.main_process("flaky"));
        let (worker, mark) = (Worker::of(&bed), bed.mark());

        // It is counted and has to do with what it has, threads included; what it guards is elsewhere.
        group.take(bed.guard());
        group.limit("0");
        heard(&bed, mark, "its liveness probe cannot be asked", false);
        assert!(flaky.signal(Signal::KILL));
        let backoff = bed.await_entry(mark, "flaky", State::Backoff);
        assert!(backoff.reason.contains("SIGKILL"), "{backoff:?}");
        bed.await_event(mark, "it cannot be started", |event| event.reason.contains(CANNOT));
        worker.works_undisturbed(&bed);
        // Nothing that is asked needs a new thread.
        for _ in 0..20 {
            assert_eq!(bed.main_process("probed"), probed);
            assert_eq!(bed.menshen(["logs", "probed", "-n", "all"]).ended_with(0).text(), "here I am\n");
        }

        group.limit("max");
        over(&bed, mark, "its liveness probe is asked again");
        bed.await_ready("flaky");
        assert_eq!(bed.main_process("probed"), probed);
        worker.works_undisturbed(&bed);
    }

    fn neither_the_guard_nor_what_it_guards_can_make_a_process(trees: Trees) {
        let bed = Bed::new(trees, SERVICES).and(FORKING).and(ALERTS);
        let Some(group) = ControlGroup::new(Resource::Tasks, bed.instance()) else { return };
        // What this process starts is born in it. Each test has one of its own.
        let me = Process::of(std::process::id());
        group.take(me);
        let mut bed = bed.up();
        group.let_go(me);
        bed.await_service("probed", "healthy", |service| service.healthy == Some(true));
        bed.await_ready("forking");
        let (probed, forking) = (bed.main_process("probed"), bed.main_process("forking"));
        assert!([bed.guard(), probed, forking].into_iter().all(|process| group.has(process)));
        let mark = bed.mark();

        group.limit("0");
        // A program that cannot do without dies of it, and cannot be replaced before it is over.
        let backoff = bed.await_entry(mark, "forking", State::Backoff);
        assert!(!backoff.reason.contains("could not be started"), "{backoff:?}");
        bed.await_event(mark, "it cannot be started", |event| event.reason.contains(CANNOT));
        heard(&bed, mark, "its liveness probe cannot be asked", false);
        assert_eq!(bed.main_process("probed"), probed);

        group.limit("max");
        over(&bed, mark, "its liveness probe is asked again");
        bed.await_ready("forking");
        assert_eq!(bed.main_process("probed"), probed);
        // What was made in the group is to be gone before it is.
        bed.menshen(["down"]).done();
        assert!(bed.await_guard_end().success());
    }
}
