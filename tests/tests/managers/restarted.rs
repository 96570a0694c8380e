//! A service that its manager's own tool restarts.

use menshen_tests::command::menshen;
use menshen_tests::init::{Booted, Init};
use menshen_tests::wait::until;
use serde_json::Value;

use super::{RUNIT, S6};

/// The process that a guard runs.
fn process(machine: &Booted, program: &str) -> Option<u64> {
    let status = machine.run(&[program, "status", "--json"]);
    (status.code == 0).then(|| status.json::<Value>()["services"][0]["pid"].as_u64()).flatten()
}

/// The manager's tool restarts a guard twice, and then has it down; its state is asked with words, and begins so.
fn runs_again(init: &Init, manager: &str, restart: &[&str], down: &[&str], (asked, begins): (&[&str], &str)) {
    let Some(machine) = init.boot(&[&menshen()]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    machine.run(&[program, "install", "worker", "--now", "--manager", manager, "--", "/bin/sleep", "3600"]).done();
    until("its service runs", || process(&machine, program).is_some());
    for _ in 0..2 {
        let before = process(&machine, program);
        machine.run(restart).done();
        until("its service runs again", || process(&machine, program).is_some_and(|now| Some(now) != before));
    }
    machine.run(down).done();
    let said = machine.run(asked).text();
    assert!(said.starts_with(begins), "{said}");
}

#[test]
fn a_guard_that_sv_restarts_runs_again() {
    let (restart, down) = (["sv", "-w", "60", "restart", "worker"], ["sv", "-w", "60", "down", "worker"]);
    runs_again(&RUNIT, "runit", &restart, &down, (&["sv", "status", "worker"], "down: worker"));
}

#[test]
fn a_guard_that_s6_svc_restarts_runs_again() {
    let folder = "/run/service/worker";
    let (restart, down) = (["s6-svc", "-r", folder], ["s6-svc", "-wD", "-d", folder]);
    runs_again(&S6, "s6", &restart, &down, (&["s6-svstat", folder], "down"));
}
