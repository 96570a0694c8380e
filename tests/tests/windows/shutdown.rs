//! The end of Windows while services run, and the boot after it.
//!
//! Wine ends everything without a word to any service, as a loss of power does: what is shown is what is found afterwards.

use std::fs;

use menshen_tests::wait::until;
use menshen_tests::{GuardedWindows, State, require};

const DRIP: &str = r#"
[service.drip]
command = ['C:\test\puppet.exe', "drip", "1000000", "20"]
"#;

/// The last line of each run that wrote these numbered lines; there is none missing, doubled or out of order.
fn runs(lines: &[u8]) -> Vec<u64> {
    let mut runs = Vec::new();
    for line in String::from_utf8_lossy(lines).lines() {
        let (number, rest) = line.split_once(' ').unwrap_or_else(|| panic!("'{line}' is whole"));
        assert_eq!((number.len(), rest.len()), (7, 11), "'{line}' is whole");
        match (runs.last_mut(), number.parse::<u64>().unwrap()) {
            (_, 1) => runs.push(1),
            (Some(last), number) if *last + 1 == number => *last = number,
            (last, number) => panic!("{number} after {last:?}"),
        }
    }
    runs
}

fn asked(windows: &GuardedWindows, service: &str) -> String {
    windows.run(&["sc", "query", service]).text()
}

/// How far the program had come that has just been cut off: what it wrote last is in its spool, read or not.
fn written(windows: &GuardedWindows) -> u64 {
    let spool = fs::read(windows.path("home/run/shop/drip.out")).unwrap();
    let text = String::from_utf8_lossy(&spool).into_owned();
    // What was read of it may have been given back.
    let line = text.trim_end_matches(['\n']).rsplit(['\n', '\0']).next().unwrap_or_default().to_owned();
    line.split_once(' ').and_then(|(number, _)| number.parse().ok()).unwrap_or_else(|| panic!("'{line}' is a line"))
}

#[test]
fn services_are_started_at_the_boot_after_and_no_line_is_lost_or_doubled() {
    let Some(windows) = GuardedWindows::start(DRIP) else { return };
    let Some(sample) = require::for_windows("scm-sample") else { return };
    fs::copy(sample, windows.path("scm-sample.exe")).unwrap();
    windows.menshen(&["install", "--file", r"C:\test\menshen.toml", "--now"]).done();
    windows.run(&["scm-sample.exe", "install", "plain", r"C:\test", "steady"]).done();
    windows.run(&["scm-sample.exe", "act", "start"]).done();
    let mut last = Vec::new();
    for guard in ["lives", "is killed"] {
        until("it writes", || runs(&windows.log("drip")).len() > last.len());
        if guard == "is killed" {
            let guard = windows.processes_of("--as-service").into_iter().next().expect("the guard runs");
            guard.kill();
            let before = written(&windows);
            until("it writes to nobody", || written(&windows) > before + 100);
        }
        windows.cut_off();
        last.push(written(&windows));
        windows.boot();
        until("the guard is there", || windows.menshen(&["status"]).code == 0);
        until("its program runs again", || runs(&windows.log("drip")).len() > last.len());
        assert_eq!(runs(&windows.log("drip"))[..last.len()], last, "the guard {guard}");
        let drip = windows.service("drip");
        assert_eq!((drip.state, drip.restarts_total), (State::Running, 0), "it was a boot, no failure");
        for service in ["shop", "scm-sample"] {
            until("the manager says that it runs", || asked(&windows, service).contains("RUNNING"));
        }
    }
    let started = windows.lines("notes").iter().filter(|line| line.starts_with("in ")).count();
    assert_eq!(started, 3, "the library's service is started at each boot: {:?}", windows.lines("notes"));
}

#[test]
fn the_end_of_a_session_is_no_matter_to_services() {
    let Some(windows) = GuardedWindows::start(DRIP) else { return };
    windows.menshen(&["install", "--file", r"C:\test\menshen.toml", "--now"]).done();
    until("it writes", || !windows.log("drip").is_empty());
    let (guards, pid) = (windows.processes_of("--as-service"), windows.service("drip").pid);
    for how in ["--end-session", "--shutdown"] {
        windows.run(&["wineboot", how]).done();
        assert_eq!((windows.processes_of("--as-service"), windows.service("drip").pid), (guards.clone(), pid), "{how}");
    }
    windows.run(&["sc", "stop", "shop"]).done();
    until("it has stopped", || asked(&windows, "shop").contains("STOPPED"));
    assert_eq!(runs(&windows.log("drip")).len(), 1);
}
