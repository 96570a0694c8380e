//! A guard that `menshen install` has each manager run.

use menshen_tests::command::{built, menshen};
use menshen_tests::init::{Booted, Init};
use menshen_tests::wait::until;
use serde_json::Value;

use super::{OPENRC, RUNIT, S6, SYSV};

/// What there is of a manager's: names, kinds and modes.
const FILES: &str = "find /etc /run -path '*/supervise*' -prune -o -path '*/event*' -prune -o -path /run/openrc -prune -o -path \
                     '/run/utmp' -prune -o -printf '%y %m %p %l\\n' | sort";

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
    let before = machine.run(&["sh", "-c", FILES]).text();
    let install = ["install", "worker", "--now", "--manager", manager, "--", "/bin/sleep", "3600"];
    machine.run(&[&[program][..], &install].concat()).done();
    until("its service runs", || is_guarded(&machine, program));
    let again = machine.run(&[&[program][..], &install].concat()).ended_with(0).text();
    assert!(again.contains("worker: unchanged"), "{again}");
    assert!(machine.run(&[program, "diff", "worker"]).ended_with(0).text().contains("as it should be"));

    machine.run(&[program, "uninstall", "worker", "--purge"]).done();
    let left = machine.run(&["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).text();
    assert!(!left.contains("sleep 3600") && !left.contains("menshen up"), "{left}");
    let after = machine.run(&["sh", "-c", FILES]).text();
    let difference: Vec<&str> = after.lines().filter(|line| !before.lines().any(|other| other == *line)).collect();
    // The folder of guards' sockets stays as long as the machine runs.
    let unexpected: Vec<&&str> = difference.iter().filter(|line| !line.contains("/run/menshen")).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
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
