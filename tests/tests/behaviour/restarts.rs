//! Coming back, with patience, and giving up.

use menshen_api::types::BreakerState;
use menshen_tests::events::{Mark, entered};
use menshen_tests::{Bed, Event, Process, Signal, State, Trees};

/// How long the core says it waits before a restart, in milliseconds: `restart 2 in 200ms`.
fn waits(events: &[Event]) -> Vec<f64> {
    let parse = |event: &Event| {
        let text = event.reason.rsplit_once(" in ")?.1;
        let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic())?);
        let number: f64 = number.parse().ok()?;
        Some(if unit == "ms" { number } else { number * 1000.0 })
    };
    events.iter().filter(|event| entered(event, "web") == Some(State::Backoff)).filter_map(parse).collect()
}

#[test]
fn the_processor_time_that_is_shown_is_that_of_the_run_and_not_of_those_before() {
    let definition = r#"
        [service.web]
        command = ["python3", "-c", "import os, time\nif not os.path.exists('ran'):\n while time.process_time() < 0.6: pass\nopen('ran', 'w').write('ran\\n')\ntime.sleep(1000)"]
        restart.delay = "20ms"
    "#;
    for trees in [Trees::Cgroup, Trees::Walk].into_iter().filter(|trees| trees.are_there()) {
        let mut bed = Bed::new(trees, definition).up();
        bed.await_file("ran");
        let seconds = |bed: &Bed| bed.service("web").usage.unwrap().cpu_seconds;
        assert!(seconds(&bed) >= 0.5, "{trees:?} {}", seconds(&bed));
        bed.kill_guard();
        bed.start_guard();
        bed.await_ready("web");
        assert!(seconds(&bed) >= 0.5, "{trees:?} {} after a change of guards", seconds(&bed));
        bed.main_process("web").signal(Signal::KILL);
        bed.await_service("web", "restarted", |service| service.restarts == 1 && service.ready);
        assert!(seconds(&bed) < 0.5, "{trees:?} {} in the second run", seconds(&bed));
        bed.kill_guard();
        bed.start_guard();
        bed.await_ready("web");
        assert!(seconds(&bed) < 0.5, "{trees:?} {} in the second run after a change of guards", seconds(&bed));
    }
}

#[test]
fn a_program_that_dies_is_started_again_without_asking_for_it() {
    let bed = Bed::new(Trees::Walk, "[service.web]\ncommand = \"sleep 1000\"").up();
    bed.await_ready("web");
    let before = bed.main_process("web");
    before.signal(Signal::KILL);
    let detail = bed.await_service("web", "back", |service| service.restarts == 1 && service.ready);
    assert_eq!(detail.service.last_exit.as_deref(), Some("killed by SIGKILL"));
    assert_ne!(bed.main_process("web"), before);
}

#[test]
fn waits_grow_by_the_factor_up_to_the_maximum_and_are_shown_as_backoff() {
    let definition = r#"
        [service.web]
        command = ["sh", "-c", "exit 3"]
        restart = { delay = "40ms", factor = 2.0, max = "200ms", jitter = 0.0 }
        breaker.failures = 0
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_service("web", "tried seven times", |service| service.restarts >= 7);
    let waits = waits(&bed.events());
    assert_eq!(waits[..6], [40.0, 80.0, 160.0, 200.0, 200.0, 200.0]);
    let detail = bed.await_state("web", State::Backoff);
    assert!(detail.service.next_start.is_some(), "{detail:?}");
}

#[test]
fn jitter_keeps_restarts_apart_and_never_exceeds_the_maximum() {
    let definition = r#"
        [service.web]
        command = ["sh", "-c", "exit 3"]
        restart = { delay = "50ms", factor = 1.0, max = "52ms", jitter = 0.5 }
        breaker.failures = 0
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_service("web", "tried often", |service| service.restarts >= 16);
    let waits = waits(&bed.events());
    assert!(waits.iter().all(|wait| (25.0..=52.0).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| (wait - waits[0]).abs() > 1.0), "they are all the same: {waits:?}");
}

#[test]
fn restarts_are_forgotten_only_after_running_and_ready_for_long_enough() {
    // Ready once the file is there; it dies twice before.
    let definition = r#"
        [service.web]
        command = ["sh", "-c", "echo x >> runs; [ $(wc -l < runs) -gt 2 ] || exit 1; exec sleep 1000"]
        restart = { delay = "10ms", reset_after = "300ms" }
        probe.readiness = { exec = ["test", "-e", "open"], interval = "50ms" }
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_service("web", "running after two deaths", |service| {
        service.state == State::Running && service.restarts == 2
    });
    // Running is not enough: nothing is forgotten before the probe has passed.
    bed.write("open", "");
    let ready =
        bed.await_event(Mark::BEGIN, "web is ready", |event| event.kind == "probe" && event.details["passing"] == true);
    let forgotten = bed.await_event(Mark::BEGIN, "restarts are forgotten", |event| event.kind == "forgotten");
    let stable = forgotten.time.as_ms() - ready.time.as_ms();
    assert!(stable >= 300, "forgotten {stable} ms after it was ready");
    let detail = bed.await_service("web", "forgiven", |service| service.restarts == 0);
    assert_eq!(detail.service.restarts_total, 2);
}

#[test]
fn rules_by_exit_code_and_signal_decide_what_follows_a_death() {
    let definition = r#"
        [service.done]
        command = ["sh", "-c", "exit 0"]
        restart.on_exit = { 0 = "stop" }

        [service.broken]
        command = ["sh", "-c", "echo no licence >&2; exit 64"]
        restart.on_exit = { 64 = "fail" }

        [service.told]
        command = ["sh", "-c", "kill -USR1 $$$$"]
        restart.on_exit = { SIGUSR1 = "stop" }

        [service.careful]
        command = ["sh", "-c", "exit 0"]
        restart.policy = "on-failure"

        [service.once]
        command = ["sh", "-c", "exit 9"]
        restart.policy = "never"
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    for (name, state, restarts) in [
        ("done", State::Stopped, 0),
        ("broken", State::Failed, 0),
        ("told", State::Stopped, 0),
        ("careful", State::Stopped, 0),
        ("once", State::Failed, 0),
    ] {
        // Stopped is also where each begins.
        bed.await_entry(Mark::BEGIN, name, state);
        let detail = bed.await_state(name, state);
        assert_eq!(detail.service.restarts, restarts, "{detail:?}");
        assert_eq!(bed.states(Mark::BEGIN, name).iter().filter(|state| **state == State::Running).count(), 1, "{name}");
    }
    let ran = bed.menshen(["status", "broken"]).ended_with(3);
    for expected in ["failed", "exit 64", "no licence"] {
        assert!(ran.text().contains(expected), "{expected}: {}", ran.text());
    }
}

#[test]
fn an_open_breaker_lets_the_fallback_stand_in_and_a_good_trial_closes_it() {
    let definition = r#"
        [service.web]
        command = ["sh", "-c", "[ -e mended ] || exit 1; exec sleep 1000"]
        restart = { delay = "10ms", max = "20ms" }
        breaker = { failures = 3, within = "30s", open_for = "300ms", close_after = "200ms", fallback = ["sleep", "2000"] }
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_entry(Mark::BEGIN, "web", State::Tripped);
    let detail = bed.await_service("web", "stood in for", |service| service.fallback_pid.is_some());
    let fallback = Process::of(detail.service.fallback_pid.unwrap());
    assert_eq!(detail.service.breaker.state, BreakerState::Open);
    bed.await_service("web", "tripped again and again", |service| service.breaker.trips >= 2);
    bed.write("mended", "");
    let detail = bed.await_service("web", "back for good", |service| {
        service.state == State::Running && service.breaker.state == BreakerState::Closed
    });
    assert_eq!((detail.service.fallback_pid, fallback.lives()), (None, false));
    bed.await_event(Mark::BEGIN, "the breaker closes", |event| event.kind == "breaker_closed");
}

#[test]
fn an_essential_service_that_fails_ends_the_guard_with_7_after_stopping_the_others_in_order() {
    let definition = r#"
        [service.essential]
        command = ["sh", "-c", "while [ ! -e fail ]; do sleep 0.05; done; exit 1"]
        essential = true
        restart.policy = "never"

        [service.other]
        command = "sleep 1000"
    "#;
    let mut bed = Bed::new(Trees::Walk, definition).up();
    bed.await_ready("other");
    let other = bed.main_process("other");
    bed.write("fail", "");
    assert_eq!(bed.await_guard_end().code(), Some(7));
    assert!(!other.lives());
    assert_eq!(bed.processes(), []);
}

#[test]
fn nothing_is_started_once_the_guard_is_told_to_stop() {
    // It dies of the stop with a failure, and is due for a restart at once.
    let definition = r#"
        [service.web]
        command = ["sh", "-c", "echo x >> runs; trap 'sleep 0.3; exit 1' TERM; while :; do sleep 0.02; done"]
        restart = { delay = "0s" }

        [service.flapping]
        command = ["sh", "-c", "echo x >> flaps; exit 1"]
        restart = { delay = "20ms", factor = 1.0 }
        breaker.failures = 0
    "#;
    let mut bed = Bed::new(Trees::Walk, definition).up();
    bed.await_ready("web");
    bed.await_service("flapping", "restarted", |service| service.restarts > 2);
    bed.menshen(["down"]).done();
    assert!(bed.await_guard_end().success());
    let told = bed.await_event(Mark::BEGIN, "the guard is told", |event| event.kind == "shutting_down");
    let after = states_after(&bed, &told);
    assert!(!after.contains(&State::Starting), "{after:?}");
    assert_eq!(std::fs::read_to_string(bed.path("runs")).unwrap(), "x\n");
}

/// What states any service entered after an event.
fn states_after(bed: &Bed, event: &Event) -> Vec<State> {
    let names = ["web", "flapping"];
    let history = bed.history_after(Mark::BEGIN);
    let later = history.iter().filter(|later| later.sequence > event.sequence);
    later.filter_map(|later| names.iter().find_map(|name| entered(later, name))).collect()
}

#[test]
fn a_program_that_cannot_be_started_never_keeps_the_guard_from_its_work() {
    // No wait, no breaker, and nothing to start: the definition asks for a busy loop.
    let definition = r#"
        [service.missing]
        command = "./not-there"
        restart = { delay = "0s", max = "0s" }
        breaker.failures = 0

        [service.web]
        command = "sleep 1000"
    "#;
    let mut bed = Bed::new(Trees::Walk, definition).up();
    bed.await_service("missing", "tried often", |service| service.restarts > 20);
    bed.menshen(["restart", "web"]).done();
    bed.menshen(["stop", "missing"]).done();
    assert_eq!(bed.service("missing").service.state, State::Stopped);
    bed.menshen(["start", "missing", "--no-wait"]).done();
    bed.await_service("missing", "tried again", |service| service.restarts > 20);
    bed.guard().signal(Signal::TERM);
    assert!(bed.await_guard_end().success());
}
