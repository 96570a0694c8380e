//! Nothing of a service is left when it is stopped.
//!
//! Under Wine, Ctrl-Break ends every process that is attached to the console, whatever it handles: so what cannot be asked to
//! end is what has left it, unless it has a window.

use std::fs;

use menshen_tests::wait::until;
use menshen_tests::{GuardedWindows, State};

#[test]
fn a_tree_that_hears_nothing_is_killed_at_the_time_out() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.tree]
command = ['C:\test\puppet.exe', "tree"]
stop.timeout = "1s"
"#,
    ) else {
        return;
    };
    windows.up();
    until("all three run", || windows.processes_of("puppet.exe").len() == 3);
    let usage = || windows.detail("tree").usage;
    until("all three are counted", || usage().is_some_and(|usage| usage.processes == 3));
    windows.menshen(&["stop", "tree"]).done();
    assert_eq!(windows.processes_of("puppet.exe"), [], "the stop is not over before the tree is empty");
    assert_eq!(windows.service("tree").state, State::Stopped);
    windows.menshen(&["down"]).done();
}

#[test]
fn what_a_crashed_program_leaves_is_ended_before_the_next_run() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.tree]
command = ['C:\test\puppet.exe', "tree"]
stop.timeout = "1s"
"#,
    ) else {
        return;
    };
    windows.up();
    until("all three run", || windows.processes_of("puppet.exe").len() == 3);
    let before = windows.processes_of("puppet.exe");
    windows.processes_of("puppet.exe tree")[0].kill();
    until("another one runs", || windows.service("tree").restarts_total == 1 && windows.service("tree").pid.is_some());
    assert!(before.iter().all(|process| !process.lives()), "{before:?}");
    windows.menshen(&["down"]).done();
}

#[test]
fn a_program_with_a_window_ends_when_that_is_closed() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.window]
command = ['C:\test\puppet.exe', "window"]
probe.readiness.log = "ready"
stop.timeout = "10m"
"#,
    ) else {
        return;
    };
    windows.draw_nowhere();
    windows.up();
    until("its window is there", || windows.service("window").ready);
    windows.menshen(&["stop", "window"]).done();
    let window = windows.service("window");
    assert_eq!((window.state, window.last_exit.as_deref()), (State::Stopped, Some("exit 0")));
    assert_eq!(String::from_utf8_lossy(&windows.log("window")), "ready\nasked to close\n");
    let said = fs::read_to_string(windows.path("home/logs/shop/guard.log")).unwrap();
    assert!(!said.contains("trouble"), "{said}");
    windows.menshen(&["down"]).done();
}

#[test]
fn a_program_that_its_stop_command_leaves_running_is_asked_to_end_after_it() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.window]
command = ['C:\test\puppet.exe', "window"]
probe.readiness.log = "ready"
stop = { command = ['C:\test\puppet.exe', "exit", "0"], timeout = "10m" }
"#,
    ) else {
        return;
    };
    windows.draw_nowhere();
    windows.up();
    until("its window is there", || windows.service("window").ready);
    windows.menshen(&["stop", "window"]).done();
    let window = windows.service("window");
    assert_eq!((window.state, window.last_exit.as_deref()), (State::Stopped, Some("exit 0")));
    assert_eq!(String::from_utf8_lossy(&windows.log("window")), "ready\ngoing\nasked to close\n");
    windows.menshen(&["down"]).done();
}
