//! Somebody sets the wall clock, by a day and more, forward and back.

use menshen_tests::events::Mark;
use menshen_tests::{Bed, WORKER, Worker, require, with_both_trees};

/// A program that dies and comes back, one that is asked how it is, and one that writes.
const SERVICES: &str = r#"
    [service.mayfly]
    command = "sleep 0.3"
    restart = { delay = "200ms", max = "200ms", jitter = 0.0 }
    breaker.failures = 0
    [service.asked]
    command = "sleep 1000"
    probe.liveness = { exec = ["true"], interval = "100ms" }
    [service.writes]
    command = ["sh", "-c", "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.01; done"]
    log = { format = "json", rotate = { every = "1h", keep = 0, total = "0B" } }
"#;

/// A bed whose guard is told the time by a file: so many seconds more or less than it is.
fn bed(trees: menshen_tests::Trees) -> Option<Bed> {
    let library = require::other_time()?;
    let bed = Bed::new(trees, SERVICES).and(WORKER);
    bed.write("time", "+0");
    let file = bed.path("time");
    let bed = bed
        .tell_guard("LD_PRELOAD", &library.display().to_string())
        .tell_guard("FAKETIME_TIMESTAMP_FILE", &file.display().to_string())
        .tell_guard("FAKETIME_NO_CACHE", "1")
        // What waits goes by the other clock, which nobody can set.
        .tell_guard("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Some(bed.up())
}

/// The file is there whole at every instant.
fn set(bed: &Bed, offset: &str) {
    std::fs::rename(bed.write("next-time", offset), bed.path("time")).unwrap();
}

with_both_trees! {
    fn a_clock_that_is_set_is_told_of_and_disturbs_nothing(trees: Trees) {
        let Some(bed) = bed(trees) else { return };
        let (asked, writes) = (bed.main_process("asked"), bed.main_process("writes"));
        let worker = Worker::of(&bed);
        let restarts = || bed.service("mayfly").service.restarts_total;
        for (offset, told) in [
            ("+172800", "the clock was set forward by 2d"),
            ("-86400", "the clock was set back by 3d"),
            ("+0", "the clock was set forward by 1d"),
        ] {
            let (mark, before) = (bed.mark(), restarts());
            set(&bed, offset);
            bed.await_event(mark, told, |event| event.kind == "clock" && event.reason == told);
            menshen_tests::wait::until("what dies comes back as before", || restarts() > before + 2);
            worker.works_undisturbed(&bed);
            assert_eq!((bed.main_process("asked"), bed.main_process("writes")), (asked, writes));
            assert_eq!(bed.service("asked").service.healthy, Some(true));
        }
        bed.menshen(["stop", "writes"]).done();
        let logs = bed.menshen(["logs", "writes", "-n", "all"]).ended_with(0);
        let numbers: Vec<u64> =
            logs.text().lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect();
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "in their order, whatever their times: {numbers:?}");
        let sequences: Vec<u64> = bed.history_after(Mark::BEGIN).iter().map(|event| event.sequence).collect();
        assert!(sequences.is_sorted(), "events are in their order: {sequences:?}");
    }
}
