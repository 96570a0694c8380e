//! What survives a change of guards.

use std::sync::Arc;
use std::time::Duration;

use menshen_core::{
    BreakerState, Command, Core, Effect, Event, Exit, Found, Instant, Memory, Notification, RecordKind, Role, RunId,
    State, Tree, Wanted,
};
use menshen_plan::definition::ProbeKind;

use crate::rig::{Rig, plan};

/// The next guard: another core for the same definition, with what the last one remembered.
pub(crate) fn successor(rig: &Rig, definition: &str) -> Rig {
    let mut next = Rig::idle(definition);
    (next.now, next.next_pid) = (rig.now, rig.next_pid);
    for id in rig.core.services() {
        let json = serde_json::to_string(&rig.core.memory(id).unwrap()).unwrap();
        let memory: Memory = serde_json::from_str(&json).unwrap();
        let id = next.core.id(memory.service().as_str()).unwrap();
        next.core.resume(id, memory).unwrap();
    }
    next.send(Event::Begin);
    next
}

const WEB: &str = "[service.web]\ncommand = \"web\"\nrestart = { delay = \"10s\", jitter = 0.0 }\n";

/// What a service is like, and what happens to it until its guard dies.
type Life = (&'static str, fn(&mut Rig));

/// Among them they have something of all that is remembered.
const LIVES: [Life; 17] = [
    ("type = \"notify\"\nstart_timeout = \"10s\"", |_| {}),
    ("depends_on = { db = \"ready\" }\n[service.db]\ncommand = \"db\"\ntype = \"notify\"", |_| {}),
    ("type = \"notify\"\nprobe = { startup.notify = true, liveness.notify = true }", says_all_it_can),
    ("probe.readiness.log = \"up\"", |rig| {
        rig.send(Event::LogMatched { run: rig.run("web"), probe: ProbeKind::Readiness });
    }),
    (FRAIL, |rig| rig.exit("web", 1)),
    (FRAIL, |rig| dies(rig, 1)),
    (FRAIL, |rig| rig.exit_with("web", Exit::Code(1), Tree::Alive)),
    ("restart.on_exit = { 3 = \"stop\" }", |rig| rig.exit("web", 3)),
    ("restart.policy = \"never\"", |rig| rig.exit("web", 1)),
    ("stop.timeout = \"10s\"", is_killed),
    ("stop.command = [\"web\", \"quit\"]", |rig| rig.command("web", Command::Stop).unwrap()),
    ("type = \"oneshot\"\nstart_timeout = \"10s\"", |rig| rig.command("web", Command::Pause).unwrap()),
    (FUSED, |rig| {
        dies(rig, 2);
        let run = rig.run_of("web", Role::Fallback);
        rig.send(Event::Exited { run, exit: Exit::Code(1), oom: false, tree: Tree::Empty });
    }),
    (FUSED, |rig| dies(rig, 2)),
    (FUSED, |rig| {
        dies(rig, 2);
        rig.wait_s(60);
    }),
    (FUSED, |rig| {
        dies(rig, 2);
        rig.command("web", Command::Stop).unwrap();
    }),
    (FUSED, |rig| {
        dies(rig, 2);
        is_killed(rig);
    }),
];
const FRAIL: &str = "restart = { delay = \"10s\", factor = 1.0, jitter = 0.0 }";
const FUSED: &str = "restart = { delay = \"10s\", factor = 1.0, jitter = 0.0 }\n\
    breaker = { failures = 2, within = \"1h\", open_for = \"1m\", close_after = \"1h\", fallback = [\"page\"] }";

fn says_all_it_can(rig: &mut Rig) {
    let run = rig.run("web");
    let period = Notification::WatchdogPeriod(Duration::from_secs(77));
    let all = [Notification::Ready, Notification::Watchdog, period, Notification::Status("busy".to_owned())];
    all.into_iter().for_each(|notification| rig.send(Event::Notified { run, notification }));
}

fn dies(rig: &mut Rig, times: u32) {
    for _ in 0..times {
        rig.exit("web", 1);
        rig.wait_s(10);
    }
}

fn is_killed(rig: &mut Rig) {
    rig.command("web", Command::Stop).unwrap();
    rig.wait_s(10);
}

#[test]
fn the_next_guard_goes_on_as_the_last_one_would_have() {
    for (life, happens) in LIVES {
        let definition = format!("[service.web]\ncommand = \"web\"\n{life}\n");
        let mut rig = Rig::new(&definition);
        happens(&mut rig);
        let mut next = successor(&rig, &definition);
        for wait_s in [0, 10, 3600, 24 * 3600] {
            let [last, next] = [&mut rig, &mut next].map(|rig| {
                rig.wait_s(wait_s);
                rig.core.memory(rig.id("web"))
            });
            assert_eq!(next, last, "{life}: {wait_s} s later");
        }
    }
}

#[test]
fn a_running_service_runs_on_and_nothing_is_spawned() {
    let rig = Rig::new(WEB);
    let next = successor(&rig, WEB);
    assert_eq!((next.state("web"), next.starts("web")), (State::Running, 0));
    assert_eq!(next.status("web").pid, rig.status("web").pid);
}

#[test]
fn a_back_off_goes_on_where_it_was() {
    let mut rig = Rig::new(WEB);
    rig.exit("web", 1);
    let mut next = successor(&rig, WEB);
    assert_eq!((next.state("web"), next.status("web").restarts), (State::Backoff, 1));
    next.wait_s(9);
    assert_eq!(next.state("web"), State::Backoff);
    next.wait_s(1);
    assert_eq!(next.state("web"), State::Running);
}

#[test]
fn a_stop_under_way_goes_on() {
    let mut rig = Rig::new(WEB);
    rig.command("web", Command::Stop).unwrap();
    let mut next = successor(&rig, WEB);
    assert_eq!(next.state("web"), State::Stopping);
    next.wait_s(10);
    assert_eq!(next.signals("web").len(), 1, "killed at the first guard's deadline");
}

#[test]
fn what_the_last_guards_end_stopped_starts_with_the_next_guard() {
    let after_stop = |rig: &Rig, to: State| {
        let records = rig.records().into_iter().filter_map(|record| match record.kind {
            RecordKind::Transition { from: State::Stopping, to: reached, .. } if reached == to => Some(record.reason),
            _ => None,
        });
        records.collect::<Vec<_>>()
    };
    let ends = |rig: &mut Rig, run| rig.send(Event::Exited { run, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    for hurry in [false, true] {
        let mut rig = Rig::new(WEB);
        rig.send(Event::Shutdown { reason: "asked by root".to_owned(), hurry });
        let why = "the guard is shutting down: asked by root";
        let mut next = successor(&rig, WEB);
        assert_eq!((next.state("web"), next.reason("web").as_str()), (State::Stopping, why));
        ends(&mut next, rig.run("web"));
        assert_eq!((next.state("web"), next.starts("web")), (State::Running, 1));
        assert_eq!(after_stop(&next, State::Starting), ["started with the guard"]);
        rig.exit("web", 0);
        assert_eq!(after_stop(&rig, State::Stopped), [why]);
    }
    // A restart goes on as what it is.
    let mut rig = Rig::new(WEB);
    rig.command("web", Command::Restart).unwrap();
    let mut next = successor(&rig, WEB);
    ends(&mut next, rig.run("web"));
    assert_eq!(after_stop(&next, State::Starting), [rig.reason("web")]);
}

#[test]
fn an_operators_stop_is_known_in_the_next_boot() {
    let mut rig = Rig::idle(WEB);
    let id = rig.id("web");
    rig.core.resume_wanted(id, Wanted::Down);
    rig.send(Event::Begin);
    rig.wait_s(1000);
    assert_eq!((rig.state("web"), rig.starts("web")), (State::Stopped, 0));
}

#[test]
fn a_oneshot_that_completed_is_not_run_again() {
    let definition = "[service.job]\ncommand = \"job\"\ntype = \"oneshot\"\n[service.web]\ncommand = \"web\"\ndepends_on = { job = \"completed\" }\n";
    let mut rig = Rig::new(definition);
    rig.exit("job", 0);
    let next = successor(&rig, definition);
    assert_eq!((next.state("job"), next.starts("job"), next.state("web")), (State::Completed, 0, State::Running));
}

#[test]
fn a_oneshot_that_was_started_by_hand_and_is_done_waits_to_be_asked_again() {
    let job = |more: &str| format!("[service.job]\ncommand = \"job\"\ntype = \"oneshot\"\nstart = \"manual\"\n{more}");
    let rules = "restart = { policy = \"never\", on_exit = { 3 = \"stop\" } }\n";
    for (code, state) in [(0, State::Completed), (3, State::Stopped), (1, State::Failed)] {
        let mut rig = Rig::new(&job(rules));
        rig.command("job", Command::Start).unwrap();
        let asked = |rig: &Rig| rig.core.memory(rig.id("job")).unwrap().asked();
        assert_eq!(asked(&rig), Some(Wanted::Up), "its run is under way");
        rig.exit("job", code);
        assert_eq!((rig.state("job"), rig.status("job").wanted, asked(&rig)), (state, Wanted::Down, None));
        let next = successor(&rig, &job(rules));
        assert_eq!((next.state("job"), next.starts("job")), (state, 0));
        rig.command("job", Command::Start).unwrap();
        assert_eq!((rig.state("job"), rig.starts("job")), (State::Running, 2));
    }
}

#[test]
fn a_oneshot_that_is_run_by_hand_and_is_done_is_not_wanted_again_for_who_needs_it() {
    let definition = "[service.job]\ncommand = \"job\"\ntype = \"oneshot\"\nstart = \"manual\"\n[service.web]\ncommand = \"web\"\nstart = \"manual\"\ndepends_on = { job = \"completed\" }\n";
    let mut rig = Rig::new(definition);
    rig.command("web", Command::Start).unwrap();
    rig.exit("job", 0);
    assert_eq!((rig.state("job"), rig.state("web")), (State::Completed, State::Running));
    rig.command("web", Command::Start).unwrap();
    assert_eq!((rig.starts("job"), rig.core.memory(rig.id("job")).unwrap().asked()), (1, None));
}

#[test]
fn what_runs_until_it_is_stopped_stays_wanted_once_it_was_started_by_hand() {
    let mut rig = Rig::one("start = \"manual\"\nrestart.policy = \"never\"");
    rig.command("web", Command::Start).unwrap();
    assert_eq!(rig.core.memory(rig.id("web")).unwrap().asked(), Some(Wanted::Up));
    rig.shut_down();
    assert_eq!(rig.core.memory(rig.id("web")).unwrap().asked(), Some(Wanted::Up));
}

#[test]
fn a_memory_of_another_service_is_refused() {
    let rig = Rig::new(WEB);
    let json = serde_json::to_string(&rig.core.memory(rig.id("web")).unwrap()).unwrap();
    let mut core = Core::new(Instant(0), &plan(WEB), 1);
    let id = core.id("web").unwrap();
    let other: Memory = serde_json::from_str(&json.replacen("\"service\":\"web\"", "\"service\":\"db\"", 1)).unwrap();
    assert!(core.resume(id, other).is_err());
    assert_eq!(core.status(id).unwrap().state, State::Stopped);
}

#[test]
fn a_service_that_was_disabled_meanwhile_does_not_start_whatever_was_asked_earlier() {
    let mut rig = Rig::idle("[service.web]\ncommand = \"web\"\nstart = \"disabled\"\n");
    let id = rig.id("web");
    rig.core.resume_wanted(id, Wanted::Up);
    rig.send(Event::Begin);
    assert_eq!((rig.state("web"), rig.starts("web")), (State::Stopped, 0));
}

#[test]
fn more_time_that_was_asked_for_is_known_to_the_next_guard() {
    let mut rig = Rig::new(WEB);
    let run = rig.run("web");
    rig.command("web", Command::Stop).unwrap();
    rig.send(Event::Notified { run, notification: Notification::ExtendTimeout(Duration::from_secs(60)) });
    let mut next = successor(&rig, WEB);
    next.wait_s(30);
    assert_eq!(next.signals("web"), [], "it was given a minute");
}

#[test]
fn signs_of_life_are_not_worth_remembering() {
    let mut rig = Rig::one("probe.liveness = { notify = true, interval = \"10s\" }");
    let run = rig.run("web");
    rig.send(Event::Notified { run, notification: Notification::Watchdog });
    rig.new_effects();
    let before = rig.effects.len();
    rig.wait_s(1);
    rig.send(Event::Notified { run, notification: Notification::Watchdog });
    assert_eq!(rig.effects[before..], []);
}

#[test]
fn an_exit_that_is_told_again_to_the_next_guard_changes_nothing() {
    let mut rig = Rig::new(WEB);
    let run = rig.run("web");
    rig.exit_with("web", Exit::Code(3), Tree::Alive);
    let mut next = successor(&rig, WEB);
    next.send(Event::Exited { run, exit: Exit::Unknown, oom: false, tree: Tree::Alive });
    assert_eq!(next.status("web").last_exit, Some(Exit::Code(3)));
    assert_eq!(next.signals("web"), [], "the rest was asked already");
    next.send(Event::Exited { run, exit: Exit::Unknown, oom: false, tree: Tree::Empty });
    assert_eq!((next.state("web"), next.status("web").restarts), (State::Backoff, 1));
    assert_eq!(next.status("web").last_exit, Some(Exit::Code(3)));
}

#[test]
fn a_stop_that_is_let_go_and_a_lost_dependency_are_one_stop() {
    let web = "[service.db]\ncommand = \"db\"\nstart = \"manual\"\n[service.web]\ncommand = \"web\"\n";
    let mut rig = Rig::new(&format!("{web}[service.top]\ncommand = \"top\"\ndepends_on = {{ web = \"started\" }}\n"));
    rig.command("top", Command::Stop).unwrap();
    rig.command("web", Command::Stop).unwrap();
    assert_eq!(rig.state("web"), State::Running, "it waits for top's end");
    let edited = format!("{web}depends_on = {{ db = {{ condition = \"started\", on_loss = \"restart\" }} }}\n");
    let mut next = Rig::idle(&edited);
    let memory = rig.core.memory(rig.id("web")).unwrap();
    next.core.resume(next.id("web"), memory).unwrap();
    next.send(Event::Begin);
    assert_eq!((next.state("web"), next.signals("web").len()), (State::Stopping, 1));
    let run = RunId { service: next.id("web"), ..rig.run("web") };
    next.send(Event::Exited { run, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    assert_eq!(next.state("web"), State::Stopped);
}

#[test]
fn what_was_asked_in_an_earlier_boot_is_remembered_in_this_one() {
    let mut rig = Rig::idle(WEB);
    let id = rig.id("web");
    rig.core.resume_wanted(id, Wanted::Down);
    rig.send(Event::Begin);
    assert!(rig.effects.contains(&Effect::Remember { service: id }));
    let mut next = successor(&rig, WEB);
    next.wait_s(10);
    assert_eq!((next.state("web"), next.status("web").wanted), (State::Stopped, Wanted::Down));
}

#[test]
fn a_delayed_service_waits_on_under_the_next_guard() {
    let definition = "[service.slow]\ncommand = \"slow\"\nprobe.readiness.tcp = \":1\"\n[service.late]\ncommand = \"late\"\nstart = \"delayed\"\n";
    let rig = Rig::new(definition);
    let mut next = successor(&rig, definition);
    assert_eq!(next.state("late"), State::Waiting);
    next.answer("slow", ProbeKind::Readiness, Ok(()));
    assert_eq!(next.state("late"), State::Running);
    let next = successor(&next, definition);
    assert_eq!((next.state("late"), next.starts("late")), (State::Running, 0));
}

#[test]
fn a_guard_that_dies_while_it_shuts_down_leaves_what_it_had_not_stopped_to_the_next() {
    let definition =
        "[service.db]\ncommand = \"db\"\n[service.web]\ncommand = \"web\"\ndepends_on = { db = \"started\" }\n";
    let mut rig = Rig::new(definition);
    rig.shut_down();
    assert_eq!((rig.state("web"), rig.state("db")), (State::Stopping, State::Running), "db waits for web's end");
    let mut next = successor(&rig, definition);
    let run = RunId { service: next.id("web"), ..rig.run("web") };
    next.send(Event::Exited { run, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    assert_eq!((next.state("web"), next.starts("web")), (State::Running, 1));
    assert_eq!((next.state("db"), next.starts("db"), next.signals("db").len()), (State::Running, 0, 0));
}

#[test]
fn a_start_type_that_changed_while_no_guard_was_there_holds_for_what_nobody_asked_for() {
    let with =
        |start: &str| format!("[service.web]\ncommand = \"web\"\nstart = \"{start}\"\nrestart.policy = \"never\"\n");
    let mut rig = Rig::new(&with("manual"));
    rig.command("web", Command::Reset).unwrap();
    let next = successor(&rig, &with("auto"));
    assert_eq!((next.state("web"), next.status("web").wanted), (State::Running, Wanted::Up));
    rig.command("web", Command::Stop).unwrap();
    let next = successor(&rig, &with("auto"));
    assert_eq!((next.state("web"), next.status("web").wanted), (State::Stopped, Wanted::Down));
}

#[test]
fn what_a_changed_definition_no_longer_asks_for_is_not_waited_for() {
    let mut rig = Rig::new(&format!("{WEB}probe.startup.tcp = \":1\"\n"));
    rig.wait_ms(1);
    assert_eq!(rig.state("web"), State::Starting);
    assert_eq!(successor(&rig, WEB).state("web"), State::Running);
}

#[test]
fn what_left_the_definition_while_no_guard_was_there_is_ended_and_forgotten() {
    let mut rig = Rig::new(&format!("{WEB}[service.old]\ncommand = \"old\"\n"));
    let memory = rig.core.memory(rig.id("old")).unwrap();
    let mut next = Rig::idle(WEB);
    let old = Arc::clone(&plan("[service.old]\ncommand = \"?\"\n").services["old"]);
    let id = next.core.resume_gone(&old, memory).unwrap();
    next.send(Event::Begin);
    assert_eq!((next.state("old"), next.signals("old").len()), (State::Stopping, 1));
    assert_eq!(next.command("old", Command::Start), Err(menshen_core::Refusal::NoSuchService));
    let run = RunId { service: id, ..rig.run("old") };
    next.send(Event::Exited { run, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    assert!(next.effects.contains(&Effect::Removed { service: id }));
    rig.shut_down();
}

#[test]
fn what_left_the_definition_and_came_back_is_never_there_twice() {
    let rig = Rig::new(WEB);
    let memory = rig.core.memory(rig.id("web")).unwrap();
    let mut next = Rig::idle("[service.other]\ncommand = \"other\"\n");
    next.core.resume_gone(&plan(WEB).services["web"], memory).unwrap();
    next.send(Event::Begin);
    next.send(Event::Reload { plan: plan(WEB), by: "alice".to_owned() });
    assert_eq!((next.state("web"), next.starts("web")), (State::Stopping, 0));
    let run = RunId { service: next.id("web"), ..rig.run("web") };
    next.send(Event::Exited { run, exit: Exit::Code(0), oom: false, tree: Tree::Empty });
    assert_eq!((next.state("web"), next.starts("web")), (State::Running, 1));
}

/// A process, and nothing more is known.
const FOUND: Found = Found { pid: Some(77), run: None, before: 0 };

/// The guard after this one, which finds a program.
fn next_that_finds(rig: &Rig, found: Found) -> Rig {
    next_of(WEB, rig, found)
}

/// The same, with the definition both follow.
fn next_of(definition: &str, rig: &Rig, found: Found) -> Rig {
    let mut next = Rig::idle(definition);
    let (id, memory) = (next.id("web"), rig.core.memory(rig.id("web")).unwrap());
    next.core.resume(id, memory).unwrap();
    next.core.resume_found(id, found);
    next.send(Event::Begin);
    next
}

#[test]
fn a_program_that_was_found_running_is_the_services_run_and_is_not_started_again() {
    // Nothing was written of it yet: as after a guard that died right after its first start.
    let mut next = Rig::idle(WEB);
    let id = next.id("web");
    next.core.resume_found(id, FOUND);
    next.send(Event::Begin);
    assert_eq!((next.state("web"), next.starts("web")), (State::Running, 0));
    assert_eq!((next.status("web").pid, next.status("web").restarts), (Some(77), 0));
}

#[test]
fn another_program_than_the_one_that_was_noted_is_the_next_run_and_the_death_between_counts() {
    let next = next_that_finds(&Rig::new(WEB), FOUND);
    assert_eq!((next.state("web"), next.starts("web")), (State::Running, 0));
    assert_eq!((next.status("web").pid, next.status("web").restarts_total), (Some(77), 1));
    // The same process as was noted is no other.
    let after = next_that_finds(&next, FOUND);
    assert_eq!((after.state("web"), after.status("web").restarts_total), (State::Running, 1));
}

#[test]
fn runs_that_nobody_noted_are_counted_and_the_next_has_a_number_of_its_own() {
    let rig = Rig::new(WEB);
    let first = rig.run("web").number;
    let mut next = next_that_finds(&rig, Found { run: Some(first + 3), before: 2, ..FOUND });
    let (id, run) = (next.id("web"), next.core.main_run(next.id("web")).unwrap());
    assert_eq!((run.number, next.status("web").restarts_total), (first + 3, 3));
    next.send(Event::Exited { run, exit: Exit::Code(1), oom: false, tree: Tree::Empty });
    assert_eq!(next.status("web").restarts_total, 4);
    next.wait_s(60);
    assert_eq!(next.core.main_run(id).unwrap().number, first + 4);
}

#[test]
fn deaths_that_nobody_noted_are_forgotten_like_others() {
    let mut next = next_that_finds(&Rig::new(WEB), FOUND);
    assert_eq!(next.status("web").restarts, 1);
    next.wait_s(24 * 3600);
    assert_eq!((next.state("web"), next.status("web").restarts), (State::Running, 0));
}

#[test]
fn the_breaker_knows_of_deaths_that_nobody_noted() {
    const FUSED: &str =
        "breaker = { failures = 3, within = \"1h\", open_for = \"10s\", max_open = \"1h\", close_after = \"1m\" }\n";
    let definition = format!("{WEB}{FUSED}");
    let rig = Rig::new(&definition);
    let first = rig.run("web").number;
    let after = |before: u32| {
        let found = Found { run: Some(first + u64::from(before) + 1), before, ..FOUND };
        let mut next = next_of(&definition, &rig, found);
        let run = next.core.main_run(next.id("web")).unwrap();
        next.send(Event::Exited { run, exit: Exit::Code(1), oom: false, tree: Tree::Empty });
        let status = next.status("web");
        (status.state, status.reason)
    };
    assert_eq!(after(0), (State::Backoff, "exit 1; restart 2 in 20s".to_owned()));
    assert_eq!(after(1).0, State::Tripped, "the third death");
    assert!(after(1).1.ends_with("3 failures within 1h, trial in 10s"), "{:?}", after(1));
    assert!(after(2).1.ends_with("the trial failed, trial in 20s"), "what is found is a trial: {:?}", after(2));
    assert!(after(4).1.ends_with("the trial failed, trial in 1m20s"), "each trial counts: {:?}", after(4));
}

#[test]
fn a_trial_that_nobody_noted_closes_the_breaker_when_it_holds() {
    const FUSED: &str = "breaker = { failures = 2, within = \"1h\", open_for = \"10s\", close_after = \"1m\" }\n";
    let definition = format!("{WEB}{FUSED}");
    let rig = Rig::new(&definition);
    let first = rig.run("web").number;
    let mut next = next_of(&definition, &rig, Found { run: Some(first + 2), before: 1, ..FOUND });
    assert_eq!((next.state("web"), next.status("web").breaker.state), (State::Running, BreakerState::HalfOpen));
    next.wait_s(61);
    assert_eq!(next.status("web").breaker.state, BreakerState::Closed);
}

#[test]
fn a_run_that_was_noted_before_its_process_was_known_is_no_other() {
    let mut rig = Rig::idle(WEB);
    rig.spawns_succeed = false;
    rig.send(Event::Begin);
    let number = rig.run("web").number;
    let next = next_that_finds(&rig, Found { run: Some(number), ..FOUND });
    assert_eq!(next.core.main_run(next.id("web")).unwrap().number, number);
    assert_eq!((next.status("web").pid, next.status("web").restarts_total), (Some(77), 0));
}

#[test]
fn a_start_the_last_guard_did_not_live_to_note_is_not_taken_back() {
    let mut rig = Rig::new(WEB);
    rig.command("web", Command::Stop).unwrap();
    rig.exit("web", 0);
    let next = next_that_finds(&rig, FOUND);
    assert_eq!((next.state("web"), next.starts("web")), (State::Running, 0));
}

#[test]
fn what_was_started_after_a_stop_that_was_not_noted_as_over_is_not_stopped() {
    let mut rig = Rig::new(WEB);
    rig.command("web", Command::Restart).unwrap();
    assert_eq!(rig.state("web"), State::Stopping);
    let next = next_that_finds(&rig, FOUND);
    assert_eq!((next.state("web"), next.starts("web"), next.signals("web").len()), (State::Running, 0, 0));
    assert_eq!(next.status("web").restarts_total, 0, "it did not die");
}
