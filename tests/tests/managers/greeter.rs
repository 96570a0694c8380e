//! The example that is written with the library: it finds out which manager there is, and has that run it.

use menshen_tests::command::{Ran, built};
use menshen_tests::init::{Booted, Init};
use menshen_tests::wait::until;
use serde_json::Value;

use super::{OPENRC, RUNIT, S6, SYSV, files_of};

/// Who runs it, and the words by which that is asked for.
const ACCOUNTS: [&[&str]; 2] = [&[], &["--account", "nobody"]];

/// A machine with the program.
struct Stage(Booted);

impl Stage {
    fn ask(&self, words: &[&str]) -> Ran {
        let program = Booted::path("greeter");
        self.0.run(&[&[program.to_str().unwrap()][..], words].concat())
    }

    fn shell(&self, script: &str) -> String {
        self.0.run(&["sh", "-ec", script]).ended_with(0).text()
    }

    fn process(&self) -> u64 {
        let status: Value = self.ask(&["status", "--json"]).ended_with(0).json();
        assert_eq!(status["state"], "running", "{status}");
        status["pid"].as_u64().unwrap()
    }

    fn await_logged(&self, words: &[&str], what: &str) {
        until(what, || self.ask(words).text().contains(what));
    }
}

/// It goes through all of its subcommands.
fn is_its_own_installer(init: &Init, manager: &str) {
    let Some(stage) = init.boot(&[&built("greeter")]).map(Stage) else { return };
    let before = files_of(&stage.0);
    for account in ACCOUNTS {
        goes_through_its_commands(&stage, manager, account);
        before.assert_same(&files_of(&stage.0));
    }
}

fn goes_through_its_commands(stage: &Stage, manager: &str, account: &[&str]) {
    drop(stage.ask(&["status"]).ended_with(4));
    for words in ["start", "stop", "restart", "uninstall", "logs"] {
        let refused = stage.ask(&[words]).ended_with(1);
        assert!(
            refused.stderr.contains(&format!("{manager} knows no service 'greeter'")),
            "{words}: {}",
            refused.stderr
        );
    }
    // The machine's loopback device is off.
    let install = [&["install"], account, &["--", "--listen", "0.0.0.0:7755"]].concat();
    let installed = stage.ask(&install).ended_with(0).text();
    assert!(installed.contains(&format!("greeter: installed with {manager}")), "{installed}");
    drop(stage.ask(&["status"]).ended_with(3));
    drop(stage.ask(&["logs"]).ended_with(0));

    stage.ask(&["start"]).done();
    let first = stage.process();
    stage.await_logged(&["logs"], "greeting whoever connects listen=0.0.0.0:7755");
    let owner = stage.shell(&format!("stat --format=%U /proc/{first}"));
    assert_eq!(owner.trim(), account.last().copied().unwrap_or("root"));
    stage.ask(&["restart"]).done();
    assert_ne!(stage.process(), first);
    // It runs a moment before it has said so.
    let greetings = || stage.ask(&["logs", "-n", "1000"]).text().matches("greeting whoever connects").count();
    until("it says so again", || greetings() == 2);

    let program = Booted::path("greeter");
    let follow = format!("{} logs -f -n 1 >/shared/followed 2>&1 </dev/null & echo $!", program.display());
    let follower = stage.shell(&follow);
    until("it is followed", || !stage.0.run(&["cat", "/shared/followed"]).text().is_empty());
    stage.ask(&["stop"]).done();
    until("what it writes arrives", || stage.0.run(&["cat", "/shared/followed"]).text().contains("stopping reason="));
    stage.shell(&format!("kill {follower}"));
    drop(stage.ask(&["status"]).ended_with(3));
    let logs = stage.ask(&["logs", "-n", "1000"]).ended_with(0).text();
    assert_eq!(logs.matches("greeting whoever connects").count(), 2, "{logs}");
    assert_eq!(logs.matches("stopping reason=").count(), 2, "{logs}");

    stage.ask(&["start"]).done();
    stage.ask(&["uninstall"]).done();
    drop(stage.ask(&["status"]).ended_with(4));
    let lines = stage.shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    assert!(!lines.contains("--listen"), "{lines}");
}

#[test]
fn a_program_of_the_librarys_is_its_own_installer_with_runit() {
    is_its_own_installer(&RUNIT, "runit");
}

#[test]
fn a_program_of_the_librarys_is_its_own_installer_with_s6() {
    is_its_own_installer(&S6, "s6");
}

#[test]
fn a_program_of_the_librarys_is_its_own_installer_with_system_v_init() {
    is_its_own_installer(&SYSV, "sysv");
}

#[test]
fn a_program_of_the_librarys_is_its_own_installer_with_openrc() {
    is_its_own_installer(&OPENRC, "openrc");
}
