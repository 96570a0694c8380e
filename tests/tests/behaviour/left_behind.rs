//! What a guard has left behind is shown without it.

use std::path::Path;

use menshen_tests::command::Ran;
use menshen_tests::wait::until;
use menshen_tests::{Bed, Trees};
use serde_json::Value;

/// Two services that write in turn: one line of each second is the last of all.
const TURNS: &str = r#"
[service.ann]
log.format = "text"
command = ["sh", "-c", "echo one; while ! [ -e two ]; do sleep 0.05; done; sleep 0.05; echo three; exec sleep 1000"]
[service.bob]
log.format = "text"
command = ["sh", "-c", "while ! grep -rqs one home/logs/*/ann; do sleep 0.05; done; sleep 0.05; echo two; touch two; exec sleep 1000"]
"#;

#[test]
fn lines_of_several_services_come_in_the_order_of_their_times() {
    let mut bed = Bed::new(Trees::Walk, TURNS).up();
    let words = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect()
    };
    until("all is written", || bed.menshen(["logs"]).text().contains("three"));
    let with = bed.menshen(["logs"]).ended_with(0).text();
    bed.menshen(["down"]).done();
    let _ = bed.await_guard_end();
    let without = bed.menshen(["logs"]).ended_with(0).text();
    assert_eq!(words(&without), ["one", "two", "three"], "{without}");
    assert_eq!(without, with);
    assert_eq!(words(&bed.menshen(["logs", "-n", "1"]).ended_with(0).text()), ["three"]);
}

#[test]
fn what_several_guards_have_left_is_told_apart() {
    let mut beds = [Bed::new(Trees::Walk, ""), Bed::new(Trees::Walk, "")].map(|bed| {
        let bed = bed.and("[service.web]\ncommand = [\"sh\", \"-c\", \"echo hello; exec sleep 1000\"]").up();
        until("it is logged", || bed.menshen(["logs", "web"]).text().contains("hello"));
        bed.menshen(["down"]).done();
        bed
    });
    beds.iter_mut().for_each(|bed| assert!(bed.await_guard_end().success()));
    let [first, second] = &beds;
    let (from, to) = (second.home().join("logs"), first.home().join("logs"));
    std::fs::rename(from.join(second.instance()), to.join(second.instance())).unwrap();
    let text = first.menshen(["logs"]).ended_with(0).text();
    for bed in &beds {
        assert!(text.contains(&format!("{}/web", bed.instance())), "{text}");
    }
}

#[test]
fn what_runs_on_without_its_guard_is_told_beside_another_guard() {
    let mut bed = Bed::new(Trees::Walk, "[service.web]\ncommand = \"sleep 1000\"\n").up();
    bed.await_ready("web");
    std::fs::create_dir(bed.path("other")).unwrap();
    bed.write("other/menshen.toml", "[guard]\nname = \"other\"\n[service.solo]\ncommand = \"sleep 1000\"\n");
    let typed = |bed: &Bed, words: &[&str]| {
        let mut command = bed.command();
        command.current_dir(bed.path("other")).args(words);
        Ran::of(&command)
    };
    typed(&bed, &["up", "--detach", "--wait"]).done();
    assert!(!bed.menshen(["status"]).ended_with(0).stderr.contains("without a guard"));
    let web = bed.main_process("web");
    bed.kill_guard();
    let ran = bed.menshen(["status"]).ended_with(0);
    assert!(ran.text().contains("solo") && ran.stderr.contains("without a guard: web"), "{ran:?}");
    let all: Value = bed.menshen(["status", "--json"]).ended_with(0).json();
    assert_eq!(
        (&all["left"][0]["name"], &all["left"][0]["pid"]),
        (&Value::from("web"), &Value::from(web.pid)),
        "{all}"
    );
    // Wherever somebody asks, the definition is the one that has it taken over.
    let elsewhere: Value = typed(&bed, &["status", "--json"]).ended_with(0).json();
    assert_eq!(
        elsewhere["left"][0]["definition"].as_str().map(Path::new),
        Some(&*bed.path("menshen.toml")),
        "{elsewhere}"
    );
    let one = bed.menshen(["status", "web"]).ended_with(4);
    assert!(one.stderr.contains("without a guard: web"), "{}", one.stderr);
    // Whoever means one guard is told of none else.
    assert!(bed.menshen(["--instance", "other", "status"]).ended_with(0).stderr.is_empty());
    typed(&bed, &["down"]).done();
    bed.start_guard();
    assert_eq!(bed.main_process("web"), web);
}

#[test]
fn who_asks_while_a_guard_is_being_killed_is_told_what_runs_on() {
    let mut bed = Bed::new(Trees::Walk, "[service.web]\ncommand = \"sleep 1000\"\n").up();
    bed.await_ready("web");
    let web = bed.main_process("web");
    for _ in 0..8 {
        bed.guard().signal(menshen_tests::Signal::KILL);
        let said = bed.menshen(["status"]);
        assert!(said.stderr.contains("without a guard: web"), "{said:?}");
        bed.kill_guard();
        bed.start_guard();
        bed.await_ready("web");
    }
    assert_eq!(bed.main_process("web"), web);
}

#[test]
fn who_takes_a_name_over_is_told_what_of_it_is_stopped() {
    let mut bed =
        Bed::new(Trees::Walk, "[service.web]\ncommand = \"sleep 1000\"\n[service.db]\ncommand = \"sleep 1000\"\n").up();
    ["web", "db"].iter().for_each(|name| drop(bed.await_ready(name)));
    let web = bed.main_process("web");
    bed.kill_guard();
    bed.write("menshen.toml", "[service.db]\ncommand = \"sleep 1000\"\n");
    let name = format!("guard.name={}", bed.instance());
    let said = bed.menshen(["up", "--detach", "--set", &name]).ended_with(0).stderr;
    assert!(said.contains("web of the last guard") && said.contains("is stopped") && !said.contains("db of"), "{said}");
    assert!(!said.contains("menshen.toml) is"), "it is the same: {said}");
    until("it is stopped", || !web.lives());
    bed.menshen(["--instance", bed.instance(), "down"]).done();
    bed.start_guard();
    assert!(!bed.guard_said().contains("of the last guard"), "{}", bed.guard_said());
}

#[test]
fn who_takes_over_a_name_of_another_definition_is_told_of_it_and_who_renames_a_guard_of_what_runs_twice() {
    let mut bed = Bed::new(Trees::Walk, "[service.web]\ncommand = \"sleep 1000\"\n").up();
    bed.await_ready("web");
    let web = bed.main_process("web");
    bed.kill_guard();
    let instance = bed.instance().to_owned();
    let definition = bed.path("menshen.toml").display().to_string();
    // The same definition for a guard of another name.
    let renamed = format!("guard.name={instance}-anew");
    let said = bed.menshen(["up", "--detach", "--set", &renamed]).ended_with(0).stderr;
    let left = format!("of the last guard '{instance}' ({definition}) still runs, without a guard: web");
    assert!(said.contains(&left) && said.contains(&format!("--set guard.name={instance}`")), "{said}");
    assert!(web.lives());
    // Its guard is told of that one, too, and takes nothing of it.
    bed.start_guard();
    let told = format!("'{instance}-anew' has this definition, too");
    until("it is told", || bed.guard_said().contains(&told));
    bed.menshen(["--instance", &format!("{instance}-anew"), "down"]).done();
    bed.await_ready("web");
    assert_eq!(bed.main_process("web"), web);
    // Another definition for a guard of the same name.
    bed.kill_guard();
    std::fs::create_dir(bed.path("other")).unwrap();
    bed.write("other/menshen.toml", "[service.solo]\ncommand = \"sleep 1000\"\n");
    let mut command = bed.command();
    let name = format!("guard.name={instance}");
    command.current_dir(bed.path("other")).args(["up", "--detach", "--set", &name]);
    let said = Ran::of(&command).ended_with(0).stderr;
    assert!(said.contains(&format!("web of the last guard '{instance}' ({definition}) is not among")), "{said}");
    until("it is stopped", || !web.lives());
    bed.menshen(["--instance", &instance, "down"]).done();
    bed.start_guard();
}

#[test]
fn events_are_read_from_the_journal() {
    let mut bed = Bed::new(Trees::Walk, "[service.web]\ncommand = [\"sleep\", \"1000\"]\n").up();
    until("it runs", || bed.service("web").service.pid.is_some());
    bed.kill_guard();
    let ran = bed.menshen(["events", "--service", "web"]).ended_with(0);
    assert!(ran.text().contains("starting → running"), "{}", ran.text());
    assert!(ran.stderr.contains("no guard is running") && ran.stderr.contains("journal.db"), "{}", ran.stderr);
    let events: Vec<Value> = bed.menshen(["events", "--json", "--since", "1h"]).ended_with(0).json_lines();
    assert!(events.iter().any(|event| event["kind"] == "transition" && event["service"] == "web"), "{events:?}");
    let last: Vec<Value> = bed.menshen(["events", "--json", "-n", "2"]).ended_with(0).json_lines();
    assert!(events.len() > 2 && last == events[events.len() - 2..], "{last:?} of {events:?}");
    assert!(bed.menshen(["events", "--service", "nope"]).ended_with(4).stderr.contains("'nope'"));
    // Of a service that was there, nothing since then is an answer.
    let since = |name: &str| bed.menshen(["events", "--service", name, "--since", "2999-01-01T00:00:00Z"]);
    assert_eq!(since("web").ended_with(0).text(), "");
    assert!(since("nope").ended_with(4).stderr.contains("'nope'"));
    let follow = bed.menshen(["events", "--follow"]).ended_with(6).stderr;
    assert!(follow.contains("without --follow"), "{follow}");
    // The next guard goes on with the same journal, and ends what still runs.
    bed.start_guard();
    let all = bed.menshen(["events", "--service", "web", "--since", "1h"]).ended_with(0).text();
    assert!(all.contains("starting → running"), "{all}");
}

#[test]
fn what_runs_on_is_shown_where_something_else_was_noted_by_a_newer_version() {
    let definition = ["web", "db"].map(|name| format!("[service.{name}]\ncommand = [\"sleep\", \"1000\"]\n")).concat();
    let mut bed = Bed::new(Trees::Walk, &definition).up();
    let web = ["db", "web"].map(|name| bed.main_process(name))[1];
    bed.kill_guard();
    let record = bed.home().join("state").join(bed.instance()).join("services/db.json");
    let noted = std::fs::read(&record).unwrap();
    std::fs::write(&record, "{\"format\":99}").unwrap();
    let ran = bed.menshen(["status"]).ended_with(6);
    assert!(ran.text().contains("web") && ran.text().contains(&web.pid.to_string()), "{}", ran.text());
    assert!(ran.stderr.contains("db.json") && ran.stderr.contains("newer version"), "{}", ran.stderr);
    std::fs::write(&record, noted).unwrap();
    bed.start_guard();
    assert_eq!(bed.main_process("web"), web);
}

#[test]
fn events_in_a_folder_are_those_of_its_own_guard_whichever_other_one_runs() {
    let mut bed = Bed::new(Trees::Walk, "[service.web]\ncommand = \"sleep 1000\"\n").up();
    bed.await_ready("web");
    for folder in ["other", "empty"] {
        std::fs::create_dir(bed.path(folder)).unwrap();
    }
    bed.write("other/menshen.toml", "[guard]\nname = \"other\"\n[service.solo]\ncommand = \"sleep 1000\"\n");
    let typed_in = |bed: &Bed, folder: &str, words: &[&str]| {
        let mut command = bed.command();
        command.current_dir(bed.path(folder)).args(words);
        Ran::of(&command)
    };
    // Before its guard has left anything, somebody else's events are not its own.
    typed_in(&bed, "other", &["events"]).ended_with(6);
    typed_in(&bed, "other", &["up", "--detach", "--wait"]).done();
    typed_in(&bed, "other", &["down"]).done();
    let own = |bed: &Bed| {
        let ran = typed_in(bed, "other", &["events"]).ended_with(0);
        assert!(ran.text().contains("solo") && !ran.text().contains("web"), "{}", ran.text());
        ran.stderr
    };
    let said = own(&bed);
    assert!(said.contains("the guard 'other' is not running"), "{said}");
    let follow = typed_in(&bed, "other", &["events", "--follow"]).ended_with(6).stderr;
    assert!(follow.contains("without --follow"), "{follow}");
    assert!(typed_in(&bed, "empty", &["events"]).ended_with(0).text().contains("web"));
    bed.menshen(["down"]).done();
    assert!(bed.await_guard_end().success());
    // Now both have left theirs.
    let said = own(&bed);
    assert!(said.contains("no guard is running"), "{said}");
    let several = typed_in(&bed, "empty", &["events"]).ended_with(6).stderr;
    assert!(several.contains("--instance") && several.contains("other"), "{several}");
}

#[test]
fn the_log_of_a_service_that_a_reload_has_removed_is_still_shown() {
    let definition =
        |name: &str| format!("[service.{name}]\ncommand = [\"sh\", \"-c\", \"echo of {name}; exec sleep 1000\"]\n");
    let bed = Bed::new(Trees::Walk, &(definition("web") + &definition("report"))).up();
    until("it is logged", || bed.menshen(["logs", "report"]).text().contains("of report"));
    bed.write("menshen.toml", definition("web"));
    bed.menshen(["reload"]).done();
    let ran = bed.menshen(["logs", "report"]).ended_with(0);
    assert_eq!(ran.text(), "of report\n");
    assert!(ran.stderr.contains("there is no service 'report'"), "{}", ran.stderr);
    assert!(bed.menshen(["logs", "nope"]).ended_with(4).stderr.contains("'nope'"));
}
