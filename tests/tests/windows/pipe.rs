//! The control pipe: one guard of a name, and who calls is what the system says.
//!
//! Wine has one user and lends every caller's token alike: that others are refused cannot be shown with it.

use menshen_tests::GuardedWindows;

const WEB: &str = r#"
[service.web]
command = ['C:\test\puppet.exe', "wait"]
"#;

#[test]
fn who_asked_is_named_in_the_journal() {
    let Some(windows) = GuardedWindows::start(WEB) else { return };
    windows.up();
    windows.menshen(&["restart", "web"]).done();
    let events = windows.events();
    assert!(events.contains("restart asked by root (pid "), "{events}");
    windows.menshen(&["down"]).done();
}

#[test]
fn a_second_guard_of_the_name_is_refused() {
    let Some(windows) = GuardedWindows::start(WEB) else { return };
    windows.up();
    let second = windows.menshen(&["up", "--file", r"C:\test\menshen.toml"]).ended_with(1);
    assert!(second.text().is_empty(), "{}", second.text());
    assert!(windows.service("web").pid.is_some());
    windows.menshen(&["down"]).done();
}

#[test]
fn many_callers_at_once_are_all_answered() {
    let Some(windows) = GuardedWindows::start(WEB) else { return };
    windows.up();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| windows.menshen(&["status"]).code)).collect();
        for caller in callers {
            assert_eq!(caller.join().unwrap(), 0);
        }
    });
    windows.menshen(&["down"]).done();
}
