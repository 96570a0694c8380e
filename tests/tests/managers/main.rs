//! The life-cycle suite against service managers that are really running: a row for each.

#![expect(clippy::unwrap_used, reason = "a test that fails")]
#![expect(clippy::print_stdout, reason = "what a failed test needs to be understood")]

mod disabled;
mod guard;
mod logs;
mod programs;
mod remains;
mod restarted;
mod sample;
mod secrets;

use menshen_tests::command::built;
use menshen_tests::init::{Booted, Init};
use serde_json::Value;

const RUNIT: Init = Init {
    root: "sysv",
    prepare: ":",
    command: &["runsvdir", "-P", "/etc/service"],
    is_up: &["sh", "-c", "ls /shared/* >/dev/null"],
};
const S6: Init = Init {
    root: "sysv",
    prepare: "mkdir /run/service",
    command: &["s6-svscan", "/run/service"],
    is_up: &["s6-svscanctl", "-a", "/run/service"],
};
/// Its own scripts for a whole machine are left out.
const SYSV: Init = Init {
    root: "sysv",
    prepare: "printf 'id:2:initdefault:\\nl2:2:wait:/etc/init.d/rc 2\\n' >/etc/inittab",
    command: &["/sbin/init"],
    is_up: &["sh", "-c", "runlevel | grep -q 2 || test -p /run/initctl"],
};
/// It is told that it is in a container, as it is.
const OPENRC: Init = Init {
    root: "openrc",
    prepare: "sed -i 's/^#rc_sys=.*/rc_sys=lxc/' /etc/rc.conf; rm -f /etc/runlevels/*/*",
    command: &["/sbin/openrc-init"],
    is_up: &["grep", "-q", "default", "/run/openrc/softlevel"],
};

/// Installs, starts, kills, stops and uninstalls a service in every way there is.
fn lives_as_it_must(init: &Init, manager: &str, more: &[&str]) {
    let files = ["life-cycle", "life-cycle-sample"].map(built);
    let Some(machine) = init.boot(&[&files[0], &files[1]]) else { return };
    let program = Booted::path("life-cycle");
    let sample = format!("--program={}", Booted::path("life-cycle-sample").display());
    let (manager, folder) = (format!("--manager={manager}"), format!("--folder={}", Booted::path("notes").display()));
    let words = [&[program.to_str().unwrap(), &manager, &sample, &folder], more].concat();
    let ran = machine.run(&words);
    for step in ran.json_lines::<Value>() {
        println!("{step}");
    }
    ran.done();
}

#[test]
fn a_service_of_runit_lives_as_it_must() {
    lives_as_it_must(&RUNIT, "runit", &[]);
}

#[test]
fn a_service_of_s6_lives_as_it_must() {
    lives_as_it_must(&S6, "s6", &["--protocol=none"]);
}

#[test]
fn a_service_of_s6_that_says_when_it_is_ready_lives_as_it_must() {
    lives_as_it_must(&S6, "s6", &["--protocol=native"]);
}

#[test]
fn a_service_of_system_v_init_lives_as_it_must() {
    lives_as_it_must(&SYSV, "sysv", &[]);
}

#[test]
fn a_service_of_openrc_lives_as_it_must() {
    lives_as_it_must(&OPENRC, "openrc", &[]);
}
