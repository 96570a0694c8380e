//! A changed definition is followed, at the cost that was told.

use std::time::{Duration, Instant};

use menshen_tests::{Bed, State, Trees};

const BEFORE: &str = r#"
[service.same]
command = "sleep 1000"
[service.web]
command = ["sh", "-c", "echo $GREETING > greeting; exec sleep 1000"]
environment = { GREETING = "hello" }
[service.old]
command = "sleep 1000"
"#;
const AFTER: &str = r#"
[service.same]
command = "sleep 1000"
restart.delay = "3s"
[service.web]
command = ["sh", "-c", "echo $GREETING > greeting; exec sleep 1000"]
environment = { GREETING = "good morning" }
[service.new]
command = "sleep 1000"
"#;

#[test]
fn a_reload_touches_only_what_changed_and_says_what_each_change_costs() {
    let bed = Bed::new(Trees::Walk, BEFORE).up();
    for name in ["same", "web", "old"] {
        bed.await_ready(name);
    }
    assert_eq!(bed.await_file("greeting"), "hello\n");
    let (same, web, old) = (bed.main_process("same"), bed.main_process("web"), bed.main_process("old"));
    bed.write("menshen.toml", AFTER);
    let dry = bed.menshen(["reload", "--dry-run"]).ended_with(0).text();
    for (name, cost) in
        [("restart.delay", "live"), ("environment.GREETING", "restart"), ("new", "new"), ("old", "gone")]
    {
        assert!(dry.lines().any(|line| line.contains(name) && line.contains(cost)), "{name} {cost} is not in\n{dry}");
    }
    assert!(web.lives() && old.lives(), "a dry run changes nothing");
    bed.menshen(["reload"]).done();
    bed.await_ready("new");
    menshen_tests::wait::until("web has the new environment", || bed.await_file("greeting") == "good morning\n");
    menshen_tests::wait::until("old is gone", || !old.lives());
    assert!(same.lives(), "a live change restarts nothing");
    assert!(!web.lives());
    bed.menshen(["status", "old"]).ended_with(4);
}

#[test]
fn who_waits_for_a_reload_waits_for_all_that_is_started_for_it() {
    let slow = |edition: u32, after: &str| {
        format!(
            "[service.slow]\ncommand = [\"sh\", \"-c\", \"rm -f up; sleep 0.5; touch up; exec sleep 100{edition}\"]\n\
             probe.readiness = {{ exec = [\"test\", \"-e\", \"up\"], interval = \"50ms\" }}\n{after}"
        )
    };
    let bed = Bed::new(Trees::Walk, &slow(1, "")).up();
    bed.await_ready("slow");
    let before = bed.main_process("slow");
    bed.write("menshen.toml", slow(2, "[service.byhand]\ncommand = \"sleep 1000\"\nstart = \"manual\"\n"));
    let said = bed.menshen(["reload", "--wait"]).ended_with(0).text();
    assert!(said.contains("slow: running") && said.contains("byhand: stopped"), "{said}");
    // What is wanted only now is started, too.
    bed.write("menshen.toml", slow(2, "[service.byhand]\ncommand = \"sleep 1000\"\n"));
    assert!(bed.menshen(["reload", "--wait"]).ended_with(0).text().contains("byhand: running"));
    let slow_now = bed.service("slow").service;
    assert!(slow_now.ready && slow_now.pid != Some(before.pid), "{slow_now:?}");
    bed.write("menshen.toml", "[service.slow]\ncommand = \"sleep 1000\"\nprobe.readiness.exec = [\"false\"]\n");
    let late = bed.menshen(["reload", "--wait", "--timeout", "300ms"]).ended_with(7);
    assert!(late.stderr.contains("slow is "), "{}", late.stderr);
    // What cannot come there is told at once.
    bed.write("menshen.toml", "[service.slow]\ncommand = \"false\"\nrestart.policy = \"never\"\n");
    let failed = bed.menshen(["reload", "--wait", "--timeout", "100s"]).ended_with(7);
    assert!(failed.stderr.contains("slow is failed"), "{}", failed.stderr);
}

#[test]
fn who_waits_for_a_reload_waits_for_those_who_need_what_changes_too() {
    let definition = |edition: u32| {
        format!(
            "[service.database]\ncommand = \"sleep 100{edition}\"\n\
             [service.web]\ncommand = [\"sh\", \"-c\", \"rm -f up; sleep 0.5; touch up; exec sleep 1000\"]\n\
             probe.readiness = {{ exec = [\"test\", \"-e\", \"up\"], interval = \"50ms\" }}\n\
             depends_on.database.on_loss = \"restart\"\n"
        )
    };
    let bed = Bed::new(Trees::Walk, &definition(1)).up();
    bed.await_ready("web");
    let before = bed.main_process("web");
    bed.write("menshen.toml", definition(2));
    let said = bed.menshen(["reload", "--wait"]).ended_with(0).text();
    let web = bed.service("web").service;
    assert!(web.ready && web.pid != Some(before.pid), "{web:?}");
    // It is waited for, and nothing of it has changed.
    assert!(said.contains("database: running") && !said.contains("web"), "{said}");
}

#[test]
fn what_waits_for_a_service_that_failed_before_a_reload_is_not_waited_for() {
    let definition = |edition: u32| {
        format!(
            "[service.schema]\ncommand = \"false\"\ntype = \"oneshot\"\nrestart.policy = \"never\"\n\
             [service.database]\ncommand = \"sleep 1000\"\ndepends_on = [\"schema\"]\n\
             [service.web]\ncommand = \"sleep 100{edition}\"\ndepends_on = [\"database\"]\n"
        )
    };
    let bed = Bed::new(Trees::Walk, &definition(1)).up();
    bed.await_state("schema", State::Failed);
    bed.await_state("web", State::Waiting);
    bed.write("menshen.toml", definition(2));
    let begun = Instant::now();
    let late = bed.menshen(["reload", "--wait", "--timeout", "10m"]).ended_with(7);
    assert!(late.stderr.contains("web is waiting"), "{}", late.stderr);
    assert!(begun.elapsed() < Duration::from_secs(60), "as long as it may take: {:?}", begun.elapsed());
}

#[test]
fn a_completed_oneshot_is_not_said_to_be_restarted() {
    let job = |edition: u32| {
        format!("[service.job]\ncommand = [\"sh\", \"-c\", \"echo {edition} >> runs\"]\ntype = \"oneshot\"\n")
    };
    let bed = Bed::new(Trees::Walk, &job(1)).up();
    bed.await_state("job", State::Completed);
    bed.write("menshen.toml", job(2));
    let before = bed.mark();
    for arguments in [&["reload", "--dry-run"][..], &["reload"]] {
        let said = bed.menshen(arguments).ended_with(0).text();
        assert!(said.contains("job  next start") && !said.contains("restart"), "{said}");
    }
    let reloaded = bed.await_event(before, "the reload", |event| event.kind == "reloaded");
    assert_eq!(reloaded.reason, "job changed for its next start");
    assert_eq!(bed.service("job").service.state, State::Completed);
    assert_eq!(bed.await_file("runs"), "1\n");
}

#[test]
fn an_invalid_definition_changes_nothing_and_is_shown_at_its_place() {
    let bed = Bed::new(Trees::Walk, BEFORE).up();
    bed.await_ready("web");
    let web = bed.main_process("web");
    bed.write("menshen.toml", format!("{BEFORE}\n[service.bad]\ncomand = \"sleep 1\"\n"));
    let ran = bed.menshen(["reload"]).ended_with(3);
    assert!(ran.stderr.contains("comand") && ran.stderr.contains("command"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the guard goes on with the definition it has"), "{}", ran.stderr);
    assert!(web.lives());
    assert_eq!(bed.service("web").service.state, State::Running);
    bed.menshen(["status", "bad"]).ended_with(4);
}

#[test]
fn sighup_reloads_as_the_command_does() {
    let bed = Bed::new(Trees::Walk, BEFORE).up();
    bed.await_ready("web");
    bed.write("menshen.toml", AFTER);
    bed.guard().signal(menshen_tests::Signal::HUP);
    menshen_tests::wait::until("new is known", || bed.menshen(["status", "new", "--json"]).code != 4);
    bed.await_ready("new");
}
