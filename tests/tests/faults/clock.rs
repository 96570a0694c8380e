//! Somebody sets the wall clock, by a day and more, forward and back.

use menshen_tests::{Bed, Event, State, Trees, WORKER, Worker, require, wait, with_both_trees};

/// A program that dies and comes back, one that is asked how it is, and one that writes.
const SERVICES: &str = r#"
    [service.mayfly]
    command = "sleep 0.3"
    restart = { delay = "200ms", max = "200ms", jitter = 0.0 }
    breaker.failures = 0
    [service.asked]
    command = "sleep 1000"
    probe.liveness = { exec = ["sh", "-c", "echo >> asked"], interval = "100ms" }
    [service.writes]
    command = ["sh", "-c", "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.01; done"]
    log = { format = "json", rotate = { every = "1h", keep = 0, total = "0B" } }
"#;

/// A bed, with more services, whose guard is told the time by a file: so many seconds more or less than it is.
fn bed(trees: Trees, more: &str) -> Option<Bed> {
    let library = require::other_time()?;
    let bed = Bed::new(trees, SERVICES).and(WORKER).and(more);
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

/// How often one was asked how it is.
fn times_asked(bed: &Bed) -> usize {
    std::fs::read_to_string(bed.path("asked")).unwrap().lines().count()
}

/// Lines and events are, whatever their times.
fn everything_is_in_its_order(bed: &Bed) {
    bed.menshen(["stop", "writes"]).done();
    let logs = bed.menshen(["logs", "writes", "-n", "all"]).ended_with(0);
    let numbers: Vec<u64> =
        logs.text().lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect();
    assert!(!numbers.is_empty() && numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    let events = bed.menshen(["events", "--json", "--since", "7d"]).ended_with(0).text();
    let sequence = |line: &str| serde_json::from_str::<Event>(line).unwrap().sequence;
    let sequences: Vec<u64> = events.lines().map(sequence).collect();
    assert!(sequences.len() > 1 && sequences.is_sorted_by(|one, next| one < next), "{sequences:?}");
}

with_both_trees! {
    fn a_clock_that_is_set_is_told_of_and_disturbs_nothing(trees: Trees) {
        let Some(bed) = bed(trees, "") else { return };
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
            wait::until("what dies comes back as before", || restarts() > before + 2);
            worker.works_undisturbed(&bed);
            assert_eq!((bed.main_process("asked"), bed.main_process("writes")), (asked, writes));
            assert_eq!(bed.service("asked").service.healthy, Some(true));
        }
        everything_is_in_its_order(&bed);
    }

    fn a_clock_that_is_set_while_no_guard_is_there_disturbs_nothing(trees: Trees) {
        let waits = "[service.waits]\ncommand = [\"sh\", \"-c\", \"echo >> lives; exit 7\"]\n\
                     restart = { delay = \"1h\", max = \"1h\", jitter = 0.0 }\n";
        let Some(mut bed) = bed(trees, waits) else { return };
        let (asked, writes) = (bed.main_process("asked"), bed.main_process("writes"));
        let worker = Worker::of(&bed);
        let restarts = |bed: &Bed| bed.service("mayfly").service.restarts_total;
        bed.await_service("waits", "waiting", |service| service.state == State::Backoff);
        // More than what waits has to wait, forward and back.
        for offset in ["+172800", "-86400", "+0"] {
            let before = restarts(&bed);
            bed.kill_guard();
            set(&bed, offset);
            bed.start_guard();
            wait::until("what dies comes back as before", || restarts(&bed) > before + 2);
            worker.works_undisturbed(&bed);
            assert_eq!((bed.main_process("asked"), bed.main_process("writes")), (asked, writes));
            let asked_before = times_asked(&bed);
            wait::until("it is asked again", || times_asked(&bed) > asked_before + 1);
            assert_eq!(bed.service("asked").service.healthy, Some(true));
            let waits = bed.service("waits").service;
            assert_eq!((waits.state, waits.restarts_total), (State::Backoff, 1), "an hour is not over: {waits:?}");
        }
        assert_eq!(std::fs::read_to_string(bed.path("lives")).unwrap().lines().count(), 1);
        everything_is_in_its_order(&bed);
    }
}
