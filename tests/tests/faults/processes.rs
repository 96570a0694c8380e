//! No process and no thread can be made.

use menshen_tests::control_group::Resource;
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
        let cannot = "could not be started: starting a process: resource temporarily unavailable";
        bed.await_event(mark, "it cannot be started", |event| event.reason.contains(cannot));
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
}
