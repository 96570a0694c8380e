//! The machine goes down: what a guard guards is stopped in reverse order, and has the time it takes for that.

use menshen_tests::command::menshen;
use menshen_tests::in_order::{DEFINITION, PROGRAM, STARTED, STOPPED};
use menshen_tests::init::{Booted, Init};
use menshen_tests::wait::until;

use super::{OPENRC, RUNIT, S6, SYSV};

/// What a machine of runit does at its end, when nothing is to be started any more.
const STAGE_3: &str = "sv -w196 force-stop /etc/service/*; sv exit /etc/service/*";

/// Installs a guard, ends the machine in the way of its manager, and looks who ended when.
fn stops_all_in_order(init: &Init, manager: &str, power_off: &[&str], is_off: impl Fn(&mut Booted) -> bool) {
    let Some(mut machine) = init.boot(&[&menshen()]) else { return };
    machine.share("program", PROGRAM);
    machine.share("shop.toml", DEFINITION);
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    machine.run(&[program, "install", "--file", "/shared/shop.toml", "--now", "--manager", manager]).done();
    until("what is guarded is up", || machine.run(&[program, "status"]).code == 0);
    let notes = |machine: &Booted| -> Vec<String> {
        std::fs::read_to_string(machine.shared("notes")).unwrap().lines().map(str::to_owned).collect()
    };
    assert_eq!(notes(&machine), STARTED);
    // A machine that is off answers nothing.
    let _ = machine.run(power_off);
    until("it is off", || is_off(&mut machine));
    assert_eq!(notes(&machine), STOPPED);
}

#[test]
fn all_is_stopped_in_order_where_runit_ends_a_machine() {
    // What comes after it, in a machine that is none of namespaces, has nothing left to stop.
    stops_all_in_order(&RUNIT, "runit", &["sh", "-c", STAGE_3], |machine| {
        !machine.run(&["sh", "-c", "cat /proc/[0-9]*/cmdline"]).text().contains("runsv\0")
    });
}

#[test]
fn all_is_stopped_in_order_where_s6_ends_a_machine() {
    stops_all_in_order(&S6, "s6", &["s6-svscanctl", "-t", "/run/service"], Booted::is_off);
}

#[test]
fn all_is_stopped_in_order_where_system_v_init_ends_a_machine() {
    // What it runs in runlevel 0, its end, before it kills all that is left.
    let runlevel_0 = "for script in /etc/rc0.d/K01*; do $script stop; done; touch /shared/off";
    stops_all_in_order(&SYSV, "sysv", &["sh", "-c", runlevel_0], |machine| machine.shared("off").exists());
}

#[test]
fn all_is_stopped_in_order_where_openrc_ends_a_machine() {
    stops_all_in_order(&OPENRC, "openrc", &["openrc-shutdown", "--poweroff", "now"], Booted::is_off);
}
