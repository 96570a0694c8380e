//! The life-cycle suite against service managers that are really running: a row for each.

#![expect(clippy::unwrap_used, reason = "a test that fails")]
#![expect(clippy::print_stdout, reason = "what a failed test needs to be understood")]

mod boot;
mod disabled;
mod greeter;
mod guard;
mod logs;
mod power_off;
mod programs;
mod remains;
mod restarted;
mod sample;
mod secrets;

use menshen_tests::command::built;
use menshen_tests::files::{Except, Files};
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
/// At boot it copies an image of `/run`, as s6-linux-init does.
const S6_WITH_IMAGE: Init = Init {
    prepare: "mkdir -p /etc/s6-linux-init/current/run-image/service",
    command: &["sh", "-ec", "cp -a /etc/s6-linux-init/current/run-image/. /run && exec s6-svscan /run/service"],
    ..S6
};
/// Its own scripts for a whole machine are left out.
const SYSV: Init = Init {
    root: "sysv",
    prepare: "printf '%s\\n' id:2:initdefault: 'l2:2:wait:/etc/init.d/rc 2' 'up:2:once:/bin/touch /run/up' >/etc/inittab",
    command: &["/sbin/init"],
    is_up: &["test", "-e", "/run/up"],
};
/// It is told that it is in a container, as it is.
const OPENRC: Init = Init {
    root: "openrc",
    prepare: "sed -i 's/^#rc_sys=.*/rc_sys=lxc/' /etc/rc.conf; rm -f /etc/runlevels/*/*",
    command: &["/sbin/openrc-init"],
    is_up: &["sh", "-c", "grep -q default /run/openrc/softlevel && ! test -e /run/openrc/rc.starting"],
};

/// What managers note of themselves, whatever services there are.
const NOTES: [Except; 1] =
    [Except("/run/openrc/deptree", "what all scripts say, which OpenRC reads anew once it needs that")];

/// All there is on a machine, to see that nothing is left behind or taken away.
fn files_of(machine: &Booted) -> Files {
    Files::of(|words| machine.run(words), &NOTES)
}

/// Installs, starts, kills, stops and uninstalls a service in every way there is.
fn lives_as_it_must(init: &Init, manager: &str, more: &[&str]) {
    let files = ["life-cycle", "life-cycle-sample"].map(built);
    let Some(machine) = init.boot(&[&files[0], &files[1]]) else { return };
    let program = Booted::path("life-cycle");
    let sample = format!("--program={}", Booted::path("life-cycle-sample").display());
    let (manager, folder) = (format!("--manager={manager}"), format!("--folder={}", Booted::path("notes").display()));
    let words = [&[program.to_str().unwrap(), &manager, &sample, &folder], more].concat();
    let before = files_of(&machine);
    let ran = machine.run(&words);
    for step in ran.json_lines::<Value>() {
        println!("{step}");
    }
    ran.done();
    before.assert_same(&files_of(&machine));
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
