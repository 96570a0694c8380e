//! What was changed in the definition while no guard was there: what runs is left alone, shown as what it is, and started anew by
//! whoever says so.

use menshen_tests::command::Ran;
use menshen_tests::wait::until;
use menshen_tests::{Bed, Process, Trees, with_both_trees};

const BEFORE: &str = r#"
[service.web]
command = ["sh", "-c", "echo $GREETING >> greetings; exec sleep 1000"]
environment = { GREETING = "hello" }
[service.same]
command = "sleep 1000"
"#;

fn after() -> String {
    BEFORE.replace("hello", "good morning") + "restart.delay = \"3s\"\n"
}

/// A guard that runs, and a definition that is another one since.
fn changed(trees: Trees) -> (Bed, [Process; 2]) {
    let bed = Bed::new(trees, BEFORE).up();
    ["web", "same"].iter().for_each(|name| drop(bed.await_ready(name)));
    assert_eq!(bed.await_file("greetings"), "hello\n");
    let processes = ["web", "same"].map(|name| bed.main_process(name));
    bed.write("menshen.toml", after());
    (bed, processes)
}

/// Both run on, and of one it is said that it runs as it was defined earlier.
fn runs_on_outdated(bed: &Bed, processes: [Process; 2]) {
    for (name, process) in ["web", "same"].into_iter().zip(processes) {
        let service = bed.await_ready(name).service;
        assert_eq!((service.pid, service.outdated), (Some(process.pid), name == "web"), "{service:?}");
        assert_eq!(service.restarts_total, 0);
    }
    let table = bed.menshen(["status"]).ended_with(0).text();
    let marked: Vec<&str> = table.lines().filter(|line| line.contains("outdated")).collect();
    assert!(matches!(marked[..], [line] if line.starts_with("web") && line.contains("running, outdated")), "{table}");
    let detail = bed.menshen(["status", "web"]).ended_with(0).text();
    assert!(detail.contains("as it was defined earlier") && detail.contains("menshen reload"), "{detail}");
    assert_eq!(bed.await_file("greetings"), "hello\n");
}

/// The line of a report that speaks of a service; empty if none does.
fn told_of(ran: &Ran, name: &str) -> String {
    let text = ran.text();
    text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
}

with_both_trees! {
    fn what_a_killed_guard_left_runs_on_as_it_was_until_a_reload(trees: Trees) {
        let (mut bed, processes) = changed(trees);
        bed.kill_guard();
        let mark = bed.mark();
        bed.start_guard();
        runs_on_outdated(&bed, processes);
        let adopted = bed.await_event(mark, "the adoption", |event| event.service.as_deref() == Some("web"));
        assert!(adopted.reason.contains("as it was defined earlier"), "{}", adopted.reason);
        // A guard after that knows it, too.
        bed.kill_guard();
        bed.start_guard();
        runs_on_outdated(&bed, processes);
        let dry = bed.menshen(["reload", "--dry-run"]).ended_with(0);
        assert!(told_of(&dry, "web").contains("restart") && dry.text().contains("defined earlier"), "{dry:?}");
        assert!(!dry.text().contains("same"), "{dry:?}");
        runs_on_outdated(&bed, processes);
        bed.menshen(["reload"]).done();
        until("web has the new environment", || bed.await_file("greetings") == "hello\ngood morning\n");
        assert!(!bed.await_ready("web").service.outdated);
        assert_eq!(bed.main_process("same"), processes[1]);
        assert!(bed.menshen(["reload"]).ended_with(0).text().contains("nothing changed"));
    }

    fn another_version_goes_on_with_what_runs_and_says_what_is_outdated(trees: Trees) {
        let (bed, processes) = changed(trees);
        std::fs::copy(menshen_tests::command::menshen(), bed.path("next")).unwrap();
        let upgraded = bed.menshen(["upgrade", "--binary", "next"]).ended_with(0);
        assert!(upgraded.stderr.contains("web runs on as defined earlier"), "{}", upgraded.stderr);
        let upgraded: serde_json::Value = bed.menshen(["upgrade", "--json", "--binary", "next"]).ended_with(0).json();
        assert_eq!(upgraded["outdated"], serde_json::json!(["web"]));
        runs_on_outdated(&bed, processes);
        let started = bed.menshen(["start", "web", "same"]).ended_with(0);
        assert!(told_of(&started, "web").starts_with("web: running, outdated, pid"), "{started:?}");
        assert!(!told_of(&started, "same").contains("outdated"), "{started:?}");
        bed.menshen(["restart", "web"]).done();
        until("web has the new environment", || bed.await_file("greetings") == "hello\ngood morning\n");
        assert!(!bed.await_ready("web").service.outdated);
    }
}

#[test]
fn what_is_changed_back_is_not_started_anew() {
    let (mut bed, processes) = changed(Trees::Walk);
    bed.kill_guard();
    bed.start_guard();
    runs_on_outdated(&bed, processes);
    bed.write("menshen.toml", BEFORE);
    let told = bed.menshen(["reload"]).ended_with(0);
    assert!(
        told_of(&told, "web").contains("live") && !told.text().lines().any(|line| line.ends_with("restart")),
        "{told:?}"
    );
    let service = bed.await_ready("web").service;
    assert_eq!((service.pid, service.outdated), (Some(processes[0].pid), false));
}

#[test]
fn a_program_is_told_of_its_own_files_that_changed_while_no_guard_was_there() {
    const TOLD: &str = r#"
        [service.web]
        command = ["sh", "-c", "trap 'echo told >> told' HUP; echo up > up; while :; do sleep 0.05; done"]
        reload = { signal = "SIGHUP", files = ["web.conf"] }
    "#;
    let mut bed = Bed::new(Trees::Walk, TOLD);
    bed.write("web.conf", "one");
    bed.start_guard();
    bed.await_file("up");
    let web = bed.main_process("web");
    bed.kill_guard();
    bed.write("web.conf", "two");
    bed.start_guard();
    let dry = bed.menshen(["reload", "--dry-run"]).ended_with(0).text();
    assert!(dry.contains("web  signal") && dry.contains("configuration files have changed"), "{dry}");
    bed.menshen(["reload"]).done();
    assert_eq!(bed.await_file("told"), "told\n");
    assert_eq!(bed.main_process("web"), web);
    bed.kill_guard();
    bed.start_guard();
    assert!(bed.menshen(["reload"]).ended_with(0).text().contains("nothing changed"));
}

#[test]
fn who_goes_on_in_the_background_is_told_what_is_outdated() {
    let bed = Bed::new(Trees::Walk, BEFORE);
    let up = |bed: &Bed| bed.menshen(["up", "--detach", "--wait"]).ended_with(0);
    assert!(!up(&bed).stderr.contains("earlier"));
    bed.menshen(["down", "--leave"]).done();
    bed.write("menshen.toml", after());
    let said = up(&bed).stderr;
    assert!(said.contains("web runs on as defined earlier") && said.contains("menshen reload"), "{said}");
    bed.menshen(["down"]).done();
}

#[test]
fn a_command_that_is_typed_is_what_runs_whatever_one_of_its_name_left() {
    let bed = Bed::new(Trees::Walk, BEFORE);
    let run = |words: &str| {
        let mut command = bed.command();
        command.args(["run", "--name", "job", "--", "sh", "-c", words]);
        command.spawn().unwrap()
    };
    let job = |what: &str| {
        let pids = || {
            let ran = bed.menshen(["--instance", "run-job", "status", "job", "--json"]);
            if ran.code == 0 { ran.json::<serde_json::Value>()["pid"].as_u64() } else { None }
        };
        let mut pid = None;
        until(what, || {
            pid = pids().filter(|pid| {
                std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(what))
            });
            pid.is_some()
        });
        pid.unwrap()
    };
    let mut first = run("sleep 1000; echo first");
    let left = job("first");
    first.kill().unwrap();
    first.wait().unwrap();
    // The same goes on with what runs.
    let mut same = run("sleep 1000; echo first");
    assert_eq!(job("first"), left);
    same.kill().unwrap();
    same.wait().unwrap();
    let mut other = run("sleep 1000; echo second");
    assert_ne!(job("second"), left);
    bed.menshen(["--instance", "run-job", "down"]).done();
    other.wait().unwrap();
    assert_eq!(bed.processes(), []);
}

#[test]
fn nobody_types_anything_where_another_version_goes_on() {
    let bed = Bed::new(Trees::Walk, BEFORE);
    bed.write("job.env", "A=1\n");
    let mut run = bed.command();
    run.args(["run", "--name", "job", "--set", "env_file=job.env", "--", "sleep", "1000"]);
    let mut guard = run.spawn().unwrap();
    let status = || bed.menshen(["--instance", "run-job", "status", "job", "--json"]);
    until("it runs", || status().code == 0);
    let before: serde_json::Value = status().json();
    bed.write("job.env", "A=2\n");
    let upgraded = bed.menshen(["--instance", "run-job", "upgrade"]).ended_with(0);
    assert!(upgraded.stderr.contains("job runs on as defined earlier"), "{}", upgraded.stderr);
    let after: serde_json::Value = status().ended_with(0).json();
    assert_eq!((&after["pid"], &after["outdated"]), (&before["pid"], &true.into()), "{after}");
    bed.menshen(["--instance", "run-job", "down"]).done();
    guard.wait().unwrap();
}

#[test]
fn a_command_that_is_typed_does_not_wait_for_what_the_one_before_it_waited_for() {
    let bed = Bed::new(Trees::Walk, BEFORE);
    let run = |words: &str| {
        let mut command = bed.command();
        command.args(["run", "--name", "job", "--set", "restart.delay=1h", "--set", "restart.max=1h"]);
        command.args(["--", "sh", "-c", words]).spawn().unwrap()
    };
    let is = |state: &str| {
        let ran = bed.menshen(["--instance", "run-job", "status", "job", "--json"]);
        ran.code != 6 && ran.code != 4 && ran.json::<serde_json::Value>()["state"] == state
    };
    let mut broken = run("exit 3");
    until("it waits", || is("backoff"));
    broken.kill().unwrap();
    broken.wait().unwrap();
    let mut mended = run("exec sleep 1000");
    until("it runs", || is("running"));
    bed.menshen(["--instance", "run-job", "down"]).done();
    mended.wait().unwrap();
}

#[test]
fn an_upgrade_tells_what_has_left_the_definition() {
    const SAME: &str = "[service.same]\ncommand = \"sleep 1000\"\n";
    const LAZY: &str = r#"
[service.lazy]
command = ["sh", "-c", "trap 'sleep 1; exit' TERM; echo up; while :; do sleep 0.05; done"]
probe.readiness.log = "up"
"#;
    let bed = Bed::new(Trees::Walk, SAME).and(LAZY).up();
    ["lazy", "same"].iter().for_each(|name| drop(bed.await_ready(name)));
    bed.write("menshen.toml", SAME);
    let told: serde_json::Value = bed.menshen(["upgrade", "--json"]).ended_with(0).json();
    let expected = (&1.into(), &serde_json::json!(["lazy"]), &serde_json::json!([]));
    assert_eq!((&told["adopted"], &told["removed"], &told["changed"]), expected, "{told}");
}
