//! What services wait for.

use menshen_core::{Command, Event, Exit, Role, State, Tree, Wanted};
use menshen_plan::definition::ProbeKind;

use crate::rig::{Rig, plan};

const CHAIN: &str = r#"
[service.db]
command = "db"
probe.readiness = { tcp = ":1", failure = 1, interval = "1s" }
[service.migrate]
command = "migrate"
type = "oneshot"
depends_on = { db = "ready" }
[service.web]
command = "web"
depends_on = { db = "ready", migrate = "completed" }
"#;

#[test]
fn nothing_starts_before_its_dependencies_hold() {
    let mut rig = Rig::new(CHAIN);
    assert_eq!(
        (rig.state("db"), rig.state("migrate"), rig.state("web")),
        (State::Running, State::Waiting, State::Waiting)
    );
    assert_eq!(rig.reason("migrate"), "waiting for db to be ready (it is running)");
    rig.wait_ms(10);
    rig.answer("db", ProbeKind::Readiness, Ok(()));
    assert_eq!((rig.state("migrate"), rig.state("web")), (State::Running, State::Waiting));
    rig.exit("migrate", 0);
    assert_eq!((rig.state("migrate"), rig.state("web")), (State::Completed, State::Running));
}

#[test]
fn dependants_keep_running_when_a_dependency_is_lost() {
    let mut rig = Rig::new(CHAIN);
    rig.wait_ms(10);
    rig.answer("db", ProbeKind::Readiness, Ok(()));
    rig.exit("migrate", 0);
    rig.exit("db", 1);
    assert_eq!(rig.state("web"), State::Running);
}

fn with_on_loss(on_loss: &str) -> Rig {
    Rig::new(&format!(
        "[service.db]\ncommand = \"db\"\nrestart.delay = \"5s\"\n[service.web]\ncommand = \"web\"\ndepends_on = {{ db = {{ condition = \"started\", on_loss = \"{on_loss}\" }} }}\n"
    ))
}

#[test]
fn on_loss_stop_stops_and_stays_stopped() {
    let mut rig = with_on_loss("stop");
    rig.exit("db", 1);
    assert_eq!(rig.state("web"), State::Stopping);
    rig.exit("web", 0);
    assert_eq!(rig.state("web"), State::Stopped);
    assert_eq!(rig.reason("web"), "db is no longer started: on_loss stop");
    rig.wait_s(60);
    assert_eq!((rig.state("db"), rig.state("web")), (State::Running, State::Stopped));
}

#[test]
fn on_loss_restart_stops_and_starts_when_the_dependency_is_back() {
    let mut rig = with_on_loss("restart");
    rig.exit("db", 1);
    rig.exit("web", 0);
    assert_eq!(rig.state("web"), State::Waiting);
    rig.wait_s(6);
    assert_eq!((rig.state("db"), rig.state("web")), (State::Running, State::Running));
    assert_eq!(rig.starts("web"), 2);
    assert_eq!(rig.status("web").restarts, 0, "losing a dependency is not the service's failure");
}

#[test]
fn starting_a_service_starts_what_it_needs() {
    let mut rig = Rig::new(
        "[service.db]\ncommand = \"db\"\nstart = \"manual\"\n[service.web]\ncommand = \"web\"\nstart = \"manual\"\ndepends_on = { db = \"started\" }\n",
    );
    assert_eq!(rig.starts("db"), 0);
    rig.command("web", Command::Start).unwrap();
    assert_eq!((rig.state("db"), rig.state("web")), (State::Running, State::Running));
}

#[test]
fn a_manual_dependency_of_an_automatic_service_starts_with_it() {
    let rig = Rig::new(
        "[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n[service.db]\ncommand = \"db\"\nstart = \"manual\"\n",
    );
    assert_eq!((rig.state("db"), rig.state("web")), (State::Running, State::Running));
}

#[test]
fn a_delayed_service_waits_for_the_others_to_come_up() {
    let mut rig = Rig::new(
        "[service.slow]\ncommand = \"slow\"\nprobe.readiness.tcp = \":1\"\n[service.late]\ncommand = \"late\"\nstart = \"delayed\"\n",
    );
    assert_eq!(rig.state("late"), State::Waiting);
    rig.answer("slow", ProbeKind::Readiness, Ok(()));
    assert_eq!(rig.state("late"), State::Running);
}

#[test]
fn a_delayed_service_waits_two_minutes_at_most() {
    let mut rig = Rig::new(
        "[service.slow]\ncommand = \"slow\"\nprobe.readiness.tcp = \":1\"\n[service.late]\ncommand = \"late\"\nstart = \"delayed\"\n",
    );
    rig.wait_s(119);
    assert_eq!(rig.state("late"), State::Waiting);
    rig.wait_s(2);
    assert_eq!(rig.state("late"), State::Running);
}

#[test]
fn services_are_stopped_in_the_reverse_order_of_their_start() {
    let mut rig = Rig::new(CHAIN);
    rig.wait_ms(10);
    rig.answer("db", ProbeKind::Readiness, Ok(()));
    rig.exit("migrate", 0);
    rig.command("web", Command::Stop).unwrap();
    rig.command("db", Command::Stop).unwrap();
    assert_eq!((rig.state("web"), rig.state("db")), (State::Stopping, State::Running), "web first");
    rig.exit("web", 0);
    assert_eq!(rig.state("db"), State::Stopping);
}

#[test]
fn a_dependency_alone_is_stopped_at_once() {
    let mut rig = Rig::new(CHAIN);
    rig.wait_ms(10);
    rig.answer("db", ProbeKind::Readiness, Ok(()));
    rig.exit("migrate", 0);
    rig.command("db", Command::Stop).unwrap();
    assert_eq!((rig.state("db"), rig.state("web")), (State::Stopping, State::Running));
}

#[test]
fn independent_services_start_concurrently() {
    let rig =
        Rig::new("[service.a]\ncommand = \"a\"\ntype = \"notify\"\n[service.b]\ncommand = \"b\"\ntype = \"notify\"\n");
    assert_eq!((rig.spawns("a", Role::Main), rig.spawns("b", Role::Main)), (1, 1));
}

#[test]
fn an_explicit_start_keeps_up_what_it_needs_though_a_stop_of_that_waits() {
    let mut rig = Rig::new(
        "[service.db]\ncommand = \"db\"\n[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n",
    );
    rig.command("web", Command::Stop).unwrap();
    rig.command("db", Command::Stop).unwrap();
    assert_eq!((rig.state("web"), rig.state("db")), (State::Stopping, State::Running), "db waits for web's end");
    rig.command("web", Command::Start).unwrap();
    rig.exit("web", 0);
    assert_eq!((rig.state("web"), rig.state("db")), (State::Running, State::Running));
    assert_eq!(rig.starts("db"), 1);
}

#[test]
fn a_oneshot_about_to_complete_is_not_run_again_for_a_service_that_needs_it() {
    let mut rig = Rig::new(
        "[service.migrate]\ncommand = \"migrate\"\ntype = \"oneshot\"\n[service.web]\ncommand = \"web\"\ndepends_on = { migrate = \"completed\" }\n",
    );
    let run = rig.run("migrate");
    rig.exit_with("migrate", Exit::Code(0), Tree::Alive);
    rig.command("web", Command::Start).unwrap();
    rig.send(Event::TreeEmpty { run });
    assert_eq!((rig.state("migrate"), rig.starts("migrate"), rig.state("web")), (State::Completed, 1, State::Running));
}

#[test]
fn only_an_operators_start_reaches_a_dependency_that_is_about_to_fail() {
    let failing = || {
        let mut rig = Rig::new(
            "[service.db]\ncommand = \"db\"\nrestart.policy = \"never\"\n[service.web]\ncommand = \"web\"\nstart = \"manual\"\ndepends_on = { db = \"started\" }\n",
        );
        let run = rig.run("db");
        rig.exit_with("db", Exit::Code(1), Tree::Alive);
        (rig, run)
    };
    let (mut rig, run) = failing();
    rig.send(Event::Reload {
        plan: plan(
            "[service.db]\ncommand = \"db\"\nrestart.policy = \"never\"\n[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n",
        ),
        by: "alice".to_owned(),
    });
    rig.send(Event::TreeEmpty { run });
    assert_eq!(rig.state("db"), State::Failed);
    let (mut rig, run) = failing();
    rig.command("web", Command::Start).unwrap();
    rig.send(Event::TreeEmpty { run });
    assert_eq!((rig.state("db"), rig.state("web")), (State::Running, State::Running));
}

#[test]
fn starting_what_needs_a_failed_service_forgives_it_as_its_own_start_does() {
    let mut rig = Rig::new(
        "[service.db]\ncommand = \"db\"\nrestart.delay = \"0s\"\nbreaker = { failures = 2, give_up_after = 1 }\n[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n",
    );
    rig.exit("db", 1);
    rig.exit("db", 1);
    assert_eq!(rig.state("db"), State::Failed);
    rig.command("web", Command::Start).unwrap();
    assert_eq!((rig.state("db"), rig.status("db").breaker.trips), (State::Running, 0));
}

#[test]
fn a_delayed_service_that_is_to_stay_down_wakes_nobody() {
    let mut rig = Rig::idle("[service.late]\ncommand = \"late\"\nstart = \"delayed\"\n");
    let id = rig.id("late");
    rig.core.resume_wanted(id, Wanted::Down);
    rig.send(Event::Begin);
    assert_eq!((rig.state("late"), rig.core.poll_timeout()), (State::Stopped, None));
}

#[test]
fn an_explicit_start_thaws_what_it_needs_though_a_stop_of_that_waits() {
    let mut rig = Rig::new(
        "[service.db]\ncommand = \"db\"\n[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n",
    );
    rig.command("db", Command::Pause).unwrap();
    let run = rig.run("db");
    rig.send(Event::Frozen { run });
    rig.command("web", Command::Stop).unwrap();
    rig.command("db", Command::Stop).unwrap();
    assert_eq!(rig.state("db"), State::Paused, "it waits for web's end");
    rig.command("web", Command::Start).unwrap();
    assert_eq!((rig.state("db"), rig.status("db").wanted), (State::Continuing, Wanted::Up));
}
