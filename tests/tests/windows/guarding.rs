//! A service from its start to its end.

use menshen_tests::wait::until;
use menshen_tests::{GuardedWindows, State};

const WEB: &str = r#"
[service.web]
command = ['C:\test\puppet.exe', "wait"]
probe.readiness.log = "ready"
"#;

#[test]
fn a_service_starts_becomes_ready_and_is_stopped() {
    let Some(windows) = GuardedWindows::start(WEB) else { return };
    windows.up();
    until("it is ready", || windows.service("web").ready);
    let web = windows.service("web");
    assert_eq!((web.state, web.restarts_total), (State::Running, 0));
    assert_eq!(windows.menshen(&["logs", "web"]).ended_with(0).text().trim(), "ready");
    windows.menshen(&["stop", "web"]).done();
    let web = windows.service("web");
    assert_eq!((web.state, web.pid), (State::Stopped, None));
    windows.menshen(&["start", "web"]).done();
    windows.menshen(&["down"]).done();
    until("nothing is left", || windows.processes_of("puppet.exe").is_empty());
    until("the holder has ended", || windows.processes_of("hold keep").is_empty());
    windows.menshen(&["status"]).ended_with(6);
}

#[test]
fn what_crashes_is_restarted_ever_later_until_the_breaker_opens() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.crash]
command = ['C:\test\puppet.exe', "exit", "3"]
restart.delay = "50ms"
breaker.failures = 3
"#,
    ) else {
        return;
    };
    windows.up();
    until("the breaker is open", || windows.service("crash").state == State::Tripped);
    let events = windows.events();
    assert!(events.contains("exit 3; restart 1 in"), "{events}");
    assert!(events.contains("exit 3; restart 2 in"), "{events}");
    windows.menshen(&["down"]).done();
}

#[test]
fn every_argument_reaches_the_program_as_it_was_written() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.echo]
command = ['C:\test\puppet.exe', "echo", "a b", '"q"', 'back\', 'c\" d\\', "%PATH%", "$${x}", "", "ä"]
"#,
    ) else {
        return;
    };
    windows.up();
    let expected = "[a b]\n[\"q\"]\n[back\\]\n[c\\\" d\\\\]\n[%PATH%]\n[${x}]\n[]\n[ä]\n";
    until("it has said all", || windows.log("echo") == expected.as_bytes());
    windows.menshen(&["down"]).done();
}

#[test]
fn what_windows_has_not_is_an_error_that_names_it() {
    for (line, named) in
        [("umask = \"027\"", "umask"), ("limits.files = 100", "limits.files"), ("group = \"x\"", "group")]
    {
        let Some(windows) = GuardedWindows::start(&format!("{WEB}restart.policy = \"never\"\n{line}\n")) else {
            return;
        };
        let ran = windows.menshen(&["up", "--detach", "--file", r"C:\test\menshen.toml"]);
        if ran.code == 0 {
            until(&format!("{named} is named"), || windows.service("web").reason.contains(named));
            assert_eq!(windows.service("web").pid, None);
        }
    }
}

#[test]
fn a_paused_service_does_nothing_until_it_is_continued() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.tick]
command = ['C:\test\puppet.exe', "tick", 'C:\test\ticks']
"#,
    ) else {
        return;
    };
    windows.up();
    let ticks = || std::fs::metadata(windows.path("ticks")).map_or(0, |metadata| metadata.len());
    until("it ticks", || ticks() > 0);
    windows.menshen(&["pause", "tick"]).done();
    assert_eq!(windows.service("tick").state, State::Paused);
    let paused_at = ticks();
    // A command takes longer than many ticks.
    assert_eq!(windows.service("tick").state, State::Paused);
    assert_eq!(ticks(), paused_at);
    windows.menshen(&["continue", "tick"]).done();
    until("it ticks again", || ticks() > paused_at);
    windows.menshen(&["down"]).done();
}

#[test]
fn a_changed_definition_is_followed() {
    let Some(windows) = GuardedWindows::start(WEB) else { return };
    windows.up();
    let before = windows.service("web").pid;
    windows.define(&format!("{WEB}[service.more]\ncommand = ['C:\\test\\puppet.exe', \"wait\"]\n"));
    windows.menshen(&["reload"]).done();
    until("the new one runs", || windows.service("more").state == State::Running);
    assert_eq!(windows.service("web").pid, before, "nothing of it has changed");
    windows.menshen(&["down"]).done();
}
