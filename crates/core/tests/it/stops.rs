//! The stop sequence.

use menshen_core::{Command, Event, Exit, RecordKind, Role, SignalTarget, State, Tree};
use menshen_plan::definition::AlertKind;
use menshen_plan::signal::Signal;

use crate::rig::Rig;

#[test]
fn stop_asks_then_kills_the_whole_tree_at_the_timeout() {
    let mut rig = Rig::one("stop.timeout = \"10s\"");
    rig.command("web", Command::Stop).unwrap();
    assert_eq!(rig.state("web"), State::Stopping);
    rig.wait_s(9);
    assert_eq!(rig.signals("web"), [(SignalTarget::Main, Signal::Term)]);
    rig.wait_s(1);
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Tree, Signal::Kill)));
    let killed = rig.records().into_iter().find(|record| record.kind == RecordKind::Killed).map(|record| record.reason);
    assert_eq!(killed.as_deref(), Some("it is killed: SIGTERM did not end it within 10s"));
    rig.kill("web", Signal::Kill);
    assert_eq!(rig.state("web"), State::Stopped);
    assert_eq!(rig.reason("web"), "stopped by alice");
}

#[test]
fn stopped_is_reported_only_when_the_tree_is_empty() {
    let mut rig = Rig::one("");
    rig.command("web", Command::Stop).unwrap();
    let run = rig.run("web");
    rig.exit_with("web", Exit::Code(0), Tree::Alive);
    assert_eq!(rig.state("web"), State::Stopping, "children are left");
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Rest, Signal::Term)), "the rest is asked too");
    rig.wait_s(10);
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Tree, Signal::Kill)));
    assert_eq!(rig.state("web"), State::Stopping);
    rig.send(Event::TreeEmpty { run });
    assert_eq!(rig.state("web"), State::Stopped);
}

#[test]
fn without_tree_only_the_main_process_is_ended() {
    let mut rig = Rig::one("stop = { tree = false, timeout = \"1s\" }");
    rig.command("web", Command::Stop).unwrap();
    rig.wait_s(1);
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Main, Signal::Kill)));
    rig.exit_with("web", Exit::Signal(Signal::Kill), Tree::Alive);
    assert_eq!(rig.state("web"), State::Stopped);
}

#[test]
fn what_a_dead_program_leaves_behind_ends_before_the_next_start() {
    let mut rig = Rig::one("restart.delay = \"0s\"");
    let run = rig.run("web");
    rig.exit_with("web", Exit::Signal(Signal::Segv), Tree::Alive);
    assert_eq!(rig.state("web"), State::Stopping);
    assert_eq!(rig.starts("web"), 1);
    rig.send(Event::TreeEmpty { run });
    assert_eq!(rig.state("web"), State::Running);
    assert_eq!(rig.starts("web"), 2);
}

#[test]
fn a_tree_that_survives_the_kill_is_killed_again_and_people_are_told() {
    let mut rig = Rig::one("stop.timeout = \"1s\"");
    rig.command("web", Command::Stop).unwrap();
    rig.wait_s(120);
    let kills = rig.signals("web").iter().filter(|(_, signal)| *signal == Signal::Kill).count();
    assert!((5..12).contains(&kills), "{kills}");
    assert_eq!(rig.state("web"), State::Stopping, "it is not over while something lives");
    assert_eq!(rig.alerts().len(), 1);
}

#[test]
fn a_stop_command_comes_before_the_signal_and_the_kill_after_both() {
    let mut rig = Rig::one("stop = { command = [\"web\", \"quit\"], signal = \"SIGQUIT\", timeout = \"10s\" }");
    rig.command("web", Command::Stop).unwrap();
    assert_eq!(rig.spawns("web", Role::Stop), 1);
    rig.wait_s(4);
    assert_eq!(rig.signals("web"), [], "the command runs");
    let stopper = rig.run_of("web", Role::Stop);
    rig.send(Event::Exited { run: stopper, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    assert_eq!(rig.signals("web"), [(SignalTarget::Main, Signal::Quit)]);
    rig.wait_s(5);
    assert_eq!(rig.signals("web").len(), 1, "the command's time is part of the time-out, and the rest of it is left");
    rig.wait_s(1);
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Tree, Signal::Kill)));
    assert_eq!(killed_because(&rig), "it is killed: its stop command and SIGQUIT did not end it within 10s");
    rig.kill("web", Signal::Kill);
    assert_eq!(rig.state("web"), State::Stopped);
}

#[test]
fn a_program_its_stop_command_has_ended_gets_no_signal() {
    let mut rig = Rig::one("stop.command = [\"web\", \"quit\"]");
    rig.command("web", Command::Stop).unwrap();
    let stopper = rig.run_of("web", Role::Stop);
    rig.exit("web", 0);
    rig.send(Event::Exited { run: stopper, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    assert_eq!(rig.state("web"), State::Stopped);
    assert!(rig.signals("web").iter().all(|(_, signal)| *signal == Signal::Kill), "{:?}", rig.signals("web"));
}

#[test]
fn a_stop_command_that_takes_all_of_the_time_is_named_as_what_did_not_end_the_program() {
    let mut rig = Rig::one("stop = { command = [\"web\", \"quit\"], timeout = \"10s\" }");
    rig.command("web", Command::Stop).unwrap();
    rig.wait_s(10);
    assert_eq!(killed_because(&rig), "it is killed: its stop command did not end it within 10s");
    let stopper = rig.run_of("web", Role::Stop);
    let before = rig.signals("web").len();
    rig.send(Event::Exited { run: stopper, exit: Exit::Signal(Signal::Kill), oom: false, tree: Tree::Empty });
    assert_eq!(rig.signals("web").len(), before, "what was killed is not asked any more");
}

fn killed_because(rig: &Rig) -> String {
    let killed = rig.records().into_iter().find(|record| record.kind == RecordKind::Killed);
    killed.map(|record| record.reason).unwrap_or_default()
}

#[test]
fn a_stop_command_that_fails_is_followed_by_the_signal() {
    let mut rig = Rig::one("stop.command = [\"web\", \"quit\"]");
    rig.command("web", Command::Stop).unwrap();
    let stopper = rig.run_of("web", Role::Stop);
    rig.send(Event::Exited { run: stopper, exit: Exit::Code(1), oom: false, tree: Tree::Empty });
    assert_eq!(rig.signals("web"), [(SignalTarget::Main, Signal::Term)]);
}

#[test]
fn a_stop_command_that_outlives_the_program_is_killed_before_stopped() {
    let mut rig = Rig::one("stop.command = [\"web\", \"quit\"]");
    rig.command("web", Command::Stop).unwrap();
    let stopper = rig.run_of("web", Role::Stop);
    rig.exit("web", 0);
    assert_eq!(rig.state("web"), State::Stopping);
    assert_eq!(rig.signals("web"), [(SignalTarget::Tree, Signal::Kill)]);
    rig.send(Event::Exited { run: stopper, exit: Exit::Signal(Signal::Kill), oom: false, tree: Tree::Empty });
    assert_eq!(rig.state("web"), State::Stopped);
}

#[test]
fn a_start_during_the_stop_is_kept_and_acted_on_when_it_ends() {
    let mut rig = Rig::one("");
    rig.command("web", Command::Stop).unwrap();
    rig.command("web", Command::Start).unwrap();
    assert_eq!(rig.starts("web"), 1, "not twice at once");
    rig.exit("web", 0);
    assert_eq!(rig.state("web"), State::Running);
    assert_eq!(rig.starts("web"), 2);
}

#[test]
fn a_stop_during_the_stop_after_a_failure_wins() {
    let mut rig = Rig::one("restart.delay = \"0s\"");
    let run = rig.run("web");
    rig.exit_with("web", Exit::Code(1), Tree::Alive);
    rig.command("web", Command::Stop).unwrap();
    rig.send(Event::TreeEmpty { run });
    assert_eq!(rig.state("web"), State::Stopped);
    rig.wait_s(1000);
    assert_eq!(rig.starts("web"), 1);
}

#[test]
fn a_stop_that_comes_before_the_process_is_there_is_carried_out_when_it_is() {
    let mut rig = Rig::idle("[service.web]\ncommand = \"web\"");
    rig.spawns_succeed = false;
    rig.send(Event::Begin);
    let run = rig.run("web");
    rig.command("web", Command::Stop).unwrap();
    assert_eq!(rig.state("web"), State::Stopping);
    rig.send(Event::Spawned { run, pid: 9 });
    assert_eq!(rig.signals("web"), [(SignalTarget::Main, Signal::Term)]);
    rig.exit("web", 0);
    assert_eq!(rig.state("web"), State::Stopped);
}

#[test]
fn more_time_can_be_asked_for() {
    let mut rig = Rig::one("type = \"notify\"\nstop.timeout = \"10s\"");
    let run = rig.run("web");
    rig.send(Event::Notified { run, notification: menshen_core::Notification::Ready });
    rig.command("web", Command::Stop).unwrap();
    rig.wait_s(9);
    rig.send(Event::Notified {
        run,
        notification: menshen_core::Notification::ExtendTimeout(std::time::Duration::from_secs(20)),
    });
    rig.wait_s(15);
    assert_eq!(rig.signals("web").len(), 1, "not killed yet");
    rig.wait_s(6);
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Tree, Signal::Kill)));
}

#[test]
fn a_stopped_process_gets_sigcont_after_the_stop_signal() {
    let mut rig = Rig::one("");
    rig.command("web", Command::Stop).unwrap();
    let sent: Vec<Signal> = rig
        .effects
        .iter()
        .filter_map(
            |effect| if let menshen_core::Effect::Signal { signal, .. } = effect { Some(*signal) } else { None },
        )
        .collect();
    assert_eq!(sent, [Signal::Term, Signal::Cont]);
}

const CHAIN: &str = "[service.db]\ncommand = \"db\"\nprobe.liveness = { notify = true }\nlimits.memory = \"1GiB\"\n[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n";

#[test]
fn what_fails_while_it_is_to_end_anyway_is_not_counted_and_nobody_is_told_of_a_restart() {
    let held = || {
        let mut rig = Rig::new(CHAIN);
        rig.command("web", Command::Stop).unwrap();
        rig.command("db", Command::Stop).unwrap();
        assert_eq!(rig.state("db"), State::Running, "it waits for web's end");
        rig
    };
    let mut rig = held();
    let run = rig.run("db");
    rig.send(Event::Notified { run, notification: menshen_core::Notification::WatchdogTrigger });
    rig.exit("db", 0);
    assert_eq!((rig.state("db"), rig.status("db").restarts_total), (State::Stopped, 0));
    assert!(rig.alerts().iter().all(|alert| alert.kind != AlertKind::Restarting), "{:?}", rig.alerts());
    let mut rig = held();
    let run = rig.run("db");
    rig.send(Event::LimitExceeded { run, what: "memory".to_owned() });
    rig.kill("db", Signal::Kill);
    assert_eq!((rig.state("db"), rig.status("db").restarts_total), (State::Stopped, 0));
}

#[test]
fn a_program_that_dies_while_its_stop_waits_is_stopped_once() {
    let mut rig = Rig::new(CHAIN);
    rig.command("web", Command::Stop).unwrap();
    rig.command("db", Command::Stop).unwrap();
    let run = rig.run("db");
    rig.exit_with("db", Exit::Code(0), Tree::Alive);
    rig.exit("web", 0);
    assert_eq!(rig.state("db"), State::Stopping);
    assert_eq!(rig.signals("db"), [(SignalTarget::Rest, Signal::Term)]);
    rig.send(Event::TreeEmpty { run });
    assert_eq!(rig.state("db"), State::Stopped);
}

#[test]
fn a_start_after_a_stop_says_what_led_to_it() {
    let mut rig = Rig::one("");
    rig.command("web", Command::Restart).unwrap();
    rig.exit("web", 0);
    let start = rig.records().into_iter().rev().find_map(|record| match record.kind {
        RecordKind::Transition { from: State::Stopping, to: State::Starting, .. } => Some(record.reason),
        _ => None,
    });
    assert_eq!(start.as_deref(), Some("restarted by alice"));
}

#[test]
fn an_empty_tree_that_is_seen_before_the_exit_waits_for_it() {
    let mut rig = Rig::one("type = \"oneshot\"\nrestart.delay = \"1h\"\nrestart.max = \"1h\"");
    let run = rig.run("web");
    rig.send(Event::TreeEmpty { run });
    assert_eq!(rig.state("web"), State::Running);
    rig.exit("web", 0);
    assert_eq!((rig.state("web"), rig.status("web").last_exit), (State::Completed, Some(Exit::Code(0))));
}

#[test]
fn an_empty_tree_of_a_stop_command_does_not_hide_that_it_failed() {
    let mut rig = Rig::one("stop.command = [\"web\", \"quit\"]");
    rig.command("web", Command::Stop).unwrap();
    let stopper = rig.run_of("web", Role::Stop);
    rig.send(Event::TreeEmpty { run: stopper });
    rig.send(Event::Exited { run: stopper, exit: Exit::Code(1), oom: false, tree: Tree::Empty });
    assert_eq!(rig.signals("web"), [(SignalTarget::Main, Signal::Term)]);
}
