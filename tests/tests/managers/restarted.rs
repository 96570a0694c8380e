//! A service that its manager's own tool restarts.

use menshen_tests::command::{built, menshen};
use menshen_tests::init::Booted;
use menshen_tests::wait::until;
use serde_json::Value;

use super::RUNIT;

/// The process of the guard, and that of what it runs.
fn process(machine: &Booted, program: &str) -> Option<u64> {
    let status = machine.run(&[program, "status", "--json"]);
    (status.code == 0).then(|| status.json::<Value>()["services"][0]["pid"].as_u64()).flatten()
}

#[test]
fn a_guard_that_sv_restarts_runs_again() {
    let files = [menshen(), built("life-cycle-sample")];
    let Some(machine) = RUNIT.boot(&[&files[0], &files[1]]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    machine.run(&[program, "install", "worker", "--now", "--manager", "runit", "--", "/bin/sleep", "3600"]).done();
    until("its service runs", || process(&machine, program).is_some());
    for _ in 0..2 {
        let before = process(&machine, program);
        machine.run(&["sv", "-w", "60", "restart", "worker"]).ended_with(0);
        until("its service runs again", || process(&machine, program).is_some_and(|now| Some(now) != before));
    }
    // Told to stay down, it does.
    machine.run(&["sv", "-w", "60", "down", "worker"]).ended_with(0);
    let said = machine.run(&["sv", "status", "worker"]).text();
    assert!(said.starts_with("down: worker"), "{said}");
}
