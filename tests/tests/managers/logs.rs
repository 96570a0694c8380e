//! What a service writes: it is kept, and by a supervisor that has a program for that not without end.

use menshen_tests::init::Init;
use menshen_tests::wait::until;

use super::sample::Stage;
use super::{OPENRC, RUNIT, S6, SYSV};

/// Writes to both, and more than is kept.
const CHATTY: &str = "#!/bin/sh\nyes 'a line among many others of its kind' | head -c 15000000\necho\necho to stdout\necho to stderr >&2\nexec \
                      sleep 3600";
/// What is kept: ten old files and the one that grows, of a megabyte each.
const BYTES_MAX: u64 = 11_500_000;

fn is_kept_and_rotated(init: &Init, manager: &'static str) {
    let Some(stage) = Stage::boot(init, manager) else { return };
    let stage = stage.with_script(CHATTY);
    stage.ask(&["--install"]).done();
    stage.await_shown("running auto");
    let folder = format!("/var/log/{manager}/menshen-life-cycle");
    let last = format!("tail -n 2 {folder}/current");
    until("its last lines are kept, with the time", || {
        let last = stage.machine.run(&["sh", "-c", &last]).text();
        let lines: Vec<&str> = last.lines().collect();
        matches!(lines[..], [one, two] if one.starts_with("20") && one.ends_with(" to stdout") && two.ends_with(" to stderr"))
    });
    let files = stage.machine.run(&["sh", "-c", &format!("ls {folder}")]).text();
    assert!(files.lines().filter(|file| file.starts_with('@')).count() >= 9, "old ones are kept: {files}");
    let size = format!("cat {folder}/@* {folder}/current | wc -c");
    let size: u64 = stage.machine.run(&["sh", "-c", &size]).text().trim().parse().unwrap();
    assert!((9_000_000..BYTES_MAX).contains(&size), "{size} bytes are kept: {files}");
    let seen = stage.machine.run(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ls", &folder]);
    assert!(seen.code != 0, "others can look into it: {seen:?}");

    stage.ask(&["--uninstall"]).done();
    let left = stage.machine.run(&["ls", "-A", "/var/log"]).text();
    assert!(!left.lines().any(|name| name == manager), "{left}");
    assert!(!stage.command_lines().contains("/var/log"), "nobody writes any more");
}

#[test]
fn what_a_service_of_runit_writes_is_kept_and_rotated() {
    is_kept_and_rotated(&RUNIT, "runit");
}

#[test]
fn what_a_service_of_s6_writes_is_kept_and_rotated() {
    is_kept_and_rotated(&S6, "s6");
}

/// Writes to both.
const PLAIN: &str = "#!/bin/sh\necho to stdout\necho to stderr >&2\nexec sleep 3600";

/// Where its manager leads it into a file. logrotate(8) is told of that.
fn is_kept(init: &Init, manager: &'static str) {
    let Some(stage) = Stage::boot(init, manager) else { return };
    let stage = stage.with_script(PLAIN);
    stage.ask(&["--install"]).done();
    stage.await_shown("running auto");
    let file = format!("/var/log/{manager}/menshen-life-cycle/current");
    let lines = || {
        let text = stage.machine.run(&["cat", &file]).text();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    until("both are there", || lines() == ["to stderr", "to stdout"]);
    stage.ask(&["--tell", "restart"]).done();
    until("so is what it wrote before", || lines() == ["to stderr", "to stderr", "to stdout", "to stdout"]);
    let seen = stage.machine.run(&["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "cat", &file]);
    assert!(seen.code != 0, "others can read it: {seen:?}");
    let rotation = "/etc/logrotate.d/menshen-menshen-life-cycle.conf";
    assert!(stage.machine.run(&["grep", "-F", &file, rotation]).code == 0);

    // Some machines empty /var/log when they boot.
    let modes = || stage.machine.run(&["sh", "-c", "stat -c %a ${0%/*/*} ${0%/*}", &file]).text();
    let before = modes();
    stage.ask(&["--tell", "stop"]).done();
    stage.machine.run(&["rm", "-r", &format!("/var/log/{manager}")]).done();
    stage.ask(&["--tell", "start"]).done();
    until("its folder is there again", || lines() == ["to stderr", "to stdout"]);
    assert_eq!(modes(), before);

    // It runs also where nothing can be kept.
    stage.ask(&["--tell", "stop"]).done();
    stage.machine.run(&["sh", "-ec", "rm -r \"${0%/*}\" && touch \"${0%/*}\"", &file]).done();
    stage.ask(&["--tell", "start"]).done();
    stage.await_shown("running auto");
    stage.machine.run(&["sh", "-ec", "rm \"${0%/*}\"", &file]).done();
    stage.ask(&["--uninstall"]).done();
    let left = stage.machine.run(&["sh", "-c", "ls -A /var/log /etc/logrotate.d"]).text();
    assert!(!left.contains("menshen") && !left.lines().any(|name| name == manager), "{left}");
}

#[test]
fn what_a_service_of_openrc_writes_is_kept() {
    is_kept(&OPENRC, "openrc");
}

#[test]
fn what_a_service_of_system_v_init_writes_is_kept() {
    is_kept(&SYSV, "sysv");
}
