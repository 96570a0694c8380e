//! Processes that sleep where no signal wakes them.

use menshen_tests::events::Mark;
use menshen_tests::{Bed, Process, Signal, State, Stuck, WORKER, Worker, require, wait, with_both_trees};

/// Where something hangs: in the main process itself, or in one that it has started.
const HANGING: [(&str, &str); 2] = [
    ("the main process", "echo $$$$ > hanging; exec cat stuck/file"),
    ("another", "sh -c 'echo $$$$ > hanging; exec cat stuck/file' & exec sleep 1000"),
];

/// How long somebody waits who does not wait for good.
const WAITED: std::time::Duration = std::time::Duration::from_secs(4);

fn service(script: &str) -> String {
    format!(
        "[service.web]\ncommand = [\"sh\", \"-c\", \"{script}\"]\nstop.timeout = \"200ms\"\nrestart.delay = \"20ms\"\n\
         [alert.ops]\nexec = [\"sh\", \"-c\", 'echo \"$$MENSHEN_ALERT_KIND $$MENSHEN_ALERT_TEXT\" >> alerts']\n\
         on = [\"trouble\", \"recovered\"]\n"
    )
}

/// The process that hangs, once it does.
fn hanging(bed: &Bed, stuck: &Stuck) -> Process {
    let process = bed.await_process("hanging");
    wait::until("it hangs", || stuck.is_asked_by(process));
    process
}

fn told(bed: &Bed, kind: &str, word: &str) -> bool {
    let alerts = std::fs::read_to_string(bed.path("alerts")).unwrap_or_default();
    alerts.lines().any(|line| line.starts_with(kind) && line.contains(word))
}

with_both_trees! {
    fn what_cannot_be_killed_is_named_and_never_taken_for_stopped(trees: Trees) {
        if !require::fuse() {
            return;
        }
        for (what, script) in HANGING {
            let mut bed = Bed::new(trees, WORKER).and(&service(script));
            let stuck = bed.mount_stuck("stuck");
            let bed = bed.up();
            let (hanging, worker, before) = (hanging(&bed, &stuck), Worker::of(&bed), bed.mark());
            bed.menshen(["stop", "web", "--no-wait"]).done();
            // It says which process it is, and what that does.
            let named = format!("pid {} (cat, uninterruptible", hanging.pid);
            let trouble = bed.await_event(before, "it says what it cannot kill", |event| {
                event.kind == "trouble" && event.reason.contains("survive SIGKILL")
            });
            assert!(trouble.reason.contains(&named), "{what}: {trouble:?}");
            let shown = bed.service("web").service;
            assert_eq!(shown.state, State::Stopping, "{what}");
            assert!(shown.reason.contains(&named), "{what}: {shown:?}");
            wait::until("people are told", || told(&bed, "trouble", &named));
            // Whatever is asked, nothing is started beside it.
            bed.menshen(["restart", "web", "--no-wait"]).done();
            bed.menshen(["stop", "web", "--no-wait"]).done();
            worker.works_undisturbed(&bed);
            assert_eq!(bed.states(before, "web"), [State::Stopping], "{what}");
            assert!(hanging.lives());
            drop(stuck);
            bed.await_entry(before, "web", State::Stopped);
            assert!(!hanging.lives(), "{what}");
            wait::until("people are told that it is over", || told(&bed, "recovered", "survived SIGKILL are gone"));
        }
    }

    fn who_waits_for_the_stop_of_what_cannot_be_killed_is_told_so_in_time(trees: Trees) {
        if !require::fuse() {
            return;
        }
        for (what, script) in HANGING {
            let mut bed = Bed::new(trees, WORKER).and(&service(script));
            let stuck = bed.mount_stuck("stuck");
            let bed = bed.up();
            let hanging = hanging(&bed, &stuck);
            for command in ["stop", "restart"] {
                let begun = std::time::Instant::now();
                let ran = bed.menshen([command, "web", "--timeout", "4s"]).ended_with(7);
                let took = begun.elapsed();
                assert!(took >= WAITED && took < wait::DEADLINE, "{what}: {command} took {took:?}");
                // It says which process it is and what that does, and not that anything is done.
                let named = format!("pid {} (cat, uninterruptible", hanging.pid);
                assert!(ran.stderr.contains(&named) && ran.stderr.contains("stopping"), "{what}: {ran:?}");
                assert!(ran.stdout.is_empty(), "{what}: {ran:?}");
            }
            assert_eq!(bed.states(Mark::BEGIN, "web").last(), Some(&State::Stopping), "{what}");
            bed.menshen(["stop", "web", "--no-wait"]).done();
            drop(stuck);
            // Whoever waits still is told of the end.
            bed.menshen(["stop", "web"]).done();
            assert_eq!(bed.service("web").service.state, State::Stopped, "{what}");
            assert!(!hanging.lives(), "{what}");
        }
    }

    fn a_service_that_died_is_not_started_beside_what_cannot_be_killed(trees: Trees) {
        if !require::fuse() {
            return;
        }
        let mut bed = Bed::new(trees, WORKER).and(&service(HANGING[1].1));
        let stuck = bed.mount_stuck("stuck");
        let bed = bed.up();
        let (hanging, before) = (hanging(&bed, &stuck), bed.mark());
        assert!(bed.main_process("web").signal(Signal::KILL));
        bed.await_event(before, "it says what it cannot kill", |event| event.reason.contains("survive SIGKILL"));
        assert_eq!(bed.states(before, "web"), [State::Stopping]);
        drop(stuck);
        bed.await_entry(before, "web", State::Starting);
        assert!(!hanging.lives());
    }

    fn the_next_guard_knows_what_cannot_be_killed(trees: Trees) {
        if !require::fuse() {
            return;
        }
        for (what, script) in HANGING {
            let mut bed = Bed::new(trees, WORKER).and(&service(script));
            let stuck = bed.mount_stuck("stuck");
            let mut bed = bed.up();
            let (hanging, worker, before) = (hanging(&bed, &stuck), Worker::of(&bed), bed.mark());
            bed.menshen(["stop", "web", "--no-wait"]).done();
            bed.await_entry(before, "web", State::Stopping);
            bed.kill_guard();
            bed.start_guard();
            assert_eq!(bed.service("web").service.state, State::Stopping, "{what}");
            let trouble = bed.await_event(before, "it says what it cannot kill", |event| {
                event.reason.contains("survive SIGKILL")
            });
            assert!(trouble.reason.contains(&hanging.pid.to_string()), "{what}: {trouble:?}");
            worker.works_undisturbed(&bed);
            drop(stuck);
            bed.await_entry(before, "web", State::Stopped);
            assert!(!hanging.lives(), "{what}");
        }
    }

    fn a_guard_ends_although_something_cannot_be_killed_and_says_so(trees: Trees) {
        if !require::fuse() {
            return;
        }
        let mut bed = Bed::new(trees, WORKER).and(&service(HANGING[0].1));
        let stuck = bed.mount_stuck("stuck");
        let mut bed = bed.up();
        let hanging = hanging(&bed, &stuck);
        // It takes its time, and so does whoever waits for it.
        drop(bed.menshen(["down"]));
        // It has something to give up on: that is no success.
        assert_eq!(bed.await_guard_end().code(), Some(1));
        assert!(hanging.lives());
        let last = bed.history_after(Mark::BEGIN);
        let mut states = last.iter().filter_map(|event| menshen_tests::events::entered(event, "web"));
        assert_eq!(states.next_back(), Some(State::Stopping), "it is not said to be stopped");
        // The next one has to do with it before it starts the service anew.
        bed.start_guard();
        assert_eq!(bed.service("web").service.state, State::Stopping);
        let before = bed.mark();
        drop(stuck);
        bed.await_entry(before, "web", State::Starting);
        assert!(!hanging.lives());
    }
}
