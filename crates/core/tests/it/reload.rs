//! A changed definition.

use menshen_core::{
    BreakerState, Command, Effect, Event, Exit, Outcome, RecordKind, SignalTarget, State, Tree, Wanted,
};
use menshen_plan::definition::ProbeKind::Readiness;
use menshen_plan::signal::Signal;

use crate::rig::{Rig, plan};

fn reload(rig: &mut Rig, definition: &str) {
    rig.send(Event::Reload { plan: plan(definition), by: "alice".to_owned() });
}

const TWO: &str = "[service.a]\ncommand = \"a\"\n[service.b]\ncommand = \"b\"\n";

#[test]
fn what_did_not_change_is_left_alone() {
    let mut rig = Rig::new(TWO);
    reload(&mut rig, "[service.a]\ncommand = \"a\"\n[service.b]\ncommand = \"b --new\"\n");
    assert_eq!((rig.state("a"), rig.state("b")), (State::Running, State::Stopping));
    rig.exit("b", 0);
    assert_eq!((rig.starts("a"), rig.starts("b")), (1, 2));
    let new_plan =
        rig.effects.iter().rev().find_map(|effect| {
            if let Effect::Spawn { plan, .. } = effect { Some(plan.command.to_string()) } else { None }
        });
    assert_eq!(new_plan.as_deref(), Some("b --new"));
}

/// What the journal says of the last reload.
fn told(rig: &Rig) -> &str {
    let records = rig.effects.iter().rev().filter_map(|effect| match effect {
        Effect::Record(record) if record.kind == RecordKind::Reloaded => Some(record.reason.as_str()),
        _ => None,
    });
    records.into_iter().next().unwrap()
}

#[test]
fn only_what_runs_is_said_to_be_restarted() {
    let four = |edition: u32| -> String {
        let job = format!("[service.job]\ncommand = \"job {edition}\"\ntype = \"oneshot\"\n");
        let daemons = ["web", "flaky", "off"];
        job + &daemons.map(|name| format!("[service.{name}]\ncommand = \"{name} {edition}\"\n")).concat()
    };
    let mut rig = Rig::new(&four(1));
    rig.exit("job", 0);
    rig.exit("flaky", 1);
    rig.command("off", Command::Stop).unwrap();
    rig.exit("off", 0);
    let (_, foreseen) = rig.core.foresee(&plan(&four(2)));
    let outcomes = [Outcome::NextStart, Outcome::Restart, Outcome::Start, Outcome::NextStart];
    assert_eq!(["job", "web", "flaky", "off"].map(|name| foreseen[name]), outcomes);
    reload(&mut rig, &four(2));
    assert_eq!((rig.state("job"), rig.starts("job")), (State::Completed, 1));
    let expected =
        ["flaky started", "job changed for its next start", "off changed for its next start", "web restarted"];
    assert_eq!(told(&rig), expected.join(", "));
}

#[test]
fn what_is_live_restarts_nothing() {
    let mut rig = Rig::one("");
    reload(
        &mut rig,
        "[service.web]\ncommand = \"web\"\nrestart.delay = \"7s\"\ndescription = \"new\"\nlimits.memory = \"1GiB\"\n",
    );
    assert_eq!((rig.state("web"), rig.starts("web")), (State::Running, 1));
    assert!(rig.effects.iter().any(|effect| matches!(effect, Effect::Replanned { .. })));
    rig.exit("web", 1);
    assert!(rig.reason("web").contains("restart 1 in"), "{}", rig.reason("web"));
    rig.wait_s(5);
    assert_eq!(rig.state("web"), State::Backoff);
}

#[test]
fn what_is_new_starts_and_what_is_gone_stops_and_is_forgotten() {
    let mut rig = Rig::new(TWO);
    let gone = rig.id("b");
    reload(&mut rig, "[service.a]\ncommand = \"a\"\n[service.c]\ncommand = \"c\"\n");
    assert_eq!((rig.state("c"), rig.state("b")), (State::Running, State::Stopping));
    assert_eq!(rig.command("b", Command::Start), Err(menshen_core::Refusal::NoSuchService));
    rig.exit("b", 0);
    assert!(rig.core.id("b").is_none());
    assert!(rig.effects.contains(&Effect::Removed { service: gone }));
}

#[test]
fn what_comes_back_before_its_end_starts_again() {
    let mut rig = Rig::new(TWO);
    reload(&mut rig, "[service.a]\ncommand = \"a\"\n");
    reload(&mut rig, TWO);
    rig.exit("b", 0);
    assert_eq!((rig.state("b"), rig.starts("b")), (State::Running, 2));
}

#[test]
fn a_stop_uses_the_signal_of_the_plan_the_program_was_started_by() {
    let mut rig = Rig::one("stop.signal = \"SIGINT\"");
    reload(&mut rig, "[service.web]\ncommand = \"web2\"\nstop.signal = \"SIGQUIT\"\n");
    assert_eq!(rig.signals("web"), [(SignalTarget::Main, Signal::Int)]);
}

#[test]
fn a_changed_command_is_tried_at_once_by_what_backs_off() {
    let mut rig = Rig::one("restart = { delay = \"1h\", max = \"1h\" }\nbreaker.failures = 0");
    rig.exit("web", 1);
    reload(
        &mut rig,
        "[service.web]\ncommand = \"web2\"\nrestart = { delay = \"1h\", max = \"1h\" }\nbreaker.failures = 0",
    );
    assert_eq!(rig.state("web"), State::Running);
}

#[test]
fn an_operators_stop_survives_a_reload() {
    let mut rig = Rig::one("");
    rig.command("web", Command::Stop).unwrap();
    rig.exit("web", 0);
    reload(&mut rig, "[service.web]\ncommand = \"web2\"\n");
    rig.wait_s(100);
    assert_eq!(rig.state("web"), State::Stopped);
}

#[test]
fn a_service_made_automatic_starts() {
    let mut rig = Rig::one("start = \"manual\"");
    assert_eq!(rig.state("web"), State::Stopped);
    reload(&mut rig, "[service.web]\ncommand = \"web\"\n");
    assert_eq!(rig.state("web"), State::Running);
}

#[test]
fn a_new_readiness_probe_is_asked() {
    let mut rig = Rig::one("");
    reload(&mut rig, "[service.web]\ncommand = \"web\"\nprobe.readiness.tcp = \":1\"\n");
    rig.wait_ms(1);
    assert!(rig.last_round("web", Readiness).is_some());
}

#[test]
fn a_dependency_that_comes_with_a_restart_is_waited_for_and_then_started_after() {
    let mut rig =
        Rig::new("[service.db]\ncommand = \"db\"\nprobe.readiness.tcp = \":1\"\n[service.web]\ncommand = \"web\"\n");
    reload(
        &mut rig,
        "[service.db]\ncommand = \"db\"\nprobe.readiness.tcp = \":1\"\n[service.web]\ncommand = \"web2\"\ndepends_on = { db = \"ready\" }\n",
    );
    rig.exit("web", 0);
    assert_eq!(rig.state("web"), State::Waiting);
    rig.wait_ms(10);
    rig.answer("db", Readiness, Ok(()));
    assert_eq!(rig.state("web"), State::Running);
}

#[test]
fn a_new_service_starts_with_a_new_one_it_needs_wherever_that_stands() {
    let mut rig = Rig::new(TWO);
    let new = "[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n[service.db]\ncommand = \"db\"\nstart = \"manual\"\n";
    reload(&mut rig, &format!("{TWO}{new}"));
    assert_eq!((rig.state("db"), rig.state("web")), (State::Running, State::Running));
}

#[test]
fn a_stop_ends_although_the_definition_lets_children_live_meanwhile() {
    let mut rig = Rig::one("stop.timeout = \"2s\"");
    let run = rig.run("web");
    rig.exit_with("web", Exit::Code(1), Tree::Alive);
    reload(&mut rig, "[service.web]\ncommand = \"web\"\nstop = { timeout = \"2s\", tree = false }\n");
    rig.wait_s(2);
    assert_eq!(rig.signals("web").last(), Some(&(SignalTarget::Tree, Signal::Kill)));
    rig.send(Event::TreeEmpty { run });
    assert_eq!((rig.state("web"), rig.starts("web")), (State::Running, 2));
}

#[test]
fn a_probe_that_only_the_program_can_answer_now_is_not_asked_when_its_last_round_ends() {
    let mut rig = Rig::one("probe.readiness = { tcp = \":1\", interval = \"1s\" }");
    rig.cancels_end = false;
    rig.wait_ms(1);
    let round = rig.last_round("web", Readiness).unwrap();
    reload(
        &mut rig,
        "[service.web]\ncommand = \"web\"\nprobe.readiness = { log = \"listening\", interval = \"1s\" }\n",
    );
    let service = rig.id("web");
    rig.send(Event::Probed { service, probe: Readiness, round, outcome: Err("cancelled".to_owned()) });
    rig.wait_s(10);
    assert_eq!(rig.last_round("web", Readiness), Some(round));
}

#[test]
fn times_that_are_running_follow_the_definition() {
    let definition = |times: &str| {
        format!(
            "[service.web]\ncommand = \"web\"\nrestart.delay = \"0s\"\nbreaker.failures = 1\nbreaker.open_for = \"1s\"\n{times}"
        )
    };
    let mut rig = Rig::new(&definition("restart.reset_after = \"1h\"\nbreaker.close_after = \"1h\"\n"));
    rig.exit("web", 1);
    rig.wait_s(1);
    assert_eq!((rig.state("web"), rig.status("web").breaker.state), (State::Running, BreakerState::HalfOpen));
    reload(&mut rig, &definition("restart.reset_after = \"20s\"\nbreaker.close_after = \"10s\"\n"));
    rig.wait_s(10);
    assert_eq!((rig.status("web").breaker.state, rig.status("web").restarts), (BreakerState::Closed, 1));
    rig.wait_s(10);
    assert_eq!(rig.status("web").restarts, 0);
}

#[test]
fn a_program_that_is_only_being_started_gets_no_reload_signal() {
    let definition = "[service.web]\ncommand = \"web\"\nreload = { signal = \"SIGHUP\", files = [\"web.conf\"] }\n";
    let mut rig = Rig::idle(definition);
    rig.spawns_succeed = false;
    rig.send(Event::Begin);
    let mut changed = (*plan(definition)).clone();
    let web = changed.services.values_mut().next().map(std::sync::Arc::make_mut).unwrap();
    web.reload.files.values_mut().for_each(|digest| *digest = Some(7));
    rig.send(Event::Reload { plan: std::sync::Arc::new(changed), by: "alice".to_owned() });
    assert_eq!(rig.signals("web"), []);
}

#[test]
fn what_only_the_program_can_tell_from_now_on_is_taken_from_what_it_said() {
    let probe = "probe.readiness.tcp = \":1\"\n";
    let mut rig = Rig::one(&format!("type = \"notify\"\n{probe}"));
    let run = rig.run("web");
    rig.send(Event::Notified { run, notification: menshen_core::Notification::Ready });
    rig.wait_ms(1);
    rig.answer("web", Readiness, Ok(()));
    rig.send(Event::Notified { run, notification: menshen_core::Notification::Reloading });
    assert!(rig.status("web").ready, "the probe tells");
    reload(&mut rig, "[service.web]\ncommand = \"web\"\ntype = \"notify\"\n");
    assert!(!rig.status("web").ready, "it is reloading");
    rig.send(Event::Notified { run, notification: menshen_core::Notification::Ready });
    assert!(rig.status("web").ready);
}

#[test]
fn what_a_restart_no_longer_needs_stops_waiting_for_it() {
    let mut rig = Rig::new(
        "[service.db]\ncommand = \"db\"\n[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n",
    );
    reload(&mut rig, "[service.db]\ncommand = \"db\"\n[service.web]\ncommand = \"web --new\"\n");
    rig.shut_down();
    assert_eq!((rig.state("web"), rig.state("db")), (State::Stopping, State::Running));
    rig.exit("web", 0);
    assert_eq!(rig.state("db"), State::Stopping);
    rig.exit("db", 0);
    assert_eq!(rig.shutdown_code(), Some(0));
}

#[test]
fn what_was_asked_for_and_was_disabled_starts_when_it_no_longer_is() {
    let disabled = "[service.web]\ncommand = \"web\"\nstart = \"disabled\"\n";
    let mut rig = Rig::idle(disabled);
    rig.core.resume_wanted(rig.id("web"), Wanted::Up);
    rig.send(Event::Begin);
    assert_eq!(rig.state("web"), State::Stopped);
    reload(&mut rig, &disabled.replace("disabled", "manual"));
    assert_eq!((rig.state("web"), rig.starts("web")), (State::Running, 1));
}

#[test]
fn what_runs_is_left_alone_when_it_is_no_longer_disabled() {
    let with = |start: &str| {
        format!(
            "[service.web]\ncommand = \"web\"\nstart = \"{start}\"\nprobe.liveness = {{ tcp = 80, delay = \"1m\" }}\n"
        )
    };
    let mut rig = Rig::new(&with("auto"));
    reload(&mut rig, &with("disabled"));
    let before = rig.effects.len();
    reload(&mut rig, &with("auto"));
    let is_quiet =
        |effect: &Effect| matches!(effect, Effect::Record(_) | Effect::Replanned { .. } | Effect::Remember { .. });
    let told = &rig.effects[before..];
    assert!(rig.state("web") == State::Running && told.iter().all(is_quiet), "{told:?}");
}
