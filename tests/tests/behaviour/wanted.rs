//! What an operator wants wins in the end, and is remembered.

use menshen_tests::events::Mark;
use menshen_tests::{Bed, Signal, State, Trees, Wanted};

const TWO: &str = r#"
    [service.web]
    command = "sleep 1000"
    [service.db]
    command = "sleep 1000"
"#;

#[test]
fn a_stop_stays_a_stop_when_the_guard_is_started_again() {
    let mut bed = Bed::new(Trees::Walk, TWO).up();
    bed.await_ready("web");
    bed.menshen(["stop", "web"]).done();
    assert_eq!(bed.service("web").service.state, State::Stopped);
    bed.menshen(["down"]).done();
    assert!(bed.await_guard_end().success());
    bed.start_guard();
    bed.await_ready("db");
    let web = bed.service("web").service;
    assert_eq!((web.state, web.wanted), (State::Stopped, Wanted::Down));
    bed.menshen(["start", "web"]).done();
    assert!(bed.service("web").service.ready);
}

#[test]
fn a_stop_is_remembered_by_a_guard_that_follows_a_killed_one() {
    let mut bed = Bed::new(Trees::Walk, TWO).up();
    bed.await_ready("web");
    bed.menshen(["stop", "web"]).done();
    bed.kill_guard();
    bed.start_guard();
    let web = bed.service("web").service;
    assert_eq!((web.state, web.wanted), (State::Stopped, Wanted::Down));
}

#[test]
fn of_what_was_started_by_hand_a_oneshot_runs_once_and_a_daemon_stays() {
    let definition = r#"
        [service.job]
        command = ["sh", "-c", "echo x >> runs"]
        type    = "oneshot"
        start   = "manual"
        [service.web]
        command = "sleep 1000"
        start   = "manual"
    "#;
    let mut bed = Bed::new(Trees::Walk, definition).up();
    bed.menshen(["start", "job", "web"]).done();
    let job = bed.service("job").service;
    assert_eq!((job.state, job.wanted), (State::Completed, Wanted::Down));
    bed.menshen(["down"]).done();
    assert!(bed.await_guard_end().success());
    bed.start_guard();
    // It would have been started before.
    bed.await_ready("web");
    assert_eq!(bed.service("job").service.state, State::Stopped);
    bed.kill_guard();
    bed.start_guard();
    assert!(bed.service("web").service.ready);
    assert_eq!(std::fs::read_to_string(bed.path("runs")).unwrap(), "x\n");
    bed.menshen(["start", "job"]).done();
    assert_eq!(std::fs::read_to_string(bed.path("runs")).unwrap(), "x\nx\n");
}

#[test]
fn a_stop_in_backoff_prevents_the_restart() {
    let definition = r#"
        [service.web]
        command = ["sh", "-c", "echo x >> runs; exit 1"]
        restart = { delay = "30s", max = "30s" }
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_state("web", State::Backoff);
    bed.menshen(["stop", "web"]).done();
    assert_eq!(bed.service("web").service.state, State::Stopped);
    assert!(bed.service("web").service.next_start.is_none());
    // And a start does not wait for what was left of the back-off.
    let mark = bed.mark();
    bed.menshen(["start", "web", "--no-wait"]).done();
    bed.await_entry(mark, "web", State::Backoff);
    assert_eq!(std::fs::read_to_string(bed.path("runs")).unwrap(), "x\nx\n");
}

#[test]
fn a_restart_asked_for_while_waiting_on_a_dependency_starts_one_process_only() {
    let definition = r#"
        [service.db]
        command = "sleep 1000"
        probe.readiness = { exec = ["test", "-e", "open"], interval = "50ms" }

        [service.web]
        command    = ["sh", "-c", "echo x >> runs; exec sleep 1000"]
        depends_on = { db = "ready" }
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_state("web", State::Waiting);
    for _ in 0..3 {
        bed.menshen(["restart", "web", "--no-wait"]).done();
    }
    bed.write("open", "");
    bed.await_ready("web");
    assert_eq!(std::fs::read_to_string(bed.path("runs")).unwrap(), "x\n");
    assert_eq!(bed.tree("web").len(), 1);
}

#[test]
fn pausing_freezes_the_whole_tree_and_continuing_thaws_it() {
    for trees in [Trees::Cgroup, Trees::Walk].into_iter().filter(|trees| trees.are_there()) {
        let definition = r#"
            [service.web]
            command = ["sh", "-c", "sh -c 'while :; do echo tick >> ticks; sleep 0.02; done' & wait"]
        "#;
        let bed = Bed::new(trees, definition).up();
        bed.await_file("ticks");
        bed.menshen(["pause", "web"]).done();
        assert_eq!(bed.service("web").service.state, State::Paused);
        let ticks = || std::fs::read_to_string(bed.path("ticks")).unwrap().len();
        let frozen = ticks();
        // Long enough for ten ticks, if anything ticked.
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(ticks(), frozen, "{trees:?}: a child of the paused service goes on");
        bed.menshen(["continue", "web"]).done();
        menshen_tests::wait::until("it ticks again", || ticks() > frozen);
        // A paused service can be stopped.
        bed.menshen(["pause", "web"]).done();
        bed.menshen(["stop", "web"]).done();
        assert_eq!(bed.service("web").service.state, State::Stopped);
    }
}

#[test]
fn a_reset_forgets_failures_and_goes_on_as_wanted() {
    let definition = r#"
        [service.web]
        command = ["sh", "-c", "[ -e mended ] || exit 1; exec sleep 1000"]
        restart = { delay = "10ms" }
        breaker = { failures = 2, within = "30s", open_for = "10m", max_open = "20m" }
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_state("web", State::Tripped);
    bed.write("mended", "");
    bed.menshen(["reset", "web"]).done();
    let detail = bed.await_ready("web");
    assert_eq!((detail.service.restarts, detail.service.breaker.trips), (0, 0));
}

#[test]
fn a_signal_reaches_the_main_process() {
    let definition = r#"
        [service.web]
        command = ["sh", "-c", "trap 'echo got >> usr' USR1; echo up > up; while :; do sleep 0.02; done"]
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_file("up");
    bed.menshen(["signal", "USR1", "web"]).done();
    assert_eq!(bed.await_file("usr"), "got\n");
    let turned = bed.menshen(["signal", "web", "other", "usr1"]).ended_with(2).stderr;
    assert!(turned.contains("`menshen signal usr1 web other`"), "{turned}");
    let ran = bed.menshen(["signal", "NOPE", "web"]).ended_with(2);
    assert!(ran.stderr.contains("NOPE"), "{}", ran.stderr);
}

#[test]
fn every_command_is_written_down_with_who_gave_it() {
    let bed = Bed::new(Trees::Walk, TWO).up();
    bed.await_ready("web");
    bed.menshen(["restart", "web"]).done();
    let event = bed.await_event(Mark::BEGIN, "the command", |event| event.kind == "command");
    assert_eq!(event.details["command"], "restart");
    assert!(event.by.as_deref().is_some_and(|by| by.contains("pid")), "{event:?}");
    // Several commands at once, in any state, end where the last one wants it.
    bed.main_process("db").signal(Signal::KILL);
    for verb in ["stop", "start", "restart", "pause", "stop", "start"] {
        bed.menshen([verb, "db", "--no-wait"]);
    }
    bed.await_ready("db");
}
