//! Ctrl-C in a console. Under Wine only that: for Ctrl-Break no handler is called there.

use std::fs;

use menshen_tests::wait::{until, until_some};
use menshen_tests::{GuardedWindows, State, require};

/// Has a program run in a console of its own, in which Ctrl-C is pressed once there is the file `press`.
fn pressed_on<'a>(program: &[&'a str]) -> Vec<&'a str> {
    [&[r"C:\test\puppet.exe", "console", "press", r"C:\test\press"], program].concat()
}

#[test]
fn a_program_with_the_library_that_runs_by_hand_ends_in_order_on_ctrl_c() {
    let Some(windows) = GuardedWindows::start("") else { return };
    let Some(sample) = require::for_windows("scm-sample") else { return };
    fs::copy(sample, windows.path("scm-sample.exe")).unwrap();
    let mut running = windows.begin(&pressed_on(&["scm-sample.exe", "serve", r"C:\test", "steady"]));
    let noted = |what: &str| windows.lines("notes").iter().any(|line| line == what);
    until("it runs", || noted("started by Interactive with []"));
    assert!(running.try_wait().unwrap().is_none(), "it goes on until somebody ends it");
    fs::write(windows.path("press"), "").unwrap();
    let status = until_some("it has ended", || running.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert!(noted("stop: Interrupt") && noted("ended"), "{:?}", windows.lines("notes"));
}

#[test]
fn a_guard_in_a_console_ends_its_services_and_itself_on_ctrl_c() {
    let definition = "[service.web]\ncommand = ['C:\\test\\puppet.exe', \"wait\"]\n";
    let Some(windows) = GuardedWindows::start(definition) else { return };
    let guard = [r"C:\test\menshen.exe", "up", "--file", r"C:\test\menshen.toml"];
    let mut running = windows.begin(&pressed_on(&guard));
    until("it guards", || windows.menshen(&["status"]).code == 0);
    until("its service runs", || windows.service("web").state == State::Running);
    fs::write(windows.path("press"), "").unwrap();
    let status = until_some("it has ended", || running.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert_eq!(windows.processes_of("puppet.exe"), [], "nothing of its services is left");
}
