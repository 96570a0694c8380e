//! What is left of a service that was uninstalled, however it was: nothing.

use menshen_tests::init::Init;

use super::sample::Stage;
use super::{OPENRC, RUNIT, S6, SYSV, files_of};

/// How a service is when it is uninstalled.
#[derive(Debug, Clone, Copy)]
enum Found {
    NeverStarted,
    Running,
    Stopped,
    Failed,
}

const EVERY: [Found; 4] = [Found::NeverStarted, Found::Running, Found::Stopped, Found::Failed];

impl Found {
    fn bring_about(self, stage: &Stage) {
        let install: &[&str] = match self {
            Self::NeverStarted => &["--install", "--start", "manual"],
            Self::Running | Self::Stopped | Self::Failed => &["--install"],
        };
        stage.ask(&[install, &["--restart", "nobody"]].concat()).done();
        match self {
            Self::NeverStarted => drop(stage.await_shown("stopped manual")),
            Self::Running => drop(stage.await_shown("running auto")),
            Self::Stopped => {
                stage.await_shown("running auto");
                stage.ask(&["--tell", "stop"]).done();
            }
            Self::Failed => {
                let shown = stage.await_shown("running auto ");
                let pid = shown.rsplit(' ').next().unwrap();
                stage.machine.run(&["sh", "-c", "kill -s KILL \"$0\"", pid]).done();
                stage.await_shown("failed auto");
            }
        }
    }
}

fn nothing_is_left(init: &Init, manager: &'static str) {
    let Some(stage) = Stage::boot(init, manager) else { return };
    let before = files_of(&stage.machine);
    for found in EVERY {
        found.bring_about(&stage);
        stage.ask(&["--uninstall"]).done();
        println!("{found:?}");
        before.assert_same(&files_of(&stage.machine));
        let lines = stage.command_lines();
        assert!(!lines.contains("life-cycle"), "{found:?}: {lines}");
    }
}

#[test]
fn nothing_is_left_of_a_service_of_runit() {
    nothing_is_left(&RUNIT, "runit");
}

#[test]
fn nothing_is_left_of_a_service_of_s6() {
    nothing_is_left(&S6, "s6");
}

#[test]
fn nothing_is_left_of_a_service_of_system_v_init() {
    nothing_is_left(&SYSV, "sysv");
}

#[test]
fn nothing_is_left_of_a_service_of_openrc() {
    nothing_is_left(&OPENRC, "openrc");
}
