//! Whom services run as. Wine has one account that can run something, and lets nobody give a process another one: what can be
//! shown is how an account is found, what is said where it cannot be, and that nothing is passed over. `crates/os` makes
//! processes of another logon in its unit tests.

use menshen_tests::command::Ran;
use menshen_tests::wait::until;
use menshen_tests::{GuardedWindows, State};

const WEB: &str = r#"
[service.web]
command = ['C:\test\puppet.exe', "wait"]
"#;
const PASSWORD: &str = "password = { credential = \"file:password\" }";

fn web(lines: &str) -> String {
    format!("{WEB}{lines}\n")
}

fn check(windows: &GuardedWindows, lines: &str) -> Ran {
    windows.define(&web(lines));
    windows.menshen(&["check", "--json", "--file", r"C:\test\menshen.toml"])
}

#[test]
fn a_service_runs_as_the_guards_own_account_however_that_is_written() {
    let Some(windows) = GuardedWindows::start(&web(r"user = '.\root'")) else { return };
    windows.up();
    until("it runs", || windows.service("web").state == State::Running);
    assert_eq!(windows.detail("web").user.as_deref(), Some(r".\root"));
    let before = windows.service("web").pid;
    windows.kill_guard();
    windows.up();
    assert_eq!((windows.service("web").pid, windows.service("web").restarts_total), (before, 0), "it is adopted");
    // The same account by its SID: the field has changed, so the program begins anew, and runs as before.
    windows.define(&web("user = \"S-1-5-21-0-0-0-1000\""));
    windows.menshen(&["reload"]).done();
    until("it was begun anew", || {
        let web = windows.service("web");
        web.state == State::Running && web.pid != before
    });
    windows.menshen(&["down"]).done();
}

#[test]
fn what_it_takes_to_run_something_as_somebody_else_is_named() {
    for user in ["LocalService", r"NT AUTHORITY\NetworkService", r"NT SERVICE\web"] {
        let Some(windows) = GuardedWindows::start(&web(&format!("user = '{user}'"))) else { return };
        let found = check(&windows, &format!("user = '{user}'")).ended_with(0).text();
        assert!(!found.contains("\"M020\""), "{found}");
        let _ = windows.menshen(&["up", "--detach", "--file", r"C:\test\menshen.toml"]);
        until(&format!("{user} is refused"), || {
            windows.service("web").reason.contains("takes the privilege SeAssignPrimaryTokenPrivilege")
        });
        assert_eq!(windows.service("web").pid, None, "it is not run as the guard instead");
        windows.menshen(&["down"]).done();
    }
}

#[test]
fn what_an_account_cannot_be_or_has_not_is_a_finding() {
    let Some(windows) = GuardedWindows::start(WEB) else { return };
    std::fs::write(windows.path("password"), "correct horse\r\n").unwrap();
    let expected = [
        ("user = \"nobody-there\"".to_owned(), "M020"),
        ("user = 1000".to_owned(), "M020"),
        (r"user = 'a\b\c'".to_owned(), "M020"),
        ("group = \"Users\"".to_owned(), "M055"),
        ("groups = [\"Users\"]".to_owned(), "M055"),
        (PASSWORD.to_owned(), "M056"),
        (format!("user = \"LocalService\"\n{PASSWORD}"), "M056"),
    ];
    for (lines, code) in expected {
        let ran = check(&windows, &lines);
        assert!(ran.text().contains(&format!("\"{code}\"")), "{lines}: {}", ran.text());
    }
}

#[test]
fn a_password_is_shown_nowhere() {
    let Some(windows) = GuardedWindows::start(&web(&format!("user = '.\\root'\n{PASSWORD}"))) else { return };
    std::fs::write(windows.path("password"), "correct horse\r\n").unwrap();
    windows.up();
    let config = windows.menshen(&["config", "--file", r"C:\test\menshen.toml"]).ended_with(0).text();
    assert!(config.contains("file:password") && !config.contains("correct horse"), "{config}");
    std::fs::write(windows.path("password"), "battery staple\r\n").unwrap();
    let reload = windows.menshen(&["reload"]).ended_with(0).text();
    assert!(reload.contains("password"), "{reload}");
    let status = windows.menshen(&["status", "web", "--json"]).ended_with(0).text();
    for shown in [reload, status, windows.events()] {
        assert!(!shown.contains("correct horse") && !shown.contains("battery staple"), "{shown}");
    }
    windows.menshen(&["down"]).done();
}
