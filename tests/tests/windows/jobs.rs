//! What a program's job does: nothing leaves it, it is counted, and what it may use is set; and what else a program is given.

use std::fs;

use menshen_tests::GuardedWindows;
use menshen_tests::wait::{until, until_some};

/// What a service has said until now.
fn said(windows: &GuardedWindows, service: &str) -> String {
    String::from_utf8_lossy(&windows.log(service)).into_owned()
}

#[test]
fn nothing_leaves_the_job_it_was_born_into() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.escape]
command = ['C:\test\puppet.exe', "breakaway"]
stop.timeout = "1s"
"#,
    ) else {
        return;
    };
    windows.up();
    until("it has tried", || said(&windows, "escape").ends_with('\n'));
    assert_eq!(said(&windows, "escape"), "refused: PermissionDenied\n");
    assert_eq!(windows.processes_of("puppet.exe").len(), 1);
    windows.menshen(&["down"]).done();
    assert_eq!(windows.processes_of("puppet.exe"), []);
}

#[test]
fn what_a_tree_uses_is_counted() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.big]
command = ['C:\test\puppet.exe', "hold", "64"]
[service.rest]
command = ['C:\test\puppet.exe', "wait"]
"#,
    ) else {
        return;
    };
    windows.up();
    until("it is done", || said(&windows, "big").contains("held"));
    let usage = |name: &str| until_some("it is counted", || windows.detail(name).usage);
    let grown = |big: u64| big >= usage("rest").memory_bytes + (60 << 20);
    until("its memory is counted", || grown(usage("big").memory_bytes));
    let [big, rest] = ["big", "rest"].map(usage);
    // Of another process Wine tells the processor time of whoever asks.
    assert!(big.cpu_seconds > 0.0 && big.cpu_seconds < 60.0, "{big:?}");
    assert!(big.memory_bytes < rest.memory_bytes + (200 << 20), "{big:?} {rest:?}");
    windows.menshen(&["down"]).done();
}

/// Wine takes a limit of memory, and knows none of processor time.
#[test]
fn a_limit_that_the_system_does_not_see_to_is_told() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.limited]
command = ['C:\test\puppet.exe', "wait"]
limits.cpu = 0.5
limits.memory = "256MiB"
[service.free]
command = ['C:\test\puppet.exe', "wait"]
"#,
    ) else {
        return;
    };
    windows.up();
    let told = || fs::read_to_string(windows.path("home/logs/shop/guard.log")).unwrap_or_default();
    until("it is told", || told().contains("limited: limits.cpu is not enforced"));
    assert!(!told().contains("free: limits") && !told().contains("limits.memory"), "{}", told());
    windows.menshen(&["down"]).done();
}

#[test]
fn a_program_has_no_window_and_is_in_the_definitions_folder_or_where_it_is_told_to_be() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.here]
command = ['C:\test\puppet.exe', "self"]
[service.there]
command = ['C:\test\puppet.exe', "self"]
directory = 'C:\windows\temp'
"#,
    ) else {
        return;
    };
    // The manager starts a guard elsewhere.
    windows.menshen(&["install", "--file", r"C:\test\menshen.toml", "--now"]).done();
    for (service, folder) in [("here", r"C:\test"), ("there", r"C:\windows\temp")] {
        let expected = format!("console window: none\nin {folder}\n");
        until(&format!("{service} has said where it is"), || said(&windows, service).lines().count() == 2);
        assert_eq!(said(&windows, service), expected);
    }
    windows.menshen(&["uninstall", "shop", "--purge"]).done();
}

#[test]
fn the_input_of_a_program_is_at_its_end_and_a_batch_file_that_asks_does_not_hang() {
    let Some(windows) = GuardedWindows::start(
        r#"
[service.reads]
command = ['C:\test\puppet.exe', "read"]
[service.asks]
command = ['C:\test\ask.bat']
restart.policy = "never"
"#,
    ) else {
        return;
    };
    let lines = "@echo off\r\npause\r\nset /p answer=Sure? \r\necho answered [%answer%]\r\nexit /b 5\r\n";
    fs::write(windows.path("ask.bat"), lines).unwrap();
    windows.up();
    until("it has read all there is", || said(&windows, "reads") == "0 bytes, and the end\n");
    until("it has ended", || windows.service("asks").last_exit.is_some());
    assert_eq!(windows.service("asks").last_exit.as_deref(), Some("exit 5"), "{}", said(&windows, "asks"));
    until("it was not answered", || said(&windows, "asks").contains("answered []"));
    windows.menshen(&["down"]).done();
}
