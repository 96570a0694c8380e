//! The unit of the docs: what becomes of the programs when systemd or the guard stops, starts, dies or changes.

use menshen_tests::in_order::{DEFINITION, PROGRAM, STARTED, STOPPED};
use menshen_tests::machine::Machine;
use menshen_tests::wait::until;

const UNIT: &str = "menshen-shop.service";
/// The unit is the one in the docs.
const DOCS: &str = include_str!("../../../docs/systemd.md");

/// What stands between the lines that mark the unit in the docs.
fn unit() -> String {
    let (_, after) = DOCS.split_once("```ini\n").expect("the docs have the unit");
    let (unit, _) = after.split_once("```").expect("the unit ends");
    unit.to_owned()
}

/// A machine on which the unit is started.
fn guarded() -> Option<Machine> {
    let machine = Machine::boot(&[("shop.toml", DEFINITION), ("program", PROGRAM)])?;
    machine.run(&["mkdir", "/etc/menshen"]).done();
    machine.run(&["cp", "/shared/shop.toml", "/etc/menshen/shop.toml"]).done();
    machine.install(UNIT, &unit());
    machine.run(&["systemctl", "start", UNIT]).done();
    // It is started once the guard guards; what is guarded is up a little later.
    assert_eq!(machine.property(UNIT, "ActiveState"), "active");
    until("what is guarded is up", || machine.run(&["menshen", "status"]).code == 0);
    assert_eq!(machine.await_lines("notes", 2), STARTED);
    Some(machine)
}

/// The processes of the services, as the machine counts them.
fn programs(machine: &Machine) -> Vec<u64> {
    let services: serde_json::Value = machine.run(&["menshen", "status", "--json"]).ended_with(0).json();
    let services = services["services"].as_array().unwrap().iter();
    services.map(|service| service["pid"].as_u64().unwrap_or_else(|| panic!("{service}"))).collect()
}

/// The services take longer to end than the unit is given: the guard asks for more.
fn leave_less_time_than_is_needed(machine: &Machine) {
    machine.run(&["mkdir", "/run/systemd/system/menshen-shop.service.d"]).done();
    let short = "printf '[Service]\\nTimeoutStopSec=1s\\n' > /run/systemd/system/menshen-shop.service.d/short.conf";
    machine.run(&["sh", "-c", short]).done();
    machine.run(&["systemctl", "daemon-reload"]).done();
}

fn main_pid(machine: &Machine) -> String {
    machine.property(UNIT, "MainPID")
}

#[test]
fn a_guard_that_is_killed_is_started_again_and_finds_its_programs() {
    let Some(machine) = guarded() else { return };
    let (programs_before, guard) = (programs(&machine), main_pid(&machine));
    machine.run(&["systemctl", "kill", "--kill-whom=main", "--signal=KILL", UNIT]).done();
    until("another guard is there", || !["0", &guard].contains(&&*main_pid(&machine)));
    until("it answers", || machine.run(&["menshen", "status"]).code == 0);
    assert_eq!(programs(&machine), programs_before);
    assert_eq!(machine.property(UNIT, "NRestarts"), "1");
    machine.run(&["systemctl", "stop", UNIT]).done();
    assert_eq!(machine.lines("notes"), STOPPED);
    assert!(machine.is_empty(UNIT));
}

#[test]
fn a_restart_of_the_unit_is_one_of_the_guard_alone() {
    let Some(machine) = guarded() else { return };
    for verb in ["restart", "try-restart"] {
        let (programs_before, guard) = (programs(&machine), main_pid(&machine));
        machine.run(&["systemctl", verb, UNIT]).done();
        assert_ne!(main_pid(&machine), guard, "{verb}");
        assert_eq!(programs(&machine), programs_before, "{verb}");
    }
    assert_eq!(machine.lines("notes"), STARTED);
    machine.run(&["systemctl", "stop", UNIT]).done();
    assert_eq!(machine.lines("notes"), STOPPED);
}

#[test]
fn a_new_systemd_and_a_reload_of_units_are_not_noticed() {
    let Some(machine) = guarded() else { return };
    let before = (programs(&machine), main_pid(&machine));
    machine.run(&["systemctl", "daemon-reload"]).done();
    machine.run(&["systemctl", "daemon-reexec"]).done();
    assert_eq!((programs(&machine), main_pid(&machine)), before);
    machine.run(&["systemctl", "reload", UNIT]).done();
    assert_eq!((programs(&machine), main_pid(&machine)), before);
    machine.run(&["systemctl", "stop", UNIT]).done();
    assert_eq!(machine.lines("notes"), STOPPED);
}

#[test]
fn a_stop_of_the_unit_stops_all_in_reverse_order_and_is_over_when_nothing_is_left() {
    let Some(machine) = guarded() else { return };
    leave_less_time_than_is_needed(&machine);
    machine.run(&["systemctl", "stop", UNIT]).done();
    assert_eq!(machine.lines("notes"), STOPPED);
    assert_eq!(machine.property(UNIT, "ActiveState"), "inactive");
    assert_eq!(machine.property(UNIT, "Result"), "success");
    assert!(machine.is_empty(UNIT));
    let left = machine.run(&["sh", "-c", "cat /proc/*/cmdline"]).text();
    assert!(left.contains("systemd") && !left.contains("/shared/program") && !left.contains("3600"), "{left}");
}

#[test]
fn a_machine_that_goes_down_stops_all_in_reverse_order() {
    let Some(mut machine) = guarded() else { return };
    leave_less_time_than_is_needed(&machine);
    assert!(machine.power_off().success());
    assert_eq!(machine.lines("notes"), STOPPED);
}

#[test]
fn a_guard_that_is_asked_to_end_is_not_started_again() {
    let Some(machine) = guarded() else { return };
    machine.run(&["menshen", "down"]).done();
    until("the unit has ended", || machine.property(UNIT, "ActiveState") == "inactive");
    assert_eq!(machine.property(UNIT, "Result"), "success");
    assert_eq!(machine.lines("notes"), STOPPED);
    assert!(machine.is_empty(UNIT));
}

#[test]
fn an_upgrade_is_not_noticed_by_systemd() {
    let Some(machine) = guarded() else { return };
    let before = (programs(&machine), main_pid(&machine));
    machine.run(&["cp", "/usr/bin/menshen", "/usr/bin/menshen-next"]).done();
    machine.run(&["menshen-next", "upgrade"]).done();
    let executes = machine.run(&["readlink", &format!("/proc/{}/exe", before.1)]).text();
    assert_eq!(executes.trim(), "/usr/bin/menshen-next");
    assert_eq!((programs(&machine), main_pid(&machine)), before);
    assert_eq!(
        (machine.property(UNIT, "ActiveState"), machine.property(UNIT, "NRestarts")),
        ("active".into(), "0".into())
    );
    machine.run(&["systemctl", "restart", UNIT]).done();
    assert_eq!(programs(&machine), before.0);
    machine.run(&["systemctl", "stop", UNIT]).done();
    assert_eq!(machine.lines("notes"), STOPPED);
    assert!(machine.is_empty(UNIT));
}

/// Has systemd wait less long than the docs say for a sign of life.
fn shorten_watchdog(machine: &Machine) {
    machine.run(&["mkdir", "-p", "/run/systemd/system/menshen-shop.service.d"]).done();
    let short = "printf '[Service]\\nWatchdogSec=2s\\n' > /run/systemd/system/menshen-shop.service.d/watchdog.conf";
    machine.run(&["sh", "-c", short]).done();
    machine.run(&["systemctl", "daemon-reload"]).done();
    machine.run(&["systemctl", "restart", UNIT]).done();
    assert_eq!(machine.property(UNIT, "WatchdogUSec"), "2s");
}

#[test]
fn a_guard_that_hangs_is_ended_and_started_again_and_finds_its_programs() {
    let Some(machine) = guarded() else { return };
    assert_eq!(machine.property(UNIT, "WatchdogUSec"), "3min");
    shorten_watchdog(&machine);
    // One that lives is left alone.
    for _ in 0..4 {
        let last = machine.property(UNIT, "WatchdogTimestampMonotonic");
        until("it says that it lives", || machine.property(UNIT, "WatchdogTimestampMonotonic") != last);
    }
    let (programs_before, guard) = (programs(&machine), main_pid(&machine));
    assert_eq!(machine.property(UNIT, "NRestarts"), "0");
    machine.run(&["systemctl", "kill", "--kill-whom=main", "--signal=STOP", UNIT]).done();
    until("another guard is there", || !["0", &guard].contains(&&*main_pid(&machine)));
    until("it answers", || machine.run(&["menshen", "status"]).code == 0);
    assert_eq!(programs(&machine), programs_before);
    assert_eq!(machine.property(UNIT, "NRestarts"), "1");
    assert!(machine.journal(UNIT).contains("watchdog"), "{}", machine.journal(UNIT));
    assert_eq!(machine.lines("notes"), STARTED);
    machine.run(&["systemctl", "stop", UNIT]).done();
    assert_eq!(machine.lines("notes"), STOPPED);
    assert_eq!(machine.property(UNIT, "Result"), "success");
}

#[test]
fn systemd_shows_how_what_is_guarded_stands() {
    let Some(machine) = guarded() else { return };
    let shows = |text: &str| until(text, || machine.property(UNIT, "StatusText") == text);
    shows("guarding 2 services");
    machine.run(&["menshen", "pause", "web"]).done();
    shows("guarding 2 services: 1 paused");
    assert_eq!(machine.property(UNIT, "ActiveState"), "active");
    machine.run(&["menshen", "continue", "web"]).done();
    shows("guarding 2 services");
}

/// How much the unit could do, from 0 to 10, as systemd counts it.
fn exposure(machine: &Machine, unit: &str) -> String {
    let told = machine.run(&["systemd-analyze", "security", "--no-pager", unit]).ended_with(0).text();
    let last =
        told.lines().rev().find(|line| line.contains("Overall exposure level")).unwrap_or_else(|| panic!("{told}"));
    last.rsplit(": ").next().and_then(|words| words.split_whitespace().next()).unwrap_or_default().to_owned()
}

#[test]
fn what_the_docs_say_of_the_guards_own_exposure_is_so() {
    let Some(machine) = guarded() else { return };
    machine.run(&["menshen", "install", "--now", "worker", "--", "sleep", "3600"]).done();
    let (of_docs, installed) = (exposure(&machine, UNIT), exposure(&machine, "worker.service"));
    assert_eq!(of_docs, installed, "the unit of the docs and that of an installation");
    assert!(DOCS.contains(&format!("a guard's own unit has {of_docs}")), "docs/systemd.md does not say {of_docs}");
}
