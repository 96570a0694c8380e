//! A guard that `menshen install` has each manager run.

use menshen_tests::command::{built, menshen};
use menshen_tests::init::{Booted, Init};
use menshen_tests::wait::until;
use serde_json::Value;

use super::{OPENRC, RUNIT, S6, SYSV, files_of};

/// Longer than any of them waits before it starts something again.
const STAYS_DOWN: std::time::Duration = std::time::Duration::from_secs(3);

fn is_guarded(machine: &Booted, program: &str) -> bool {
    let status = machine.run(&[program, "status", "--json"]);
    status.code == 0 && status.json::<Value>()["services"][0]["state"] == "running"
}

/// Installed, it runs what the definition says; uninstalled, nothing is left of it.
fn is_installed_and_uninstalled(init: &Init, manager: &str) {
    let files = [menshen(), built("life-cycle-sample")];
    let Some(machine) = init.boot(&[&files[0], &files[1]]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    let before = files_of(&machine);
    let install = ["install", "worker", "--now", "--manager", manager, "--", "/bin/sleep", "3600"];
    machine.run(&[&[program][..], &install].concat()).done();
    until("its service runs", || is_guarded(&machine, program));
    let again = machine.run(&[&[program][..], &install].concat()).ended_with(0).text();
    assert!(again.contains("worker: unchanged"), "{again}");
    assert!(machine.run(&[program, "diff", "worker"]).ended_with(0).text().contains("as it should be"));

    machine.run(&[program, "uninstall", "worker", "--purge"]).done();
    let left = machine.run(&["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).text();
    assert!(!left.contains("sleep 3600") && !left.contains("menshen up"), "{left}");
    before.assert_same(&files_of(&machine));
}

/// Installing a service of a name that somebody else's has changes nothing.
fn leaves_strangers_alone(init: &Init, manager: &str, (folder, script): (&str, &str)) {
    let Some(machine) = init.boot(&[&menshen()]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    machine.run(&["sh", "-ec", &format!("mkdir -p {folder}; printf '#!/bin/sh\\n' >{folder}/{script}")]).done();
    let before = files_of(&machine);
    let install = ["install", "worker", "--manager", manager, "--", "/bin/sleep", "3600"];
    let refused = machine.run(&[&[program][..], &install].concat()).ended_with(1);
    assert!(refused.stderr.contains("not made by menshen"), "{}", refused.stderr);
    before.assert_same(&files_of(&machine));
}

#[test]
fn what_is_not_ours_is_left_alone_by_runit() {
    leaves_strangers_alone(&RUNIT, "runit", ("/etc/service/worker", "run"));
}

#[test]
fn what_is_not_ours_is_left_alone_by_s6() {
    leaves_strangers_alone(&S6, "s6", ("/run/service/worker", "run"));
}

#[test]
fn what_is_not_ours_is_left_alone_by_system_v_init() {
    leaves_strangers_alone(&SYSV, "sysv", ("/etc/init.d", "worker"));
}

#[test]
fn what_is_not_ours_is_left_alone_by_openrc() {
    leaves_strangers_alone(&OPENRC, "openrc", ("/usr/local/etc/init.d", "worker"));
}

#[test]
fn runit_runs_a_guard() {
    is_installed_and_uninstalled(&RUNIT, "runit");
}

#[test]
fn s6_runs_a_guard() {
    is_installed_and_uninstalled(&S6, "s6");
}

#[test]
fn system_v_init_runs_a_guard() {
    is_installed_and_uninstalled(&SYSV, "sysv");
}

#[test]
fn openrc_runs_a_guard() {
    is_installed_and_uninstalled(&OPENRC, "openrc");
}

/// What `menshen down` has ended is not started again by its manager, and is no failure to it.
fn stays_down(init: &Init, manager: &str, (is_down, told): (&[&str], &str)) {
    let Some(machine) = init.boot(&[&menshen()]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    let install = ["install", "worker", "--now", "--manager", manager, "--", "/bin/sleep", "3600"];
    machine.run(&[&[program][..], &install].concat()).done();
    assert!(is_guarded(&machine, program));
    for words in [&["down"][..], &["down", "--now"]] {
        let down = machine.run(&[&[program, "--instance", "worker"][..], words].concat()).ended_with(0);
        assert!(down.stderr.contains(&format!("{manager} ran it as 'worker'")), "{}", down.stderr);
        // As long as it is down, so is the program. Whoever restarts it does so a second later.
        let begun = std::time::Instant::now();
        while begun.elapsed() < STAYS_DOWN {
            assert!(!is_guarded(&machine, program), "it runs again");
        }
        let status = machine.run(is_down);
        assert!(status.text().contains(told), "{status:?}");
        machine.run(&[&[program][..], &install].concat()).done();
        assert!(is_guarded(&machine, program));
    }
}

#[test]
fn what_is_down_stays_down_under_runit() {
    stays_down(&RUNIT, "runit", (&["sv", "status", "/etc/service/worker"], "down: "));
}

#[test]
fn what_is_down_stays_down_under_s6() {
    stays_down(&S6, "s6", (&["s6-svstat", "/run/service/worker"], "down (exitcode 0)"));
}

#[test]
fn what_is_down_stays_down_under_system_v_init() {
    stays_down(&SYSV, "sysv", (&["/etc/init.d/worker", "status"], "stopped"));
}

#[test]
fn what_is_down_stays_down_under_openrc() {
    stays_down(&OPENRC, "openrc", (&["rc-service", "worker", "status"], "stopped"));
}

/// The codes are those of LSB, and why something was not done is told.
#[test]
fn a_script_of_system_v_init_says_what_fails() {
    let Some(machine) = SYSV.boot(&[&menshen()]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    machine.run(&[program, "install", "worker", "--now", "--manager", "sysv", "--", "/bin/sleep", "3600"]).done();
    let script = |verb: &str| machine.run(&["/etc/init.d/worker", verb]);
    let log = || machine.run(&["cat", "/var/log/menshen/worker/guard.log"]).text();
    script("reload").done();
    machine.run(&["cp", "/etc/menshen/installed/worker.toml", "/shared/right.toml"]).done();
    machine.run(&["sh", "-c", "echo 'comand = 1' >>/etc/menshen/installed/worker.toml"]).done();
    let reload = script("reload").ended_with(1);
    assert!(reload.stderr.contains("comand"), "{}", reload.stderr);
    drop(script("status").ended_with(0));
    for verb in ["restart", "start"] {
        let failed = script(verb).ended_with(1);
        assert!(failed.stderr.contains("it failed at once, with code 3"), "{}", failed.stderr);
        assert!(log().contains("comand"), "{}", log());
    }
    drop(script("status").ended_with(1));
    drop(script("reload").ended_with(7));
    machine.run(&["cp", "/shared/right.toml", "/etc/menshen/installed/worker.toml"]).done();
    script("start").done();
    drop(script("status").ended_with(0));
    script("stop").done();
    drop(script("status").ended_with(3));
}

/// A guard whose services fail does not run, whatever the manager says of it.
#[test]
fn an_installation_that_fails_at_once_says_so() {
    for (init, manager) in [(&RUNIT, "runit"), (&OPENRC, "openrc")] {
        let Some(machine) = init.boot(&[&menshen()]) else { return };
        let program = Booted::path("menshen");
        let install = ["install", "worker", "--now", "--manager", manager, "--", "/bin/false"];
        let failed = machine.run(&[&[program.to_str().unwrap()][..], &install].concat()).ended_with(7);
        assert!(!failed.stderr.contains("worker: running"), "{}", failed.stderr);
    }
}
