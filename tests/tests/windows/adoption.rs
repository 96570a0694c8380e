//! The guard is killed, and what it guarded runs on.

use menshen_tests::wait::until;
use menshen_tests::{GuardedWindows, State};

const TWO: &str = r#"
[service.web]
command = ['C:\test\puppet.exe', "wait"]
[service.tree]
command = ['C:\test\puppet.exe', "tree"]
stop.timeout = "1s"
"#;

#[test]
fn what_runs_on_is_looked_after_by_the_next_guard_until_nothing_is_left() {
    let Some(windows) = GuardedWindows::start(TWO) else { return };
    windows.up();
    until("all run", || windows.processes_of("puppet.exe").len() == 4);
    let (before, web) = (windows.processes_of("puppet.exe"), windows.service("web").pid);
    windows.kill_guard();
    assert!(before.iter().all(menshen_tests::Process::lives), "{before:?}");
    windows.up();
    assert_eq!((windows.service("web").pid, windows.service("web").restarts_total), (web, 0));
    assert_eq!(windows.processes_of("puppet.exe").len(), 4, "there is no twin of any");
    windows.menshen(&["stop", "tree"]).done();
    assert_eq!(windows.processes_of("puppet.exe").len(), 1, "the tree is known as it was");
    windows.menshen(&["down"]).done();
    assert_eq!(windows.processes_of("puppet.exe"), []);
}

#[test]
fn how_a_program_ended_while_no_guard_was_there_is_known() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.drip]
command = ['C:\test\puppet.exe', "drip", "1500", "20"]
restart.policy = "never"
"#,
    ) else {
        return;
    };
    windows.up();
    until("it writes", || !windows.log("drip").is_empty());
    windows.kill_guard();
    until("it has ended", || windows.processes_of("puppet.exe").is_empty());
    windows.up();
    until("its end is told", || windows.service("drip").state != State::Running);
    let events = windows.events();
    assert!(events.contains("ended (exit 7) while no guard was there"), "{events}");
    let lines = (1..=1500).map(|number| format!("{number:07} {}\n", "x".repeat(11))).collect::<String>();
    until("everything it wrote is in its log", || windows.log("drip") == lines.as_bytes());
    windows.menshen(&["down"]).done();
}

#[test]
fn a_guard_that_leaves_leaves_everything() {
    let Some(windows) = GuardedWindows::start(TWO) else { return };
    windows.up();
    until("all run", || windows.processes_of("puppet.exe").len() == 4);
    let web = windows.service("web").pid;
    windows.menshen(&["down", "--leave"]).done();
    assert_eq!(windows.processes_of("puppet.exe").len(), 4);
    windows.up();
    assert_eq!(windows.service("web").pid, web);
    windows.menshen(&["down"]).done();
}
