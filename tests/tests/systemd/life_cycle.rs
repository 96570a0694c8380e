//! The life-cycle suite against a real systemd, and what only systemd has.

use std::fs;

use menshen_tests::command::{Ran, built};
use menshen_tests::machine::{Machine, SHARED};
use menshen_tests::wait::until;
use serde_json::Value;

use super::files_of;

const UNIT: &str = "menshen-life-cycle.service";
/// They say how much a service is hardened.
const DOCS: &str = include_str!("../../../docs/systemd.md");
/// Whoever has services of their own.
const USER: &str = "ann";
const PROGRAMS: [&str; 2] = ["life-cycle", "life-cycle-sample"];

/// Puts the suite and its sample into a machine.
fn equipped(machine: Machine) -> Machine {
    for name in PROGRAMS {
        fs::copy(built(name), machine.path(name)).unwrap();
    }
    machine
}

/// The suite, with further arguments.
fn life_cycle(machine: &Machine, surroundings: &[&str], arguments: &[&str]) -> Ran {
    let (program, sample) = (format!("{SHARED}/life-cycle"), format!("--program={SHARED}/life-cycle-sample"));
    let folder = format!("--folder={SHARED}/notes");
    let own = [program.as_str(), "--manager=systemd", &sample, &folder];
    machine.run(&[surroundings, &own, arguments].concat())
}

/// Every step was as it must be, and there were some; what there was to tell.
fn all_done(ran: Ran, count_min: usize) -> Vec<String> {
    let steps: Vec<Value> = ran.json_lines();
    steps.iter().for_each(|step| println!("{step}"));
    assert!(steps.len() >= count_min, "{ran:?}");
    assert!(steps.iter().all(|step| step["outcome"] == "done"), "{ran:?}");
    ran.done();
    steps.iter().filter_map(|step| step["told"].as_str().map(str::to_owned)).collect()
}

/// Has a service manager run a command: logind wants to know of everybody who asks where they belong.
fn run_there(machine: &Machine, options: &[&str], words: &[&str]) -> Ran {
    machine.run(&[&["systemd-run", "--quiet", "--wait", "--pipe"], options, &["--"], words].concat())
}

#[test]
fn a_service_of_the_machine_lives_as_it_must() {
    let Some(machine) = Machine::boot(&[]).map(equipped) else { return };
    let before = files_of(&machine);
    let _ = all_done(life_cycle(&machine, &[], &[]), 17);
    before.assert_same(&files_of(&machine));
}

#[test]
fn what_only_systemd_has_is_had() {
    let Some(machine) = Machine::boot(&[]).map(equipped) else { return };
    let told = all_done(life_cycle(&machine, &[], &["--further"]), 17);
    let exposures = told.iter().find_map(|told| told.strip_prefix("exposure ")).unwrap_or_else(|| panic!("{told:?}"));
    let words: Vec<&str> = exposures.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let ["none", none, "standard", standard, "strict", strict] = words.as_slice() else { panic!("{exposures}") };
    let claim = format!("{none} without hardening, {standard} with `standard`, {strict} with `strict`");
    // Line breaks are where they fit.
    let docs = DOCS.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(docs.contains(&claim), "docs/systemd.md does not say: {claim}");
}

#[test]
fn a_service_of_a_user_lives_as_it_must_and_without_a_session() {
    let Some(machine) = Machine::boot(&[]).map(equipped) else { return };
    machine.run(&["useradd", "--create-home", USER]).done();
    let id = machine.run(&["id", "-u", USER]).text().trim().to_owned();
    let runtime = format!("--setenv=XDG_RUNTIME_DIR=/run/user/{id}");
    let home = format!("--setenv=HOME={}", machine.run(&["sh", "-c", &format!("echo ~{USER}")]).text().trim());
    let user = format!("--uid={USER}");
    let name = format!("--setenv=USER={USER}");
    let as_user = ["systemd-run", "--quiet", "--wait", "--pipe", &user, &runtime, &home, &name, "--"];
    fs::create_dir(machine.path("notes")).unwrap();
    machine.run(&["chown", USER, &format!("{SHARED}/notes")]).done();

    let without = life_cycle(&machine, &as_user, &["--scope=user", "--tell=start"]);
    assert_eq!(without.code, 2);
    assert!(without.stderr.contains("loginctl enable-linger ann"), "{}", without.stderr);

    run_there(&machine, &[], &["loginctl", "enable-linger", USER]).done();
    let bus = format!("/run/user/{id}/bus");
    until("the user's systemd is there", || machine.run(&["test", "-S", &bus]).code == 0);
    let _ = all_done(life_cycle(&machine, &as_user, &["--scope=user"]), 17);
}

#[test]
fn an_enabled_service_runs_after_the_machine_was_booted_again() {
    let Some(mut machine) = Machine::boot_with_disk(&[]).map(equipped) else { return };
    life_cycle(&machine, &[], &["--install"]).done();
    assert_eq!(machine.lines("notes/runs").len(), 1);
    assert_eq!(machine.property(UNIT, "ActiveState"), "active");
    machine.boot_again();
    assert_eq!(machine.lines("notes/told"), ["stop"]);
    let _ = machine.await_lines("notes/runs", 2);
    until("it is active", || machine.property(UNIT, "ActiveState") == "active");
    life_cycle(&machine, &[], &["--tell=disable"]).done();
    machine.boot_again();
    assert_eq!(machine.property(UNIT, "ActiveState"), "inactive");
    assert_eq!(machine.lines("notes/runs").len(), 2);
}

#[test]
fn whoever_may_not_is_told_so() {
    let Some(machine) = Machine::boot(&[]).map(equipped) else { return };
    life_cycle(&machine, &[], &["--install"]).done();
    let nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"];
    for verb in ["stop", "restart", "disable"] {
        let refused = life_cycle(&machine, &nobody, &[&format!("--tell={verb}")]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("NotPermitted"), "{refused:?}");
    }
    assert_eq!(machine.property(UNIT, "ActiveState"), "active");
}
