//! What happens when the machine is switched on again: what is enabled runs, and what is not does not.

use menshen_tests::command::menshen;
use menshen_tests::init::{Booted, Init};
use menshen_tests::wait::until;
use serde_json::Value;

use super::sample::Stage;
use super::{OPENRC, RUNIT, S6_WITH_IMAGE, SYSV};

/// A service, how it is installed, what it is told then, and what is shown of it after the boot.
struct Case {
    name: &'static str,
    install: &'static [&'static str],
    told: Option<&'static str>,
    shown: &'static str,
}

const EVERYWHERE: [Case; 3] = [
    Case { name: "enabled", install: &["--install"], told: None, shown: "running auto " },
    Case { name: "disabled", install: &["--install"], told: Some("disable"), shown: "stopped manual" },
    Case { name: "by-hand", install: &["--install", "--start", "manual"], told: None, shown: "stopped manual" },
];
/// Not every manager keeps somebody from starting what is disabled.
const NEVER: Case =
    Case { name: "never", install: &["--install", "--start", "disabled"], told: None, shown: "stopped disabled" };

/// How often a program has been started.
fn runs(stage: &Stage, name: &str) -> usize {
    let file = Stage::notes(name).join("runs");
    stage.machine.run(&["cat", file.to_str().unwrap()]).text().lines().count()
}

fn shown(stage: &Stage, name: &str) -> String {
    stage.ask_of(name, &["--show"]).ended_with(0).text().trim().to_owned()
}

fn what_is_enabled_runs_after_a_boot(init: &Init, manager: &'static str, more: &[Case]) {
    let Some(mut stage) = Stage::boot_with_disk(init, manager) else { return };
    let cases = || EVERYWHERE.iter().chain(more);
    for case in cases() {
        stage.ask_of(case.name, case.install).done();
        if !case.install.contains(&"--start") {
            // It notes its run a moment after it was started.
            until("it runs", || shown(&stage, case.name).starts_with("running") && runs(&stage, case.name) == 1);
        }
        if let Some(verb) = case.told {
            stage.ask_of(case.name, &["--tell", verb]).done();
        }
    }
    let before: Vec<usize> = cases().map(|case| runs(&stage, case.name)).collect();
    stage.machine.boot_again();
    let is_up = || shown(&stage, "enabled").starts_with("running") && runs(&stage, "enabled") == 2;
    until("what is enabled runs", is_up);
    for (case, before) in cases().zip(before) {
        let shown = shown(&stage, case.name);
        assert!(shown.starts_with(case.shown), "{} is {shown}", case.name);
        let is_running = case.shown.starts_with("running");
        assert_eq!(runs(&stage, case.name), before + usize::from(is_running), "{}", case.name);
    }
    // One that did not start can be, and all can be uninstalled as if there had been no boot.
    stage.ask_of("by-hand", &["--tell", "start"]).done();
    until("it runs", || shown(&stage, "by-hand").starts_with("running manual"));
    for case in cases() {
        stage.ask_of(case.name, &["--uninstall"]).done();
        assert_eq!(shown(&stage, case.name), "not-installed");
    }
}

#[test]
fn what_is_enabled_runs_after_a_boot_with_runit() {
    what_is_enabled_runs_after_a_boot(&RUNIT, "runit", &[NEVER]);
}

#[test]
fn what_is_enabled_runs_after_a_boot_with_s6() {
    what_is_enabled_runs_after_a_boot(&S6_WITH_IMAGE, "s6", &[NEVER]);
}

#[test]
fn what_is_enabled_runs_after_a_boot_with_system_v_init() {
    what_is_enabled_runs_after_a_boot(&SYSV, "sysv", &[]);
}

#[test]
fn what_is_enabled_runs_after_a_boot_with_openrc() {
    what_is_enabled_runs_after_a_boot(&OPENRC, "openrc", &[]);
}

/// The processes that a guard runs, by their services' names.
fn guarded(machine: &Booted, program: &str, guard: &str) -> Vec<(String, Option<u64>)> {
    let status = machine.run(&[program, "--instance", guard, "status", "--json"]);
    // Without a guard there is no status.
    if !matches!(status.code, 0 | 3) {
        return Vec::new();
    }
    let status: Value = status.json();
    let services = status["services"].as_array().unwrap().iter();
    services.map(|service| (service["name"].as_str().unwrap().to_owned(), service["pid"].as_u64())).collect()
}

/// An enabled guard runs what it guarded, and one that was disabled does not.
fn a_guard_runs_after_a_boot(init: &Init, manager: &str) {
    let Some(mut machine) = init.boot_with_disk(&[&menshen()]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    let runs = |machine: &Booted, name: &str| matches!(&guarded(machine, program, name)[..], [(_, Some(_))]);
    for name in ["worker", "idler"] {
        let install = ["install", name, "--now", "--manager", manager, "--", "/bin/sleep", "3600"];
        machine.run(&[&[program][..], &install].concat()).done();
        until("its service runs", || runs(&machine, name));
    }
    machine.run(&[program, "disable", "idler"]).done();
    machine.boot_again();
    until("the guard runs again, and its service", || runs(&machine, "worker"));
    assert_eq!(guarded(&machine, program, "idler"), []);
    let lines = machine.run(&["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).text();
    assert_eq!(lines.matches("sleep 3600").count(), 1, "{lines}");
    for name in ["worker", "idler"] {
        machine.run(&[program, "uninstall", name, "--purge"]).done();
    }
    let left = machine.run(&["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).text();
    assert!(!left.contains("sleep 3600") && !left.contains("menshen up"), "{left}");
}

#[test]
fn a_guard_runs_after_a_boot_with_runit() {
    a_guard_runs_after_a_boot(&RUNIT, "runit");
}

#[test]
fn a_guard_runs_after_a_boot_with_s6() {
    a_guard_runs_after_a_boot(&S6_WITH_IMAGE, "s6");
}

#[test]
fn a_guard_runs_after_a_boot_with_system_v_init() {
    a_guard_runs_after_a_boot(&SYSV, "sysv");
}

#[test]
fn a_guard_runs_after_a_boot_with_openrc() {
    a_guard_runs_after_a_boot(&OPENRC, "openrc");
}

/// A service that brings up the network and takes its time. It is in no run level.
const NETWORK: &str = "printf '%s\\n' '#!/sbin/openrc-run' 'depend() { provide net; }' \
                       'start() { sleep 1; touch /run/network; }' >/etc/init.d/network && chmod +x /etc/init.d/network";

/// It waits for the network where somebody brings that up; where nobody does, it runs, as the tests above show.
#[test]
fn a_guard_of_openrc_waits_for_the_network() {
    let Some(mut machine) = OPENRC.boot_with_disk(&[&menshen()]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    machine.run(&["sh", "-ec", NETWORK]).done();
    let look = "ls /run/network >/shared/seen 2>&1; exec sleep 3600";
    machine.run(&[program, "install", "worker", "--manager", "openrc", "--", "/bin/sh", "-c", look]).done();
    machine.boot_again();
    let mut seen = String::new();
    until("it has looked for the network", || {
        seen = machine.run(&["cat", "/shared/seen"]).text();
        seen.ends_with('\n')
    });
    assert_eq!(seen, "/run/network\n");
}
