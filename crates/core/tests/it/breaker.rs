//! The breaker and its fallback.

use std::time::Duration;

use menshen_core::{BreakerState, Command, Effect, Event, Exit, Role, SignalTarget, State, Tree};
use menshen_plan::definition::{AlertKind, ProbeKind};
use menshen_plan::signal::Signal;

use crate::rig::Rig;

const BREAKER: &str = r#"
restart = { delay = "1s", factor = 1.0, jitter = 0.0 }
breaker.failures = 3
breaker.within = "60s"
breaker.open_for = "30s"
breaker.max_open = "2m"
breaker.close_after = "10s"
"#;

fn tripped(more: &str) -> Rig {
    let mut rig = Rig::one(&format!("{BREAKER}{more}"));
    for _ in 0..3 {
        rig.exit("web", 1);
        rig.wait_s(1);
    }
    assert_eq!(rig.state("web"), State::Tripped);
    rig
}

fn kinds(rig: &Rig) -> Vec<AlertKind> {
    rig.alerts().iter().map(|alert| alert.kind).filter(|kind| *kind != AlertKind::Restarting).collect()
}

#[test]
fn failures_within_the_window_open_it_and_people_are_told() {
    let rig = tripped("");
    assert_eq!(rig.status("web").breaker.state, BreakerState::Open);
    assert_eq!(kinds(&rig), [AlertKind::Tripped]);
    assert!(rig.reason("web").contains("3 failures within 1m"), "{}", rig.reason("web"));
}

#[test]
fn what_happened_once_is_told_in_the_singular() {
    let mut rig = Rig::one(
        "breaker.failures = 1\nbreaker.within = \"60s\"\nbreaker.open_for = \"30s\"\nbreaker.give_up_after = 2",
    );
    rig.exit("web", 1);
    assert!(rig.reason("web").contains("1 failure within 1m"), "{}", rig.reason("web"));
}

#[test]
fn failures_further_apart_than_the_window_do_not() {
    let mut rig = Rig::one(BREAKER);
    for _ in 0..20 {
        rig.exit("web", 1);
        assert_eq!(rig.state("web"), State::Backoff);
        rig.wait_s(31);
    }
}

#[test]
fn a_trial_that_stays_ready_closes_it() {
    let mut rig = tripped("");
    rig.wait_s(29);
    assert_eq!(rig.state("web"), State::Running);
    assert_eq!(rig.status("web").breaker.state, BreakerState::HalfOpen);
    rig.wait_s(11);
    assert_eq!(rig.status("web").breaker.state, BreakerState::Closed);
    assert_eq!(kinds(&rig), [AlertKind::Tripped, AlertKind::Recovered]);
}

#[test]
fn a_failed_trial_doubles_the_time_up_to_the_longest() {
    let mut rig = tripped("");
    for expected in [60, 120, 120] {
        rig.wait(rig.status("web").next_start.unwrap().since(rig.status("web").since));
        assert_eq!(rig.state("web"), State::Running, "{}", rig.reason("web"));
        rig.exit("web", 1);
        let status = rig.status("web");
        assert_eq!(status.state, State::Tripped);
        assert_eq!(status.next_start.unwrap().since(status.since), Duration::from_secs(expected));
    }
}

#[test]
fn it_gives_up_when_told_to() {
    let mut rig = Rig::one(&format!("{BREAKER}breaker.give_up_after = 2"));
    for _ in 0..3 {
        rig.exit("web", 1);
        rig.wait_s(1);
    }
    rig.wait_s(30);
    rig.exit("web", 1);
    assert_eq!(rig.state("web"), State::Failed);
    assert_eq!(kinds(&rig), [AlertKind::Tripped, AlertKind::Failed]);
    rig.command("web", Command::Start).unwrap();
    assert_eq!((rig.state("web"), rig.status("web").breaker.trips), (State::Running, 0));
}

#[test]
fn a_fallback_serves_until_the_trial_is_ready() {
    let mut rig = tripped("breaker.fallback = [\"page\"]\nprobe.readiness.tcp = \"other:1\"");
    assert_eq!(rig.spawns("web", Role::Fallback), 1);
    assert!(rig.status("web").fallback_pid.is_some());
    rig.wait_s(29);
    assert_eq!(rig.state("web"), State::Running);
    assert!(rig.status("web").fallback_pid.is_some(), "it serves while the trial is not ready");
    rig.wait_ms(10);
    rig.answer("web", ProbeKind::Readiness, Ok(()));
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Main, Signal::Term)));
    let page = rig.run_of("web", Role::Fallback);
    rig.send(Event::Exited { run: page, exit: Exit::Signal(Signal::Term), oom: false, tree: Tree::Empty });
    assert_eq!(rig.status("web").fallback_pid, None);
    rig.wait_s(1);
    assert_eq!(rig.spawns("web", Role::Fallback), 1);
}

#[test]
fn a_fallback_on_the_same_port_makes_way_before_the_trial() {
    let mut rig = tripped("probe.readiness.tcp = \":80\"\nbreaker.fallback = [\"page\", \"--port\", \"80\"]");
    let page = rig.run_of("web", Role::Fallback);
    rig.wait_s(29);
    assert_eq!((rig.state("web"), rig.starts("web")), (State::Tripped, 3), "the port is still taken");
    rig.send(Event::Exited { run: page, exit: Exit::Signal(Signal::Term), oom: false, tree: Tree::Empty });
    assert_eq!((rig.state("web"), rig.starts("web")), (State::Running, 4));
    rig.exit("web", 1);
    assert_eq!(
        (rig.state("web"), rig.spawns("web", Role::Fallback)),
        (State::Tripped, 2),
        "and comes back when the trial fails"
    );
}

#[test]
fn a_fallback_that_dies_is_started_again_without_spinning() {
    let mut rig = tripped("breaker.fallback = [\"page\"]");
    for _ in 0..5 {
        let page = rig.run_of("web", Role::Fallback);
        rig.send(Event::Exited { run: page, exit: Exit::Code(1), oom: false, tree: Tree::Empty });
        rig.wait_s(1);
    }
    let spawns = rig.spawns("web", Role::Fallback);
    assert!((2..=4).contains(&spawns), "{spawns}");
}

#[test]
fn stop_while_open_ends_the_fallback_first() {
    let mut rig = tripped("breaker.fallback = [\"page\"]");
    rig.command("web", Command::Stop).unwrap();
    assert_eq!(rig.state("web"), State::Stopping);
    let page = rig.run_of("web", Role::Fallback);
    rig.send(Event::Exited { run: page, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    assert_eq!(rig.state("web"), State::Stopped);
}

#[test]
fn a_fallback_that_ignores_the_signal_is_killed() {
    let mut rig = tripped("breaker.fallback = [\"page\"]\nstop.timeout = \"2s\"");
    rig.command("web", Command::Stop).unwrap();
    rig.wait_s(2);
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Tree, Signal::Kill)));
}

#[test]
fn start_and_reset_do_not_wait_for_the_trial() {
    let mut rig = tripped("");
    rig.command("web", Command::Start).unwrap();
    assert_eq!((rig.state("web"), rig.status("web").breaker.state), (State::Running, BreakerState::HalfOpen));
    let mut rig = tripped("");
    rig.command("web", Command::Reset).unwrap();
    assert_eq!((rig.state("web"), rig.status("web").breaker.state), (State::Running, BreakerState::Closed));
}

#[test]
fn a_trial_waits_for_lost_dependencies_with_the_fallback_in_place() {
    let mut rig = Rig::new(&format!(
        "[service.db]\ncommand = \"db\"\n[service.web]\ncommand = \"web\"\ndepends_on = {{ db = \"started\" }}\nprobe.readiness.tcp = \":80\"\n{BREAKER}breaker.fallback = [\"page\", \"--port\", \"80\"]\n"
    ));
    for _ in 0..3 {
        rig.exit("web", 1);
        rig.wait_s(1);
    }
    rig.command("db", Command::Stop).unwrap();
    rig.exit("db", 0);
    rig.wait_s(60);
    assert_eq!(rig.state("web"), State::Tripped);
    assert!(rig.reason("web").contains("waiting for db"), "{}", rig.reason("web"));
    assert!(rig.status("web").fallback_pid.is_some());
    rig.command("db", Command::Start).unwrap();
    let page = rig.run_of("web", Role::Fallback);
    rig.send(Event::Exited { run: page, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    assert_eq!(rig.state("web"), State::Running);
}

/// A trial under way that is not ready, with its fallback beside it.
fn trial(more: &str) -> Rig {
    let mut rig = tripped(&format!("breaker.fallback = [\"page\"]\nprobe.readiness.tcp = \"other:1\"\n{more}"));
    rig.wait_s(29);
    assert_eq!((rig.state("web"), rig.spawns("web", Role::Fallback)), (State::Running, 1));
    rig
}

#[test]
fn a_fallback_serves_on_through_a_restart_of_the_trial() {
    let mut rig = trial("");
    rig.command("web", Command::Restart).unwrap();
    rig.exit("web", 0);
    assert_eq!((rig.state("web"), rig.starts("web")), (State::Running, 5), "the stop ends");
    let page = rig.run_of("web", Role::Fallback);
    assert!(!rig.effects.iter().any(|effect| matches!(effect, Effect::Signal { run, .. } if *run == page)));
}

#[test]
fn a_fallback_serves_on_while_a_failed_trial_is_stopped() {
    let mut rig = trial("probe.liveness.notify = true");
    let run = rig.run("web");
    rig.send(Event::Notified { run, notification: menshen_core::Notification::WatchdogTrigger });
    assert_eq!(rig.state("web"), State::Stopping);
    rig.exit("web", 0);
    assert_eq!((rig.state("web"), rig.spawns("web", Role::Fallback)), (State::Tripped, 1));
    let page = rig.run_of("web", Role::Fallback);
    assert!(!rig.effects.iter().any(|effect| matches!(effect, Effect::Signal { run, .. } if *run == page)));
}

#[test]
fn a_service_comes_to_rest_only_when_its_fallback_has_ended() {
    let mut rig = Rig::one(
        "restart.delay = \"0s\"\nrestart.on_exit = { 64 = \"fail\" }\nprobe.readiness.tcp = \"other:1\"\nbreaker = { failures = 1, open_for = \"10s\", fallback = [\"page\"] }",
    );
    rig.exit("web", 1);
    rig.wait_s(10);
    assert_eq!((rig.state("web"), rig.spawns("web", Role::Fallback)), (State::Running, 1));
    rig.exit("web", 64);
    assert_eq!(rig.state("web"), State::Stopping);
    let page = rig.run_of("web", Role::Fallback);
    rig.send(Event::Exited { run: page, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    assert_eq!((rig.state("web"), rig.reason("web").as_str()), (State::Failed, "exit 64: on_exit fail"));
}

#[test]
fn what_waits_with_a_fallback_in_its_place_ends_it_before_it_is_stopped() {
    let mut rig = Rig::new(&format!(
        "[service.db]\ncommand = \"db\"\n[service.web]\ncommand = \"web\"\ndepends_on = {{ db = \"started\" }}\n{BREAKER}breaker.fallback = [\"page\"]\nprobe.readiness.tcp = \"other:1\"\n"
    ));
    for _ in 0..3 {
        rig.exit("web", 1);
        rig.wait_s(1);
    }
    rig.wait_s(29);
    rig.command("db", Command::Stop).unwrap();
    rig.exit("db", 0);
    rig.command("web", Command::Restart).unwrap();
    rig.command("db", Command::Stop).unwrap();
    rig.exit("db", 0);
    rig.exit("web", 0);
    assert_eq!(rig.state("web"), State::Waiting);
    assert!(rig.status("web").fallback_pid.is_some());
    rig.command("web", Command::Stop).unwrap();
    assert_eq!(rig.state("web"), State::Stopping);
    let page = rig.run_of("web", Role::Fallback);
    rig.send(Event::Exited { run: page, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    assert_eq!(rig.state("web"), State::Stopped);
}

#[test]
fn a_fallback_that_dies_and_leaves_children_does_not_spin_either() {
    let mut rig = tripped("breaker.fallback = [\"page\"]");
    for _ in 0..5 {
        let run = rig.run_of("web", Role::Fallback);
        rig.send(Event::Exited { run, exit: Exit::Code(1), oom: false, tree: Tree::Alive });
        rig.send(Event::TreeEmpty { run });
        rig.wait_s(1);
    }
    let spawns = rig.spawns("web", Role::Fallback);
    assert!((2..=4).contains(&spawns), "{spawns}");
}

#[test]
fn a_oneshot_that_completes_its_trial_closes_the_breaker_and_people_are_told() {
    let mut rig = tripped("type = \"oneshot\"");
    rig.wait_s(30);
    rig.exit("web", 0);
    assert_eq!((rig.state("web"), rig.status("web").breaker.state), (State::Completed, BreakerState::Closed));
    assert_eq!(kinds(&rig), [AlertKind::Tripped, AlertKind::Recovered]);
    rig.command("web", Command::Start).unwrap();
    rig.exit("web", 1);
    assert_eq!(rig.state("web"), State::Backoff, "one failure does not trip it again");
}

#[test]
fn a_reset_of_a_ready_trial_tells_people_that_it_is_over() {
    let mut rig = tripped("");
    rig.wait_s(29);
    assert!(rig.status("web").ready);
    rig.command("web", Command::Reset).unwrap();
    rig.wait_s(100);
    assert_eq!(rig.status("web").breaker.state, BreakerState::Closed);
    assert_eq!(kinds(&rig), [AlertKind::Tripped, AlertKind::Recovered]);
}

#[test]
fn the_count_is_forgotten_as_long_after_a_trial_became_ready_as_after_any_other_start() {
    let mut rig = tripped("");
    rig.wait_s(29);
    assert!(rig.status("web").ready);
    rig.wait_s(59);
    assert_eq!(rig.status("web").restarts, 3);
    rig.wait_s(1);
    assert_eq!(rig.status("web").restarts, 0);
}

#[test]
fn what_a_fallback_leaves_behind_gets_the_rest_of_its_time() {
    let mut rig = tripped("breaker.fallback = [\"page\"]\nstop.timeout = \"2s\"");
    let run = rig.run_of("web", Role::Fallback);
    rig.command("web", Command::Stop).unwrap();
    rig.wait_s(1);
    rig.send(Event::Exited { run, exit: Exit::Code(0), oom: false, tree: Tree::Alive });
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Rest, Signal::Term)));
    rig.wait_s(1);
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Tree, Signal::Kill)));
}

#[test]
fn what_a_fallback_leaves_behind_is_ended_even_if_nobody_heard_of_its_spawn() {
    let mut rig = Rig::one(&format!("{BREAKER}breaker.fallback = [\"page\"]"));
    for _ in 0..2 {
        rig.exit("web", 1);
        rig.wait_s(1);
    }
    rig.spawns_succeed = false;
    rig.exit("web", 1);
    let page = rig.run_of("web", Role::Fallback);
    rig.send(Event::Exited { run: page, exit: Exit::Code(1), oom: false, tree: Tree::Alive });
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Rest, Signal::Term)));
    rig.wait_s(10);
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Tree, Signal::Kill)));
}
