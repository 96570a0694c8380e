//! What services write is in their logs, byte for byte.

use menshen_tests::GuardedWindows;
use menshen_tests::wait::until;

const LINES: usize = 120_000;
const LINE_BYTES: usize = 100;

fn expected() -> Vec<u8> {
    let line = |number| format!("{number:07} {}\n", "x".repeat(LINE_BYTES - 9));
    (1..=LINES).map(line).collect::<String>().into_bytes()
}

/// Where two texts begin to differ.
fn assert_same(found: &[u8], expected: &[u8]) {
    let at = found.iter().zip(expected).position(|(found, expected)| found != expected);
    assert_eq!((found.len(), at), (expected.len(), None));
}

#[test]
fn rotation_under_load_loses_nothing_and_splits_no_line() {
    let Some(windows) = GuardedWindows::start(&format!(
        r#"
[service.count]
command = ['C:\test\puppet.exe', "count", "{LINES}", "{LINE_BYTES}"]
log.rotate = {{ size = "1MiB", keep = 0, compress = "none" }}
"#
    )) else {
        return;
    };
    windows.up();
    until("all is written", || windows.log("count").len() >= LINES * LINE_BYTES);
    assert_same(&windows.log("count"), &expected());
    let closed = std::fs::read_dir(windows.path("home/logs/shop/count")).unwrap().flatten().map(|entry| entry.path());
    let closed: Vec<_> = closed.filter(|path| path.to_string_lossy().matches('.').count() == 3).collect();
    assert!(closed.len() > 5, "{closed:?}");
    for path in closed.iter().filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
        assert!(std::fs::read(path).unwrap().ends_with(b"\n"), "{}", path.display());
    }
    windows.menshen(&["down"]).done();
}

#[test]
fn a_guard_that_is_killed_while_it_copies_loses_nothing_and_writes_nothing_twice() {
    let Some(windows) = GuardedWindows::start(&format!(
        r#"
[service.count]
command = ['C:\test\puppet.exe', "count", "{LINES}", "{LINE_BYTES}"]
log.rotate = {{ size = "1MiB", keep = 0, compress = "none" }}
"#
    )) else {
        return;
    };
    for round in 0..6 {
        windows.up();
        // Ever later, so that it is somewhere else each time.
        until("it copies", || windows.log("count").len() > round * LINES * LINE_BYTES / 12);
        windows.kill_guard();
    }
    windows.up();
    until("all is written", || windows.log("count").len() >= LINES * LINE_BYTES);
    assert_same(&windows.log("count"), &expected());
    windows.menshen(&["down"]).done();
}

#[test]
fn lines_get_their_time_once_each_whenever_the_guard_is_killed() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.drip]
command = ['C:\test\puppet.exe', "drip", "3000", "30"]
restart.policy = "never"
log.format = "text"
"#,
    ) else {
        return;
    };
    let log = || std::fs::read_to_string(windows.path("home/logs/shop/drip/output.log")).unwrap_or_default();
    for round in 0..4 {
        windows.up();
        until("it goes on", || log().lines().count() > round * 400);
        windows.kill_guard();
    }
    windows.up();
    until("all is written", || log().lines().count() >= 3000);
    let numbers: Vec<String> =
        log().lines().map(|line| line.split_whitespace().nth_back(1).unwrap_or_default().to_owned()).collect();
    let expected: Vec<String> = (1..=3000).map(|number| format!("{number:07}")).collect();
    assert_eq!(numbers, expected);
    windows.menshen(&["down"]).done();
}

/// What the Event Log holds cannot be looked into under Wine, which tells what services give to it.
#[test]
fn every_line_goes_to_the_event_log_too() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.count]
command = ['C:\test\puppet.exe', "count", "200", "50"]
restart.policy = "never"
log.also = ["eventlog"]
"#,
    ) else {
        return;
    };
    let checked = windows.menshen(&["check"]);
    assert!(
        !checked.text().contains("M054") && !checked.stderr.contains("M054"),
        "{}{}",
        checked.text(),
        checked.stderr
    );
    windows.menshen(&["install", "--file", r"C:\test\menshen.toml", "--now"]).done();
    until("all is written", || windows.log("count").len() >= 200 * 50);
    // Information, by the numbers of Windows, with the id of what comes from stdout.
    until("all is in the Event Log", || windows.logged().len() >= 200);
    assert_eq!(windows.logged(), vec![(4, 3); 200]);
    let told = windows.told();
    assert!(told.contains("0000001 xxx") && told.contains("0000200 xxx"), "{told}");
    let events = windows.events();
    assert!(!events.contains("Event Log"), "{events}");
    windows.menshen(&["uninstall", "shop", "--purge"]).done();
}
