//! The guard's own end.

use menshen_core::{Command, Event, Exit, Refusal, Role, SignalTarget, State, Tree};
use menshen_plan::signal::Signal;

use crate::rig::Rig;

const CHAIN: &str =
    "[service.db]\ncommand = \"db\"\n[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n";

#[test]
fn everything_stops_in_order_and_then_it_is_over() {
    let mut rig = Rig::new(CHAIN);
    rig.shut_down();
    assert_eq!((rig.state("web"), rig.state("db")), (State::Stopping, State::Running));
    rig.exit("web", 0);
    assert_eq!(rig.state("db"), State::Stopping);
    assert_eq!(rig.shutdown_code(), None);
    rig.exit("db", 0);
    assert_eq!(rig.shutdown_code(), Some(0));
}

#[test]
fn a_guard_told_to_stop_starts_nothing() {
    let mut rig = Rig::new(CHAIN);
    rig.exit("web", 1);
    rig.shut_down();
    assert_eq!(rig.command("web", Command::Start), Err(Refusal::ShuttingDown));
    rig.exit("db", 1);
    rig.wait_s(1000);
    assert_eq!((rig.starts("web"), rig.starts("db")), (1, 1));
    assert_eq!(rig.shutdown_code(), Some(0));
}

#[test]
fn a_second_call_in_a_hurry_kills() {
    let mut rig = Rig::new(CHAIN);
    rig.shut_down();
    rig.send(Event::Shutdown { reason: "again".to_owned(), hurry: true });
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Tree, Signal::Kill)));
    assert_eq!(rig.signals("db").last(), Some(&(SignalTarget::Tree, Signal::Kill)));
}

#[test]
fn what_waits_or_backs_off_ends_at_once() {
    let mut rig = Rig::one("restart = { delay = \"1h\", max = \"1h\" }");
    rig.exit("web", 1);
    rig.shut_down();
    assert_eq!((rig.state("web"), rig.shutdown_code()), (State::Stopped, Some(0)));
}

#[test]
fn a_fallback_ends_with_the_guard() {
    let mut rig = Rig::one("restart.delay = \"0s\"\nbreaker = { failures = 1, fallback = [\"page\"] }");
    rig.exit("web", 1);
    assert_eq!(rig.state("web"), State::Tripped);
    rig.shut_down();
    assert_eq!(rig.shutdown_code(), None);
    let run = rig.run_of("web", Role::Fallback);
    rig.send(Event::Exited { run, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    assert_eq!(rig.shutdown_code(), Some(0));
}

#[test]
fn an_essential_service_that_fails_ends_the_guard_with_seven() {
    let mut rig =
        Rig::new(&format!("{CHAIN}[service.key]\ncommand = \"key\"\nessential = true\nrestart.policy = \"never\"\n"));
    rig.exit("key", 1);
    assert_eq!(rig.state("web"), State::Stopping);
    rig.exit("web", 0);
    rig.exit("db", 0);
    assert_eq!(rig.shutdown_code(), Some(7));
}

#[test]
fn what_cannot_be_killed_does_not_keep_the_guard_for_ever() {
    let mut rig = Rig::one("stop.timeout = \"1s\"");
    rig.shut_down();
    rig.wait_s(30);
    assert_eq!(rig.shutdown_code(), None);
    rig.wait_s(120);
    assert_eq!(rig.shutdown_code(), Some(1));
    assert_eq!(rig.state("web"), State::Stopping, "it never says Stopped while something lives");
}

#[test]
fn an_empty_guard_ends_at_once() {
    let mut rig = Rig::new("[guard]\nname = \"x\"\n");
    rig.shut_down();
    assert_eq!(rig.shutdown_code(), Some(0));
}

#[test]
fn a_tree_left_by_a_dead_main_process_keeps_the_guard_until_it_is_empty() {
    let mut rig = Rig::one("");
    rig.shut_down();
    let run = rig.run("web");
    rig.exit_with("web", Exit::Code(0), Tree::Alive);
    assert_eq!(rig.shutdown_code(), None);
    rig.send(Event::TreeEmpty { run });
    assert_eq!(rig.shutdown_code(), Some(0));
}

#[test]
fn what_waits_for_the_end_of_a_service_that_is_removed_then_ends_too() {
    let mut rig = Rig::new(CHAIN);
    rig.send(Event::Reload { plan: crate::rig::plan("[service.db]\ncommand = \"db\"\n"), by: "alice".to_owned() });
    assert_eq!(rig.state("web"), State::Stopping);
    rig.shut_down();
    assert_eq!(rig.state("db"), State::Running, "web depends on it and goes first");
    rig.exit("web", 0);
    assert_eq!(rig.state("db"), State::Stopping);
    rig.exit("db", 0);
    assert_eq!(rig.shutdown_code(), Some(0));
}
