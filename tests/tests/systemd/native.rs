//! Services that `menshen install --native` has systemd run itself, beside those of a guard.

use std::time::{Duration, Instant};

use menshen_tests::command::Ran;
use menshen_tests::machine::Machine;
use menshen_tests::wait::until;
use serde_json::Value;

use super::files_of;

const SHOP: &str = r#"
[guard]
name = "shop"
[service.web]
command = ["sleep", "3600"]
"#;
/// One that needs the other; and one that takes its time to end.
const PLAIN: &str = r#"
[guard]
name = "plain"
[service.db]
command = ["sleep", "3600"]
[service.app]
command = ["sleep", "3600"]
depends_on = ["db"]
[service.slow]
command = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]
stop.timeout = "30s"
"#;
const DOCUMENT: &str = "/shared/plain.toml";

fn machine() -> Option<Machine> {
    Machine::boot(&[("shop.toml", SHOP), ("plain.toml", PLAIN)])
}

fn menshen(machine: &Machine, words: &[&str]) -> Ran {
    machine.run(&[&["menshen"], words].concat())
}

fn install_native(machine: &Machine, name: &str) {
    menshen(machine, &["install", name, "--native", "--file", DOCUMENT]).done();
}

fn state(machine: &Machine, name: &str) -> String {
    machine.property(&format!("{name}.service"), "ActiveState")
}

/// The names and states in a list of services.
fn states(list: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let services = list.as_array().unwrap().iter();
    services.map(|service| (text(&service["name"]), text(&service["state"]))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
}

#[test]
fn all_services_are_those_of_the_guard_and_those_that_systemd_runs_itself() {
    let Some(machine) = machine() else { return };
    install_native(&machine, "db");
    // Where no guard runs, and none is needed.
    let status: Value = menshen(&machine, &["status", "--json"]).ended_with(0).json();
    assert_eq!((states(&status["services"]), states(&status["native"])), (vec![], pairs(&[("db", "stopped")])));
    menshen(&machine, &["start", "--all"]).done();
    assert_eq!(state(&machine, "db"), "active");

    menshen(&machine, &["install", "shop", "--file", "/shared/shop.toml", "--now"]).done();
    until("the guard answers", || menshen(&machine, &["status", "web"]).code == 0);
    let status = menshen(&machine, &["status"]).ended_with(0).text();
    let line_of = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line_of("db").contains("running") && line_of("db").contains("run by systemd itself"), "{status}");
    assert!(line_of("web").contains("running"), "{status}");

    let stopped: Value = menshen(&machine, &["stop", "--all", "--json"]).ended_with(0).json();
    let expected = (pairs(&[("web", "stopped")]), pairs(&[("db", "stopped")]));
    assert_eq!((states(&stopped["services"]), states(&stopped["native"])), expected);
    assert_eq!(state(&machine, "db"), "inactive");
    let restarted: Value = menshen(&machine, &["restart", "web", "db", "--json"]).ended_with(0).json();
    let expected = (pairs(&[("web", "running")]), pairs(&[("db", "running")]));
    assert_eq!((states(&restarted["services"]), states(&restarted["native"])), expected);

    // Who names a guard means what it guards.
    menshen(&machine, &["stop", "--all", "--instance", "shop"]).done();
    assert_eq!(state(&machine, "db"), "active");
    let status: Value = menshen(&machine, &["status", "--instance", "shop", "--json"]).json();
    assert_eq!(states(&status["native"]), vec![]);
}

#[test]
fn what_takes_a_guard_is_refused_by_name() {
    let Some(machine) = machine() else { return };
    install_native(&machine, "db");
    for words in [&["reset", "db"][..], &["signal", "HUP", "db"], &["logs", "db"]] {
        let refused = menshen(&machine, words).ended_with(2);
        assert!(refused.stderr.contains("'db' is run by systemd itself"), "{words:?}: {}", refused.stderr);
    }
}

#[test]
fn a_service_that_failed_is_not_well() {
    let Some(machine) = machine() else { return };
    install_native(&machine, "db");
    menshen(&machine, &["start", "db"]).done();
    machine.run(&["mkdir", "-p", "/run/systemd/system/db.service.d"]).done();
    let never =
        "printf '[Service]\\nRestart=no\\n' > /run/systemd/system/db.service.d/never.conf; systemctl daemon-reload";
    machine.run(&["sh", "-c", never]).done();
    machine.run(&["systemctl", "kill", "--signal=KILL", "db.service"]).done();
    until("systemd has seen it", || state(&machine, "db") == "failed");
    let status = menshen(&machine, &["status"]).ended_with(7).text();
    assert!(status.contains("failed"), "{status}");
    machine.run(&["rm", "/etc/systemd/system/db.service"]).done();
    machine
        .run(&["sh", "-c", "rm -r /run/systemd/system/db.service.d; systemctl daemon-reload; systemctl reset-failed"])
        .done();
    let gone = menshen(&machine, &["status", "db"]).ended_with(4).text();
    assert!(gone.contains("db: not-installed"), "{gone}");
}

#[test]
fn nobody_waits_longer_than_they_asked_for() {
    let Some(machine) = machine() else { return };
    install_native(&machine, "slow");
    menshen(&machine, &["start", "slow"]).done();
    until("it hears of no signal", || machine.journal("slow.service").contains("deaf"));
    let begun = Instant::now();
    let overdue = menshen(&machine, &["stop", "slow", "--timeout", "500ms"]).ended_with(7);
    assert!(begun.elapsed() < Duration::from_secs(20), "it waited for the stop");
    assert!(overdue.stderr.contains("within 500ms") && overdue.stderr.contains("stopping"), "{}", overdue.stderr);
    assert_eq!(state(&machine, "slow"), "deactivating", "what it was told it does");
    machine.run(&["systemctl", "kill", "--signal=KILL", "slow.service"]).done();
    until("it has ended", || ["inactive", "failed"].contains(&&*state(&machine, "slow")));

    menshen(&machine, &["start", "slow"]).done();
    until("it hears of no signal", || machine.journal("slow.service").matches("deaf").count() == 2);
    let told = menshen(&machine, &["stop", "slow", "--no-wait"]).ended_with(0).text();
    assert!(told.contains("slow: stopping"), "{told}");
    until("it is stopped", || state(&machine, "slow") == "deactivating");
    machine.run(&["systemctl", "kill", "--signal=KILL", "slow.service"]).done();
}

#[test]
fn what_a_service_needs_systemd_runs_itself_or_it_is_refused() {
    let Some(machine) = machine() else { return };
    let install = ["install", "app", "--native", "--file", DOCUMENT];
    for words in [&install[..], &[&install[..], &["--dry-run"]].concat()] {
        let refused = menshen(&machine, words).ended_with(3);
        assert!(refused.stderr.contains("'app' needs what systemd does not run itself: db"), "{}", refused.stderr);
        assert!(refused.stderr.contains("menshen install db --native"), "{}", refused.stderr);
    }
    assert_eq!(machine.property("app.service", "LoadState"), "not-found");

    // Installed under another name, it is needed by that.
    menshen(&machine, &["install", "plain", "--native", "--only", "db", "--file", DOCUMENT]).done();
    menshen(&machine, &install).done();
    let needs = machine.property("app.service", "Requires") + &machine.property("app.service", "Wants");
    assert!(needs.contains("plain.service"), "{needs}");
    menshen(&machine, &["start", "app"]).done();
    assert_eq!(state(&machine, "plain"), "active");
    let refused = menshen(&machine, &["uninstall", "plain"]).ended_with(1);
    assert!(refused.stderr.contains("'plain' is needed by") && refused.stderr.contains("app"), "{}", refused.stderr);
    menshen(&machine, &["uninstall", "app"]).done();
    menshen(&machine, &["uninstall", "plain"]).done();
}

#[test]
fn a_command_is_systemds_own_until_it_is_uninstalled_without_a_trace() {
    let Some(machine) = machine() else { return };
    let before = files_of(&machine);
    let command = ["--", "/bin/sh", "-c", "echo \"$0\"; exec sleep 3600", "a $b %c"];
    let install = |more: &[&str]| menshen(&machine, &[&["install", "nap", "--native"], more, &command].concat());
    install(&["--now"]).done();
    let of = |name: &str| machine.property("nap.service", name);
    assert_eq!((of("ActiveState"), of("UnitFileState")), ("active".into(), "enabled".into()));
    let running = machine.run(&["sh", "-c", &format!("tr '\\0' ' ' < /proc/{}/cmdline", of("MainPID"))]).text();
    assert_eq!(running.trim(), "sleep 3600", "there is no guard between");
    until("its argument arrives as it was typed", || machine.journal("nap.service").contains("a $b %c"));
    assert!(install(&[]).ended_with(0).text().contains("nap: unchanged"));
    assert!(menshen(&machine, &["diff", "nap"]).ended_with(0).text().contains("as it should be"));
    for (verb, state) in [("disable", "disabled"), ("enable", "enabled")] {
        menshen(&machine, &[verb, "nap"]).done();
        assert_eq!(of("UnitFileState"), state);
    }
    menshen(&machine, &["edit", "nap", "--start", "manual", "--description", "Naps"]).done();
    assert_eq!((of("Description"), of("UnitFileState")), ("Naps".into(), "disabled".into()));
    menshen(&machine, &["uninstall", "nap", "--purge"]).done();
    assert_eq!(of("LoadState"), "not-found");
    before.assert_same(&files_of(&machine));
}

#[test]
fn what_is_edited_is_kept_and_nothing_else_is_left_of_it() {
    let Some(machine) = machine() else { return };
    install_native(&machine, "db");
    let edit = |editor: &str| machine.run(&["env", &format!("EDITOR={editor}"), "menshen", "edit", "db"]);
    let copies = || machine.run(&["sh", "-c", "ls /tmp | grep menshen-db"]).text();
    let none = menshen(&machine, &["edit", "db"]).ended_with(2);
    assert!(none.stderr.contains("neither VISUAL nor EDITOR") && none.stderr.contains("set one"), "{}", none.stderr);
    assert!(edit("false").ended_with(1).stderr.contains("'false' ended with"));
    assert_eq!(copies(), "", "nobody wrote anything");

    let refused = edit("sed -i s/command/comand/").ended_with(3).stderr;
    for part in ["/shared/plain.toml:", "did you mean 'command'", "what you wrote is in /tmp/menshen-db"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert_eq!(copies().lines().count(), 1);
    assert!(!machine.lines("plain.toml").join("\n").contains("comand"));

    let edited = edit("sed -i s/3600/3601/").ended_with(0).stderr;
    assert_eq!(edited.matches("'db' runs as root").count(), 1, "it is said once: {edited}");
    assert!(machine.property("db.service", "ExecStart").contains("sleep 3601"));
    assert_eq!(copies().lines().count(), 1);
}

#[test]
fn every_dry_run_is_told_to_programs_in_the_same_shape() {
    let Some(machine) = machine() else { return };
    install_native(&machine, "db");
    let file = "/etc/systemd/system/db.service";
    let before = machine.run(&["sha256sum", file]).text();
    let steps = |words: &[&str]| -> Vec<String> {
        let shown: Value = menshen(&machine, words).ended_with(0).json();
        assert_eq!(shown["done"], false, "{words:?}");
        shown["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap().to_owned()).collect()
    };
    let has = |steps: &[String], part: &str| steps.iter().any(|step| step.contains(part));
    let command = steps(&["install", "worker", "--dry-run", "--json", "--", "sleep", "1"]);
    for part in ["write /etc/menshen/installed/worker.toml", "/var/lib/menshen/installed/worker.json", "worker.service"]
    {
        assert!(has(&command, part), "{part}: {command:#?}");
    }
    let edit = steps(&["edit", "db", "--description", "Other", "--dry-run", "--json"]);
    assert!(has(&edit, "Description=Other"), "{edit:#?}");
    let removal = steps(&["uninstall", "db", "--dry-run", "--json"]);
    assert!(has(&removal, &format!("remove {file}")), "{removal:#?}");
    assert!(has(&removal, "remove /var/lib/menshen/installed/db.json"), "{removal:#?}");
    assert_eq!(steps(&["enable", "db", "--dry-run", "--json"]), Vec::<String>::new(), "it is so already");
    let note = "note in /var/lib/menshen/installed/db.json that it is";
    let disable = [format!("{note} disabled"), "ask systemd to disable db".to_owned()];
    assert_eq!(steps(&["disable", "db", "--dry-run", "--json"]), disable);
    assert_eq!(machine.property("db.service", "UnitFileState"), "enabled");
    assert_eq!(machine.run(&["sha256sum", file]).text(), before);

    let disabled: Value = menshen(&machine, &["disable", "db", "--json"]).ended_with(0).json();
    assert_eq!((&disabled["name"], &disabled["outcome"]), (&"db".into(), &"disabled".into()));
    assert_eq!(machine.property("db.service", "UnitFileState"), "disabled");
    let enable = [format!("{note} enabled"), "ask systemd to enable db".to_owned()];
    assert_eq!(steps(&["enable", "db", "--dry-run", "--json"]), enable);
    let gone: Value = menshen(&machine, &["uninstall", "db", "--json"]).ended_with(0).json();
    assert_eq!((&gone["name"], &gone["outcome"]), (&"db".into(), &"uninstalled".into()));
}
