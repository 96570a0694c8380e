//! A guard as a service of Windows: installed, run and stopped by the service control manager.

use std::fs;

use menshen_tests::wait::until;
use menshen_tests::{GuardedWindows, State, require};
use serde_json::Value;

const SHOP: &str = r#"
[service.web]
command = ['C:\test\puppet.exe', "wait"]
probe.readiness.log = "ready"
"#;

/// What `sc` says.
fn asked(windows: &GuardedWindows) -> String {
    windows.run(&["sc", "query", "shop"]).text()
}

/// What of a service the registry has.
fn registered(windows: &GuardedWindows, value: &str) -> Option<String> {
    windows.registry(r"HKLM\System\CurrentControlSet\Services\shop", value)
}

#[test]
fn a_definition_is_a_service_of_windows_until_it_is_uninstalled_without_a_trace() {
    let Some(windows) = GuardedWindows::start(SHOP) else { return };
    let install = ["install", "--file", r"C:\test\menshen.toml", "--description", "The shop"];
    let installed = windows.menshen(&[&install[..], &["--now"]].concat()).ended_with(0);
    // Wine's manager does not; Windows' does.
    let is_told = format!("{}{}", installed.text(), installed.stderr).contains("scm does not know the failure flag");
    assert!(is_told, "{installed:?}");
    assert!(windows.told().contains("SERVICE_CONFIG_FAILURE_ACTIONS not implemented: period "), "{}", windows.told());
    assert!(asked(&windows).contains("RUNNING"), "{}", asked(&windows));
    let line = r#""C:\test\menshen.exe" up --file C:\test\menshen.toml --as-service shop"#;
    assert_eq!(registered(&windows, "ImagePath").as_deref(), Some(line));
    assert_eq!(registered(&windows, "Start").as_deref(), Some("0x2"));
    assert_eq!(registered(&windows, "DisplayName").as_deref(), Some("Menshen guards shop"));
    until("its service is ready", || windows.service("web").ready);
    assert!(windows.menshen(&install).ended_with(0).text().contains("shop: unchanged"));
    assert!(windows.menshen(&["diff", "shop"]).ended_with(0).text().contains("as it should be"));

    let program = windows.service("web").pid;
    windows.run(&["sc", "stop", "shop"]).done();
    until("it has stopped", || asked(&windows).contains("STOPPED"));
    assert!(windows.processes_of("puppet.exe").is_empty(), "what it guarded is stopped with it");
    windows.run(&["sc", "start", "shop"]).done();
    until("it runs", || asked(&windows).contains("RUNNING"));
    until("its service is ready again", || windows.service("web").ready);
    assert_ne!(windows.service("web").pid, program);

    windows.menshen(&["uninstall", "shop", "--purge"]).done();
    assert!(!asked(&windows).contains("SERVICE_NAME"), "{}", asked(&windows));
    assert_eq!(registered(&windows, "ImagePath"), None);
    assert!(windows.processes_of("puppet.exe").is_empty());
    windows.menshen(&["uninstall", "shop"]).ended_with(4);
}

#[test]
fn a_killed_guard_leaves_its_programs_to_the_next_one() {
    let Some(windows) = GuardedWindows::start(SHOP) else { return };
    windows.menshen(&["install", "--file", r"C:\test\menshen.toml", "--now"]).done();
    until("its service is ready", || windows.service("web").ready);
    let before = windows.service("web");
    let guard = windows.processes_of("--as-service").into_iter().next().expect("the guard runs");
    guard.kill();
    until("the guard is gone", || !guard.lives());
    until("the manager has seen it", || asked(&windows).contains("STOPPED"));
    assert_eq!(windows.processes_of("puppet.exe").len(), 1, "the program lives");
    windows.run(&["sc", "start", "shop"]).done();
    until("it runs", || asked(&windows).contains("RUNNING"));
    let after = windows.service("web");
    assert_eq!((after.state, after.pid, after.restarts_total), (State::Running, before.pid, 0));
    windows.menshen(&["uninstall", "shop", "--purge"]).done();
}

#[test]
fn a_guard_whose_services_take_long_to_stop_shows_its_manager_that_it_goes_on() {
    let definition = "[service.slow]\ncommand = ['C:\\test\\puppet.exe', \"stubborn\"]\nstop.timeout = \"6s\"\n";
    let Some(windows) = GuardedWindows::start(definition) else { return };
    let Some(sample) = require::for_windows("scm-sample") else { return };
    fs::copy(sample, windows.path("scm-sample.exe")).unwrap();
    windows.menshen(&["install", "--file", r"C:\test\menshen.toml", "--now"]).done();
    until("its service runs", || windows.service("slow").state == State::Running);
    windows.run(&["sc", "stop", "shop"]).done();
    let mut steps: Vec<u64> = Vec::new();
    until("it has stopped", || {
        let status: Value = windows.run(&["scm-sample.exe", "--name", "shop", "status"]).ended_with(0).json();
        if status["state"] == "stopping" {
            assert!(status["wait_hint_ms"].as_u64() >= Some(10_000), "{status}");
            steps.extend(status["checkpoint"].as_u64());
        }
        status["state"] == "stopped"
    });
    steps.dedup();
    assert!(steps.len() >= 3 && steps.is_sorted_by(|one, next| one < next), "{steps:?}");
    assert_eq!(windows.processes_of("puppet.exe"), []);
}
