//! Pause and continue.

use menshen_core::{Command, Effect, Event, Exit, Frost, State, Tree, Wanted};
use menshen_plan::signal::Signal;

use crate::rig::Rig;

fn paused() -> Rig {
    let mut rig = Rig::one("");
    rig.command("web", Command::Pause).unwrap();
    assert_eq!(rig.state("web"), State::Pausing);
    let run = rig.run("web");
    rig.send(Event::Frozen { run });
    assert_eq!(rig.state("web"), State::Paused);
    rig
}

#[test]
fn pause_freezes_and_continue_thaws() {
    let mut rig = paused();
    assert!(!rig.status("web").ready, "what is frozen cannot be used");
    rig.command("web", Command::Continue).unwrap();
    assert_eq!(rig.state("web"), State::Continuing);
    let run = rig.run("web");
    rig.send(Event::Thawed { run });
    assert_eq!(rig.state("web"), State::Running);
    assert!(rig.status("web").ready);
}

#[test]
fn stop_thaws_what_is_frozen_so_that_it_can_act() {
    let mut rig = paused();
    let run = rig.run("web");
    rig.command("web", Command::Stop).unwrap();
    let effects = rig.new_effects();
    let signal =
        effects.iter().position(|effect| matches!(effect, Effect::Signal { signal: Signal::Term, .. })).unwrap();
    let thaw = effects.iter().position(|effect| *effect == Effect::Thaw { run }).unwrap();
    assert!(signal < thaw);
    rig.exit("web", 0);
    assert_eq!(rig.state("web"), State::Stopped);
}

#[test]
fn a_tree_that_cannot_be_frozen_runs_on() {
    let mut rig = Rig::one("");
    rig.command("web", Command::Pause).unwrap();
    let run = rig.run("web");
    rig.send(Event::FreezeFailed { run, error: "no freezer".to_owned() });
    rig.send(Event::Thawed { run });
    assert_eq!((rig.state("web"), rig.status("web").wanted), (State::Running, Wanted::Up));
}

#[test]
fn what_an_earlier_guard_did_to_a_tree_and_did_not_note_is_undone() {
    let mut paused = paused();
    let run = paused.run("web");
    paused.new_effects();
    paused.send(Event::Adopted { run, frost: Frost::Frozen });
    assert_eq!(paused.new_effects(), [], "it is as it was noted");
    paused.send(Event::Adopted { run, frost: Frost::Thawed });
    assert_eq!(paused.new_effects(), [Effect::Freeze { run }]);

    let mut running = Rig::one("");
    running.new_effects();
    running.send(Event::Adopted { run, frost: Frost::Thawed });
    assert_eq!(running.new_effects(), [], "it is as it was noted");
    running.send(Event::Adopted { run, frost: Frost::Frozen });
    assert_eq!(running.new_effects(), [Effect::Thaw { run }]);
    running.command("web", Command::Stop).unwrap();
    running.new_effects();
    running.send(Event::Adopted { run, frost: Frost::Frozen });
    assert_eq!(running.new_effects(), [Effect::Thaw { run }], "it cannot act on what it was asked");
}

#[test]
fn what_an_earlier_guard_left_and_could_not_be_reached_is_paused_once_it_can() {
    let mut rig = Rig::one("");
    rig.command("web", Command::Pause).unwrap();
    let (run, pid) = (rig.run("web"), rig.next_pid);
    rig.new_effects();
    rig.wait_s(9);
    rig.send(Event::Adopted { run, frost: Frost::Thawed });
    rig.send(Event::Spawned { run, pid });
    assert_eq!(rig.new_effects(), [Effect::Freeze { run }]);
    rig.wait_s(9);
    assert_eq!(rig.state("web"), State::Pausing, "its time begins when it can be frozen");
    rig.send(Event::Frozen { run });
    assert_eq!((rig.state("web"), rig.status("web").wanted), (State::Paused, Wanted::Paused));
}

#[test]
fn what_was_paused_and_can_be_frozen_no_more_is_said_to_run() {
    let mut rig = paused();
    let run = rig.run("web");
    rig.send(Event::Adopted { run, frost: Frost::Thawed });
    rig.send(Event::FreezeFailed { run, error: "no freezer".to_owned() });
    rig.send(Event::Thawed { run });
    assert_eq!((rig.state("web"), rig.status("web").wanted), (State::Running, Wanted::Up));
}

#[test]
fn a_tree_that_does_not_freeze_in_time_runs_on() {
    let mut rig = Rig::one("");
    rig.command("web", Command::Pause).unwrap();
    rig.wait_s(30);
    assert_eq!(rig.state("web"), State::Running);
}

#[test]
fn a_service_that_is_to_be_paused_is_paused_again_after_a_crash() {
    let mut rig = paused();
    rig.exit_with("web", Exit::Signal(Signal::Kill), Tree::Empty);
    assert_eq!(rig.state("web"), State::Backoff);
    rig.wait_s(1);
    assert_eq!(rig.state("web"), State::Pausing);
}

#[test]
fn a_pause_during_start_up_is_kept() {
    let mut rig = Rig::one("type = \"notify\"");
    rig.command("web", Command::Pause).unwrap();
    assert_eq!(rig.state("web"), State::Starting);
    let run = rig.run("web");
    rig.send(Event::Notified { run, notification: menshen_core::Notification::Ready });
    assert_eq!(rig.state("web"), State::Pausing);
}

#[test]
fn start_continues_what_is_paused() {
    let mut rig = paused();
    rig.command("web", Command::Start).unwrap();
    assert_eq!(rig.state("web"), State::Continuing);
}

#[test]
fn what_a_program_that_died_frozen_left_behind_is_thawed_so_that_it_can_act() {
    let mut rig = paused();
    let run = rig.run("web");
    rig.new_effects();
    rig.exit_with("web", Exit::Signal(Signal::Kill), Tree::Alive);
    let effects = rig.new_effects();
    let signal =
        effects.iter().position(|effect| matches!(effect, Effect::Signal { signal: Signal::Term, .. })).unwrap();
    let thaw = effects.iter().position(|effect| *effect == Effect::Thaw { run }).unwrap();
    assert!(signal < thaw);
}

#[test]
fn the_clock_of_a_oneshot_stands_still_while_it_is_paused() {
    let mut rig = Rig::one("type = \"oneshot\"\nstart_timeout = \"10s\"");
    rig.wait_s(4);
    rig.command("web", Command::Pause).unwrap();
    let run = rig.run("web");
    rig.send(Event::Frozen { run });
    rig.wait_s(60);
    assert_eq!(rig.state("web"), State::Paused);
    rig.command("web", Command::Continue).unwrap();
    rig.send(Event::Thawed { run });
    rig.wait_s(5);
    assert_eq!(rig.state("web"), State::Running);
    rig.wait_s(1);
    assert_eq!(rig.state("web"), State::Stopping, "and runs on afterwards");
}

#[test]
fn a_tree_that_cannot_be_frozen_is_still_stopped_by_whoever_asked_for_that() {
    let mut rig = Rig::new(
        "[service.db]\ncommand = \"db\"\n[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n",
    );
    rig.command("db", Command::Pause).unwrap();
    rig.command("web", Command::Stop).unwrap();
    rig.command("db", Command::Stop).unwrap();
    assert_eq!(rig.state("db"), State::Pausing, "it waits for web's end");
    let run = rig.run("db");
    rig.send(Event::FreezeFailed { run, error: "no freezer".to_owned() });
    rig.exit("web", 0);
    rig.exit("db", 0);
    rig.wait_s(100);
    assert_eq!((rig.state("db"), rig.status("db").wanted, rig.starts("db")), (State::Stopped, Wanted::Down, 1));
}
