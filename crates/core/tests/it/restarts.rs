//! Deaths: what they mean, how long the wait is, when they are forgotten.

use std::time::Duration;

use menshen_core::{Event, Exit, RecordKind, State, Tree};
use menshen_plan::signal::Signal;

use crate::rig::Rig;

#[test]
fn a_daemon_that_dies_is_restarted_without_being_told_to() {
    let mut rig = Rig::one("");
    assert_eq!(rig.state("web"), State::Running);
    rig.kill("web", Signal::Kill);
    assert_eq!(rig.state("web"), State::Backoff);
    rig.wait_ms(200);
    assert_eq!(rig.state("web"), State::Running);
    assert_eq!(rig.starts("web"), 2);
}

#[test]
fn waits_double_up_to_the_longest_and_never_exceed_it() {
    let mut rig =
        Rig::one("restart = { delay = \"1s\", factor = 2.0, max = \"5s\", jitter = 0.0 }\nbreaker.failures = 0");
    for expected in [1, 2, 4, 5, 5, 5] {
        rig.exit("web", 1);
        let status = rig.status("web");
        assert_eq!(status.next_start.unwrap().since(status.since), Duration::from_secs(expected));
        rig.wait_s(expected);
        assert_eq!(rig.state("web"), State::Running);
    }
}

#[test]
fn jitter_varies_the_wait_but_keeps_it_below_the_longest() {
    let mut rig =
        Rig::one("restart = { delay = \"10s\", factor = 1.0, max = \"10s\", jitter = 0.5 }\nbreaker.failures = 0");
    let mut waits = std::collections::BTreeSet::new();
    for _ in 0..50 {
        rig.exit("web", 1);
        let status = rig.status("web");
        let wait = status.next_start.unwrap().since(status.since);
        assert!(wait >= Duration::from_secs(5) && wait <= Duration::from_secs(10), "{wait:?}");
        waits.insert(wait);
        rig.wait_s(10);
    }
    assert!(waits.len() > 10);
}

#[test]
fn a_delay_of_zero_starts_again_at_once() {
    let mut rig = Rig::one("restart.delay = \"0s\"\nbreaker.failures = 0");
    rig.exit("web", 1);
    assert_eq!(rig.state("web"), State::Running);
    assert_eq!(rig.starts("web"), 2);
}

#[test]
fn the_count_is_forgotten_only_after_reset_after_in_running_and_ready() {
    let mut rig = Rig::one("restart = { delay = \"1s\", reset_after = \"60s\" }\nbreaker.failures = 0");
    rig.exit("web", 1);
    rig.wait_s(2);
    rig.wait_s(58);
    assert_eq!(rig.status("web").restarts, 1, "59 s are not enough");
    rig.wait_s(2);
    assert_eq!(rig.status("web").restarts, 0);
    assert_eq!(rig.status("web").restarts_total, 1);
    assert!(rig.records().iter().any(|record| record.kind == RecordKind::Forgotten));
}

#[test]
fn a_service_that_runs_but_is_never_ready_keeps_its_count() {
    let mut rig = Rig::one("probe.readiness.tcp = \":1\"\nrestart.reset_after = \"10s\"\nbreaker.failures = 0");
    rig.exit("web", 1);
    rig.wait_s(600);
    assert_eq!(rig.status("web").restarts, 1);
}

#[test]
fn a_crash_while_starting_counts_like_one_while_running() {
    let mut rig = Rig::one("type = \"notify\"\nrestart.delay = \"1s\"");
    assert_eq!(rig.state("web"), State::Starting);
    rig.exit("web", 3);
    assert_eq!(rig.status("web").restarts, 1);
    assert_eq!(rig.state("web"), State::Backoff);
}

#[test]
fn a_spawn_that_fails_counts_and_says_why() {
    let mut rig = Rig::idle("[service.web]\ncommand = \"web\"\nrestart.delay = \"1s\"");
    rig.spawns_succeed = false;
    rig.send(Event::Begin);
    let run = rig.run("web");
    rig.send(Event::SpawnFailed { run, error: "no such file: /bin/web".to_owned() });
    assert_eq!(rig.state("web"), State::Backoff);
    assert!(rig.reason("web").contains("no such file: /bin/web"), "{}", rig.reason("web"));
}

#[test]
fn a_spawn_that_fails_is_not_tried_again_at_once_even_without_a_delay() {
    let fail = |rules: &str| {
        let mut rig = Rig::idle(&format!("[service.web]\ncommand = \"web\"\nbreaker.failures = 0\n{rules}"));
        rig.spawns_succeed = false;
        rig.send(Event::Begin);
        let run = rig.run("web");
        rig.send(Event::SpawnFailed { run, error: "no such file: /bin/web".to_owned() });
        (rig.state("web"), rig.reason("web"))
    };
    let (state, reason) = fail("restart = { delay = \"0s\", jitter = 0.0 }");
    assert_eq!(state, State::Backoff);
    assert!(reason.ends_with("restart 1 in 100ms"), "{reason}");
    let (_, reason) = fail("restart = { delay = \"1s\", jitter = 0.0 }");
    assert!(reason.ends_with("restart 1 in 1s"), "{reason}");
    let (_, reason) = fail("restart = { delay = \"0s\", max = \"20ms\", jitter = 0.0 }");
    assert!(reason.ends_with("restart 1 in 20ms"), "{reason}");
}

#[test]
fn exit_rules_come_before_the_policy_and_the_reason_names_them() {
    let body = "restart.on_exit = { 0 = \"stop\", 64 = \"fail\", SIGUSR1 = \"stop\" }";
    let mut rig = Rig::one(body);
    rig.exit("web", 0);
    assert_eq!((rig.state("web"), rig.reason("web").as_str()), (State::Stopped, "exit 0: on_exit stop"));
    let mut rig = Rig::one(body);
    rig.exit("web", 64);
    assert_eq!((rig.state("web"), rig.reason("web").as_str()), (State::Failed, "exit 64: on_exit fail"));
    let mut rig = Rig::one(body);
    rig.kill("web", Signal::Usr1);
    assert_eq!(rig.reason("web"), "killed by SIGUSR1: on_exit stop");
    let mut rig = Rig::one(body);
    rig.exit("web", 1);
    assert_eq!(rig.state("web"), State::Backoff);
}

#[test]
fn a_service_stopped_by_a_rule_stays_so_however_long() {
    let mut rig = Rig::one("restart.on_exit = { 0 = \"stop\" }");
    rig.exit("web", 0);
    rig.wait_s(100_000);
    assert_eq!(rig.state("web"), State::Stopped);
    assert_eq!(rig.starts("web"), 1);
}

#[test]
fn the_policy_decides_about_the_rest() {
    for (policy, code, expected) in [
        ("always", 0, State::Backoff),
        ("on-failure", 0, State::Stopped),
        ("on-failure", 1, State::Backoff),
        ("never", 0, State::Stopped),
        ("never", 1, State::Failed),
    ] {
        let mut rig = Rig::one(&format!("restart.policy = \"{policy}\""));
        rig.exit("web", code);
        assert_eq!(rig.state("web"), expected, "{policy}, exit {code}");
    }
}

#[test]
fn an_unknown_exit_counts_as_a_failure() {
    let mut rig = Rig::one("restart.policy = \"on-failure\"");
    rig.exit_with("web", Exit::Unknown, Tree::Empty);
    assert_eq!(rig.state("web"), State::Backoff);
}

#[test]
fn a_oneshot_completes_with_zero_and_is_tried_again_otherwise() {
    let mut rig = Rig::one("type = \"oneshot\"");
    rig.exit("web", 1);
    assert_eq!(rig.state("web"), State::Backoff);
    rig.wait_s(1);
    rig.exit("web", 0);
    assert_eq!(rig.state("web"), State::Completed);
    rig.wait_s(100_000);
    assert_eq!(rig.starts("web"), 2);
}

#[test]
fn out_of_memory_follows_its_own_rule() {
    for (rule, expected) in [("restart", State::Backoff), ("stop", State::Stopped), ("fail", State::Failed)] {
        let mut rig = Rig::one(&format!("limits = {{ memory = \"10MiB\", oom = \"{rule}\" }}"));
        let run = rig.run("web");
        rig.send(Event::Exited { run, exit: Exit::Signal(Signal::Kill), oom: true, tree: Tree::Empty });
        assert_eq!(rig.state("web"), expected, "{rule}");
    }
}

#[test]
fn a_limit_the_kernel_does_not_enforce_kills_the_tree_at_once() {
    let mut rig = Rig::one("limits.memory = \"10MiB\"");
    let run = rig.run("web");
    rig.send(Event::LimitExceeded { run, what: "memory 12MiB of 10MiB".to_owned() });
    assert_eq!(rig.state("web"), State::Stopping);
    assert_eq!(rig.signals("web"), [(menshen_core::SignalTarget::Tree, Signal::Kill)]);
    rig.kill("web", Signal::Kill);
    assert_eq!(rig.state("web"), State::Backoff);
}

#[test]
fn events_of_an_earlier_run_are_passed_over() {
    let mut rig = Rig::one("restart.delay = \"0s\"\nbreaker.failures = 0");
    let first = rig.run("web");
    rig.exit("web", 1);
    rig.send(Event::Exited { run: first, exit: Exit::Code(1), oom: false, tree: Tree::Empty });
    assert_eq!(rig.state("web"), State::Running);
    assert_eq!(rig.starts("web"), 2);
}
