//! What may be secret: the variables of a service's environment are seen by those alone who run it.

use menshen_tests::init::Init;
use menshen_tests::wait::until;

use super::sample::{NAME, Stage};
use super::{OPENRC, RUNIT, S6, SYSV};

/// A part of the sample's variable that no quoting changes, and none of its arguments has.
const PART: &str = "%n %PATH% $HOME ${HOME}";
/// Somebody without any rights.
const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

fn are_seen_by_nobody_else(init: &Init, manager: &'static str) {
    let Some(stage) = Stage::boot(init, manager) else { return };
    stage.ask(&["--install"]).done();
    let (machine, folder) = (&stage.machine, Stage::notes(NAME));
    let runs = folder.join("runs");
    let has_arrived = || machine.run(&["grep", "-qF", PART, runs.to_str().unwrap()]).code == 0;
    until("the program has noted what it was given", has_arrived);

    let search = ["grep", "-rslF", PART, "/etc", "/run", "/var", "/usr/local"];
    let holders = machine.run(&search).text();
    assert!(holders.lines().count() == 1, "one file has it: {holders}");
    let seen = machine.run(&[&NOBODY[..], &search].concat());
    assert!(seen.text().is_empty(), "others can read it in {}", seen.text());
    let seen = machine.run(&[&NOBODY[..], &["sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null"]].concat());
    assert!(!seen.text().contains(PART), "others can see it in a process");
    let lines = stage.command_lines();
    assert!(lines.contains("life-cycle-sample") && !lines.contains(PART), "{lines}");
}

#[test]
fn variables_of_runit_are_seen_by_nobody_else() {
    are_seen_by_nobody_else(&RUNIT, "runit");
}

#[test]
fn variables_of_s6_are_seen_by_nobody_else() {
    are_seen_by_nobody_else(&S6, "s6");
}

#[test]
fn variables_of_system_v_init_are_seen_by_nobody_else() {
    are_seen_by_nobody_else(&SYSV, "sysv");
}

#[test]
fn variables_of_openrc_are_seen_by_nobody_else() {
    are_seen_by_nobody_else(&OPENRC, "openrc");
}
