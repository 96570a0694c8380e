//! Startup, liveness, readiness.

use std::time::Duration;

use menshen_core::{Command, Effect, Event, Notification, RecordKind, SignalTarget, State};
use menshen_plan::definition::AlertKind;
use menshen_plan::definition::ProbeKind::{Liveness, Readiness, Startup};
use menshen_plan::signal::Signal;

use crate::rig::Rig;

#[test]
fn the_startup_probe_gates_the_others() {
    let mut rig = Rig::one(
        "probe.startup = { tcp = \":1\", interval = \"1s\" }\nprobe.liveness.tcp = \":1\"\nprobe.readiness.tcp = \":1\"",
    );
    rig.wait_ms(10);
    assert_eq!(rig.state("web"), State::Starting);
    assert_eq!((rig.last_round("web", Liveness), rig.last_round("web", Readiness)), (None, None));
    rig.answer("web", Startup, Ok(()));
    assert_eq!(rig.state("web"), State::Running);
    rig.wait_ms(10);
    assert!(rig.last_round("web", Liveness).is_some() && rig.last_round("web", Readiness).is_some());
}

#[test]
fn a_service_that_never_comes_up_is_restarted_after_its_window_and_says_why() {
    let mut rig =
        Rig::one("restart.delay = \"10s\"\nprobe.startup = { tcp = \":1\", interval = \"1s\", failure = 30 }");
    for _ in 0..30 {
        rig.answer("web", Startup, Err("connection refused"));
    }
    assert_eq!(rig.state("web"), State::Starting);
    rig.wait_s(5);
    assert_eq!(rig.state("web"), State::Stopping);
    let reason = rig.reason("web");
    assert!(reason.contains("not up after 30s") && reason.contains("no answer within 1s"), "{reason}");
    rig.exit("web", 0);
    assert_eq!(rig.state("web"), State::Backoff);
    assert_eq!(rig.status("web").restarts, 1);
}

#[test]
fn readiness_honours_both_thresholds_and_never_restarts_anything() {
    let mut rig = Rig::one("probe.readiness = { tcp = \":1\", interval = \"1s\", success = 2, failure = 3 }");
    rig.wait_ms(1);
    rig.answer("web", Readiness, Ok(()));
    assert!(!rig.status("web").ready, "one success is not two");
    rig.answer("web", Readiness, Ok(()));
    assert!(rig.status("web").ready);
    for _ in 0..2 {
        rig.answer("web", Readiness, Err("503"));
        assert!(rig.status("web").ready);
    }
    rig.answer("web", Readiness, Err("503"));
    assert!(!rig.status("web").ready);
    assert_eq!(rig.status("web").probes[0].last_error.as_deref(), Some("503"));
    for _ in 0..100 {
        rig.answer("web", Readiness, Err("503"));
    }
    assert_eq!((rig.state("web"), rig.starts("web")), (State::Running, 1));
}

#[test]
fn liveness_restarts_through_the_stop_sequence() {
    let mut rig = Rig::one("probe.liveness = { tcp = \":1\", interval = \"1s\", failure = 3 }");
    for _ in 0..3 {
        assert_eq!(rig.state("web"), State::Running);
        rig.answer("web", Liveness, Err("connection refused"));
    }
    assert_eq!(rig.state("web"), State::Stopping);
    assert!(rig.reason("web").contains("connection refused"));
    assert_eq!(rig.signals("web"), [(SignalTarget::Main, Signal::Term)]);
    rig.kill("web", Signal::Term);
    assert_eq!(rig.state("web"), State::Backoff);
    assert_eq!(rig.status("web").restarts, 1, "the death that follows does not count twice");
}

#[test]
fn a_success_in_between_forgives_failures() {
    let mut rig = Rig::one("probe.liveness = { tcp = \":1\", interval = \"1s\", failure = 2 }");
    for _ in 0..10 {
        rig.answer("web", Liveness, Err("no"));
        rig.answer("web", Liveness, Ok(()));
    }
    assert_eq!(rig.state("web"), State::Running);
}

#[test]
fn a_probe_that_outlives_its_timeout_is_cancelled_and_the_next_waits_for_its_end() {
    let mut rig =
        Rig::one("probe.liveness = { exec = [\"check\"], interval = \"2s\", timeout = \"1s\", failure = 10 }");
    rig.cancels_end = false;
    rig.wait_ms(1);
    let first = rig.last_round("web", Liveness).unwrap();
    rig.wait_s(1);
    let service = rig.id("web");
    assert!(rig.effects.contains(&Effect::CancelProbe { service, probe: Liveness, round: first }));
    rig.wait_s(10);
    assert_eq!(rig.last_round("web", Liveness), Some(first), "the last one still runs");
    rig.send(Event::Probed { service, probe: Liveness, round: first, outcome: Err("killed".to_owned()) });
    rig.wait_ms(1);
    assert_eq!(rig.last_round("web", Liveness), Some(first + 1));
    assert_eq!(rig.status("web").probes[0].failures, 1, "the end of a cancelled probe is not a second failure");
}

#[test]
fn a_probe_that_cannot_be_asked_says_nothing_of_the_service_and_is_told_of_once() {
    let mut rig = Rig::one("probe.liveness = { exec = [\"check\"], interval = \"1s\", failure = 2 }");
    let service = rig.id("web");
    rig.wait_ms(1);
    let cannot_ask = |rig: &mut Rig| {
        let (round, why) = (rig.last_round("web", Liveness).unwrap(), "too many open files".to_owned());
        rig.send(Event::NotProbed { service, probe: Liveness, round, why });
        rig.wait_s(1);
        assert_eq!(rig.last_round("web", Liveness), Some(round + 1), "it is asked again at its interval");
    };
    rig.answer("web", Liveness, Err("503"));
    rig.wait_s(1);
    (0..10).for_each(|_| cannot_ask(&mut rig));
    assert_eq!((rig.state("web"), rig.status("web").probes[0].failures), (State::Running, 1));
    let told = |rig: &Rig, over: bool| {
        rig.records().into_iter().filter(|record| record.kind == RecordKind::Trouble { over }).count()
    };
    assert_eq!((told(&rig, false), told(&rig, true)), (1, 0));
    rig.answer("web", Liveness, Ok(()));
    assert_eq!((told(&rig, false), told(&rig, true)), (1, 1));
    let kinds: Vec<AlertKind> = rig.alerts().into_iter().map(|alert| alert.kind).collect();
    assert_eq!(kinds, [AlertKind::Trouble, AlertKind::Recovered]);
}

#[test]
fn probes_end_with_the_program() {
    let mut rig = Rig::one("probe.liveness = { exec = [\"check\"] }\nrestart.delay = \"0s\"");
    rig.cancels_end = false;
    rig.wait_ms(1);
    let round = rig.last_round("web", Liveness).unwrap();
    rig.exit("web", 1);
    let service = rig.id("web");
    assert!(rig.effects.contains(&Effect::CancelProbe { service, probe: Liveness, round }));
    rig.wait_s(1);
    assert_eq!(rig.last_round("web", Liveness), Some(round), "not while the last one still runs");
    rig.send(Event::Probed { service, probe: Liveness, round, outcome: Ok(()) });
    assert_eq!(rig.status("web").healthy, None, "an answer about the dead program says nothing about the new one");
    rig.wait_ms(1);
    assert_eq!(rig.last_round("web", Liveness), Some(round + 1));
}

#[test]
fn readiness_is_asked_often_until_it_is_there_and_then_at_its_interval() {
    let mut rig = Rig::one("probe.readiness = { tcp = \":1\", interval = \"10s\" }");
    let began = rig.now;
    for _ in 0..4 {
        rig.answer("web", Readiness, Err("refused"));
    }
    assert!(rig.now.since(began) < Duration::from_secs(1), "four times in the first second");
    rig.answer("web", Readiness, Ok(()));
    let asked = rig.last_round("web", Readiness);
    rig.wait_ms(9999);
    assert_eq!(rig.last_round("web", Readiness), asked);
    rig.wait_ms(1);
    assert_eq!(rig.last_round("web", Readiness), asked.map(|round| round + 1));
}

#[test]
fn notify_is_up_when_it_says_so() {
    let mut rig = Rig::one("type = \"notify\"");
    let run = rig.run("web");
    assert_eq!(rig.state("web"), State::Starting);
    rig.send(Event::Notified { run, notification: Notification::Ready });
    assert_eq!(rig.state("web"), State::Running);
    assert!(rig.status("web").ready);
    rig.send(Event::Notified { run, notification: Notification::Reloading });
    assert!(!rig.status("web").ready);
    rig.send(Event::Notified { run, notification: Notification::Ready });
    assert!(rig.status("web").ready);
    rig.send(Event::Notified { run, notification: Notification::Stopping });
    assert!(!rig.status("web").ready);
}

#[test]
fn notify_that_never_says_so_times_out() {
    let mut rig = Rig::one("type = \"notify\"\nstart_timeout = \"5s\"");
    rig.wait_s(5);
    assert_eq!(rig.state("web"), State::Stopping);
    assert!(rig.reason("web").contains("waiting for READY=1"), "{}", rig.reason("web"));
}

#[test]
fn a_watchdog_that_is_not_fed_restarts_the_program() {
    let mut rig = Rig::one("probe.liveness = { notify = true, interval = \"10s\", failure = 3 }");
    let run = rig.run("web");
    for _ in 0..10 {
        rig.wait_s(29);
        rig.send(Event::Notified { run, notification: Notification::Watchdog });
    }
    assert_eq!(rig.state("web"), State::Running);
    rig.wait_s(31);
    assert_eq!(rig.state("web"), State::Stopping);
}

#[test]
fn a_program_can_ask_to_be_restarted() {
    let mut rig = Rig::one("probe.liveness.notify = true");
    let run = rig.run("web");
    rig.send(Event::Notified { run, notification: Notification::WatchdogTrigger });
    assert_eq!(rig.state("web"), State::Stopping);
}

#[test]
fn a_line_of_output_makes_ready_even_when_it_comes_before_the_service_is_up() {
    let mut rig = Rig::one("probe.startup = { tcp = \":1\" }\nprobe.readiness = { log = \"listening\" }");
    let run = rig.run("web");
    rig.send(Event::LogMatched { run, probe: Readiness });
    rig.wait_ms(1);
    rig.answer("web", Startup, Ok(()));
    assert!(rig.status("web").ready);
}

#[test]
fn a_oneshot_that_takes_too_long_is_ended() {
    let mut rig = Rig::one("type = \"oneshot\"\nstart_timeout = \"5s\"");
    rig.wait_s(6);
    assert_eq!(rig.state("web"), State::Stopping);
    assert_eq!(rig.reason("web"), "not done after 5s");
}

#[test]
fn a_time_out_that_is_a_little_late_is_told_as_it_was_given() {
    for (timeout, late, told) in [("5s", 5_003_201, "5s"), ("250ms", 250_777, "250ms")] {
        let mut rig = Rig::one(&format!("type = \"oneshot\"\nstart_timeout = \"{timeout}\""));
        rig.now = rig.now + Duration::from_micros(late);
        rig.send(Event::Timeout);
        assert_eq!(rig.reason("web"), format!("not done after {told}"));
    }
}

#[test]
fn probes_rest_while_the_program_is_paused() {
    let mut rig = Rig::one("probe.liveness = { tcp = \":1\", interval = \"1s\", failure = 1 }");
    rig.wait_ms(1);
    rig.answer("web", Liveness, Ok(()));
    rig.command("web", Command::Pause).unwrap();
    let run = rig.run("web");
    rig.send(Event::Frozen { run });
    let asked = rig.last_round("web", Liveness);
    rig.wait(Duration::from_secs(3600));
    assert_eq!(rig.last_round("web", Liveness), asked);
    assert_eq!(rig.state("web"), State::Paused);
}

#[test]
fn a_program_can_set_its_own_watchdog_and_the_time_holds_from_then_on() {
    let mut rig = Rig::one("probe.liveness = { notify = true, interval = \"10s\", failure = 3 }");
    let run = rig.run("web");
    rig.send(Event::Notified { run, notification: Notification::WatchdogPeriod(Duration::from_secs(90)) });
    for _ in 0..3 {
        rig.wait_s(80);
        rig.send(Event::Notified { run, notification: Notification::Watchdog });
    }
    assert_eq!(rig.state("web"), State::Running);
    rig.wait_s(91);
    assert_eq!(rig.state("web"), State::Stopping);
}

#[test]
fn a_startup_probe_that_succeeded_is_not_asked_again() {
    let mut rig = Rig::one("type = \"notify\"\nprobe.startup = { tcp = \":1\", interval = \"1s\", failure = 60 }");
    rig.wait_ms(1);
    rig.answer("web", Startup, Ok(()));
    let round = rig.last_round("web", Startup);
    rig.wait_s(10);
    assert_eq!((rig.state("web"), rig.last_round("web", Startup)), (State::Starting, round), "READY=1 is outstanding");
    let run = rig.run("web");
    rig.send(Event::Notified { run, notification: Notification::Ready });
    assert_eq!(rig.state("web"), State::Running);
}
