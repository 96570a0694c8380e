//! What operators ask for.

use menshen_core::{Command, Event, RecordKind, Refusal, State, Wanted};
use menshen_plan::signal::Signal;

use crate::rig::Rig;

#[test]
fn stop_and_restart_act_at_once_while_waiting_or_backing_off() {
    let mut rig = Rig::one("restart.delay = \"1h\"\nrestart.max = \"1h\"\nbreaker.failures = 0");
    rig.exit("web", 1);
    assert_eq!(rig.state("web"), State::Backoff);
    rig.command("web", Command::Restart).unwrap();
    assert_eq!(rig.state("web"), State::Running);
    rig.exit("web", 1);
    rig.command("web", Command::Stop).unwrap();
    assert_eq!(rig.state("web"), State::Stopped);
}

#[test]
fn restart_while_waiting_for_a_dependency_neither_wedges_nor_spawns_twice() {
    let mut rig = Rig::new(
        "[service.db]\ncommand = \"db\"\nprobe.readiness.tcp = \":1\"\n[service.web]\ncommand = \"web\"\ndepends_on = { db = \"ready\" }\n",
    );
    assert_eq!(rig.state("web"), State::Waiting);
    rig.command("web", Command::Restart).unwrap();
    assert_eq!(rig.state("web"), State::Waiting);
    assert_eq!(rig.starts("web"), 0);
    rig.wait_ms(10);
    rig.answer("db", menshen_plan::definition::ProbeKind::Readiness, Ok(()));
    assert_eq!(rig.state("web"), State::Running);
    assert_eq!(rig.starts("web"), 1);
}

#[test]
fn an_operators_stop_stays_a_stop() {
    let mut rig = Rig::one("");
    rig.command("web", Command::Stop).unwrap();
    rig.exit("web", 0);
    rig.wait_s(1_000_000);
    assert_eq!(rig.state("web"), State::Stopped);
    assert_eq!(rig.status("web").wanted, Wanted::Down);
}

#[test]
fn every_command_is_in_the_journal_with_who_asked() {
    let mut rig = Rig::one("");
    rig.command("web", Command::Stop).unwrap();
    rig.command("web", Command::Continue).unwrap_err();
    let commands: Vec<_> =
        rig.records().into_iter().filter(|record| matches!(record.kind, RecordKind::Command { .. })).collect();
    assert_eq!(commands.len(), 2);
    assert!(commands.iter().all(|record| record.by.as_deref() == Some("alice")));
    assert_eq!(commands[1].kind, RecordKind::Command { command: Command::Continue, refusal: Some(Refusal::NotPaused) });
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let mut rig = Rig::new(
        "[service.web]\ncommand = \"web\"\nstart = \"manual\"\n[service.off]\ncommand = \"off\"\nstart = \"disabled\"\n",
    );
    assert_eq!(rig.command("off", Command::Start), Err(Refusal::Disabled));
    assert_eq!(rig.command("web", Command::Pause), Err(Refusal::NotRunning));
    assert_eq!(rig.command("web", Command::Signal(Signal::Hup)), Err(Refusal::NotRunning));
    assert_eq!(rig.command("web", Command::Reload), Err(Refusal::NoReloadSignal));
    assert_eq!(rig.command("web", Command::Stop), Ok(()));
    rig.command("web", Command::Start).unwrap();
    rig.command("web", Command::Signal(Signal::Hup)).unwrap();
    assert_eq!(rig.signals("web").last().unwrap().1, Signal::Hup);
}

#[test]
fn manual_and_disabled_services_do_not_start_by_themselves() {
    let mut rig = Rig::new(
        "[service.a]\ncommand = \"a\"\nstart = \"manual\"\n[service.b]\ncommand = \"b\"\nstart = \"disabled\"\n",
    );
    rig.wait_s(1000);
    assert_eq!((rig.state("a"), rig.state("b")), (State::Stopped, State::Stopped));
    rig.command("a", Command::Start).unwrap();
    assert_eq!(rig.state("a"), State::Running);
}

#[test]
fn start_brings_back_what_failed_and_reset_forgets_why() {
    let mut rig = Rig::one("restart.policy = \"never\"");
    rig.exit("web", 1);
    assert_eq!(rig.state("web"), State::Failed);
    rig.command("web", Command::Start).unwrap();
    assert_eq!(rig.state("web"), State::Running);
    rig.exit("web", 1);
    rig.command("web", Command::Reset).unwrap();
    assert_eq!(rig.state("web"), State::Running, "it is still wanted");
    rig.exit("web", 1);
    rig.command("web", Command::Stop).unwrap();
    assert_eq!(rig.state("web"), State::Stopped);
}

#[test]
fn reset_forgets_the_restarts_and_starts_what_backs_off() {
    let mut rig = Rig::one("restart = { delay = \"1h\", max = \"1h\" }");
    rig.exit("web", 1);
    rig.command("web", Command::Reset).unwrap();
    assert_eq!((rig.state("web"), rig.status("web").restarts), (State::Running, 0));
}

#[test]
fn a_signal_goes_to_the_main_process_alone() {
    let mut rig = Rig::one("reload.signal = \"SIGHUP\"");
    rig.command("web", Command::Reload).unwrap();
    assert_eq!(rig.signals("web"), [(menshen_core::SignalTarget::Main, Signal::Hup)]);
}

#[test]
fn a_command_for_a_service_that_is_not_there_is_answered() {
    let mut rig = Rig::one("");
    rig.send(Event::Command {
        service: menshen_core::ServiceId(99),
        command: Command::Start,
        by: "alice".to_owned(),
        ticket: Some(menshen_core::Ticket(5)),
    });
    let reply = menshen_core::Reply { ticket: menshen_core::Ticket(5), result: Err(Refusal::NoSuchService) };
    assert!(rig.effects.contains(&menshen_core::Effect::Reply(reply)));
}

#[test]
fn a_stop_that_is_taken_back_before_it_began_leaves_no_reason_behind() {
    let mut rig = Rig::new(
        "[service.db]\ncommand = \"db\"\n[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n",
    );
    rig.command("web", Command::Stop).unwrap();
    rig.command("db", Command::Stop).unwrap();
    assert_eq!(rig.reason("db"), "stopped by alice");
    rig.command("db", Command::Start).unwrap();
    rig.exit("web", 0);
    assert_eq!((rig.state("db"), rig.reason("db").as_str()), (State::Running, "started by alice"));
}
