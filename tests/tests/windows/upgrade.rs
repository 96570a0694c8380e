//! Another version of the guard goes on, in a process of its own: every program runs on, and not a byte is lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use menshen_tests::wait::{until, until_some};
use menshen_tests::{GuardedWindows, State};
use serde_json::Value;

const SHOP: &str = r#"
[service.web]
command = ['C:\test\puppet.exe', "wait"]
probe.readiness.log = "ready"
restart.delay = "10ms"
[service.drip]
command = ['C:\test\puppet.exe', "drip", "4000", "20", 'C:\test\enough']
restart.policy = "never"
"#;
const WEB: &str = r#"
[service.web]
command = ['C:\test\puppet.exe', "wait"]
probe.readiness.log = "ready"
"#;

/// Another binary, by this name.
fn copy(windows: &GuardedWindows, name: &str) -> String {
    fs::copy(windows.path("menshen.exe"), windows.path(name)).unwrap();
    format!(r"C:\test\{name}")
}

/// A binary that answers a guard's second question with a command, and is started with another.
fn actor(windows: &GuardedWindows, name: &str, asked: &str, begun: &str) -> String {
    let script = format!(
        "@echo off\r\nif \"%~1\"==\"--version\" goto version\r\nif defined MENSHEN_TAKEOVER goto asked\r\n{begun}\r\n\
         :version\r\necho menshen 9.9.9\r\nexit /b 0\r\n:asked\r\n{asked}\r\nexit /b 0\r\n"
    );
    fs::write(windows.path(name), script).unwrap();
    format!(r"C:\test\{name}")
}

const WILLING: &str = "echo {\"takeover\":1}";

fn upgraded(windows: &GuardedWindows, binary: &str) -> Value {
    windows.menshen(&["upgrade", "--json", "--binary", binary]).json()
}

/// What the guard remembers of its services, by name.
fn remembered(windows: &GuardedWindows) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(windows.path("home/state/shop/services")).unwrap();
    files.map(|file| file.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn an_upgrade_leaves_every_program_and_loses_no_byte() {
    let Some(windows) = GuardedWindows::start(SHOP) else { return };
    windows.up();
    until("it writes", || !windows.log("drip").is_empty());
    until("its service is ready", || windows.service("web").ready);
    windows.processes_of("puppet.exe wait")[0].kill();
    until("it was started again", || windows.service("web").restarts_total == 1 && windows.service("web").ready);
    let facts = || ["web", "drip"].map(|name| windows.service(name)).map(|it| (it.pid, it.restarts, it.restarts_total));
    let before = facts();

    let next = copy(&windows, "next.exe");
    let told = upgraded(&windows, &next);
    assert_eq!((&told["adopted"], &told["changed"]), (&2.into(), &Value::Array(Vec::new())), "{told}");
    assert_eq!(facts(), before);
    assert_eq!(windows.processes_of("next.exe up").len(), 1);
    until("the version before has ended", || windows.processes_of("menshen.exe up").is_empty());

    // In its place: a binary that runs cannot be written over, but it can be moved away.
    fs::rename(windows.path("next.exe"), windows.path("before.exe")).unwrap();
    assert_eq!(upgraded(&windows, &copy(&windows, "next.exe"))["changed"], Value::Array(Vec::new()));
    assert_eq!(facts(), before);
    fs::remove_file(windows.path("before.exe")).unwrap();

    fs::write(windows.path("enough"), "").unwrap();
    until("all is written", || windows.service("drip").state != State::Running);
    let lines = (1..=4000).map(|number| format!("{number:07} {}\n", "x".repeat(11))).collect::<String>();
    until("everything it wrote is in its log", || windows.log("drip").len() >= lines.len());
    assert!(windows.log("drip") == lines.as_bytes(), "it is there once, and in order");
    assert_eq!(windows.service("drip").last_exit.as_deref(), Some("exit 7"));
    let events = windows.events();
    assert!(events.contains("2 programs run on"), "{events}");
    windows.menshen(&["down"]).done();
    assert_eq!(windows.processes_of("puppet.exe"), []);
}

#[test]
fn a_binary_that_cannot_take_over_is_refused_and_nothing_is_changed() {
    let Some(windows) = GuardedWindows::start(WEB) else { return };
    windows.up();
    until("its service is ready", || windows.service("web").ready);
    let who = || (windows.processes_of("--in-background"), windows.service("web").pid);
    let before = who();
    let refused = |binary: &str, why: &str| {
        let remembered_before = remembered(&windows);
        let ran = windows.menshen(&["upgrade", "--binary", binary]).ended_with(1);
        assert!(ran.stderr.contains(why) && ran.stderr.contains("nothing was changed"), "{why}: {}", ran.stderr);
        assert_eq!(remembered(&windows), remembered_before, "{why}");
        assert_eq!(who(), before, "{why}");
    };
    refused(r"C:\test\nowhere.exe", "there is no");
    refused(r"C:\test", "is a folder");
    fs::write(windows.path("plain.txt"), "x").unwrap();
    refused(r"C:\test\plain.txt", "is not executable");
    fs::write(windows.path("broken.exe"), "MZ").unwrap();
    refused(r"C:\test\broken.exe", "is not Menshen, or not for this machine");
    refused(r"C:\test\puppet.exe", "is not Menshen");
    refused(&actor(&windows, "mute.cmd", "exit /b 0", "exit /b 1"), "does not say whether it can take over");
    refused(&actor(&windows, "no.cmd", "echo no room& exit /b 1", "exit /b 1"), "cannot take over: no room");

    // To a version that knows less, what a later one has written is unknown.
    let next = copy(&windows, "next.exe");
    let newer = windows.path("home/state/shop/services/other.json");
    fs::write(&newer, "{\"format\":99}").unwrap();
    refused(&next, "its format has version 99");
    fs::remove_file(&newer).unwrap();
    windows.define("[service.web]\ncommand = 7\n");
    refused(&next, "the definition is refused");
    windows.define(WEB);
    assert!(!windows.events().contains("upgrad"));
    upgraded(&windows, &next);
    windows.menshen(&["down"]).done();
}

#[test]
fn the_version_before_guards_again_when_the_next_one_does_not() {
    let Some(windows) = GuardedWindows::start(SHOP) else { return };
    windows.up();
    until("it writes", || !windows.log("drip").is_empty());
    let who = || (windows.processes_of("--in-background"), windows.service("web").pid, windows.service("drip").pid);
    let before = who();
    let actor = actor(&windows, "actor.cmd", WILLING, "exit /b 3");
    let ran = windows.menshen(&["upgrade", "--binary", &actor]).ended_with(1);
    assert!(ran.stderr.contains("could not take over: it ended before it guarded"), "{}", ran.stderr);
    assert!(ran.stderr.contains("every service runs on"), "{}", ran.stderr);
    assert_eq!(who(), before);
    assert!(windows.events().contains("goes on"), "{}", windows.events());
    let lines = (1..=4000).map(|number| format!("{number:07} {}\n", "x".repeat(11))).collect::<String>();
    until("everything is written", || windows.log("drip").len() >= lines.len());
    assert!(windows.log("drip") == lines.as_bytes(), "it is there once, and in order");

    // It is as good as before, and so is its next upgrade.
    windows.menshen(&["restart", "web"]).done();
    assert_eq!(upgraded(&windows, &copy(&windows, "next.exe"))["changed"], Value::Array(Vec::new()));
    windows.menshen(&["down"]).done();
}

#[test]
fn whoever_waits_for_a_guard_waits_for_the_one_after_it() {
    let Some(windows) = GuardedWindows::start(WEB) else { return };
    let mut guard = windows.begin(&[r"C:\test\menshen.exe", "up", "--file", r"C:\test\menshen.toml"]);
    until("it guards", || windows.menshen(&["status"]).code == 0);
    let web = windows.service("web").pid;
    upgraded(&windows, &copy(&windows, "next.exe"));
    assert_eq!(windows.service("web").pid, web);
    assert!(guard.try_wait().unwrap().is_none(), "it stays where it was started");
    windows.menshen(&["down"]).done();
    let status = until_some("it has ended", || guard.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

/// What `sc` says of the service.
fn asked(windows: &GuardedWindows) -> String {
    windows.run(&["sc", "query", "shop"]).text()
}

fn image_path(windows: &GuardedWindows) -> String {
    windows.registry(r"HKLM\System\CurrentControlSet\Services\shop", "ImagePath").unwrap_or_default()
}

#[test]
fn a_service_is_started_from_the_other_binary_and_from_then_on() {
    let Some(windows) = GuardedWindows::start(SHOP) else { return };
    windows.menshen(&["install", "--file", r"C:\test\menshen.toml", "--now"]).done();
    until("its service is ready", || windows.service("web").ready);
    let facts = || ["web", "drip"].map(|name| windows.service(name)).map(|it| (it.pid, it.restarts_total));
    let before = facts();
    let told = upgraded(&windows, &copy(&windows, "next.exe"));
    assert_eq!((&told["adopted"], &told["changed"]), (&2.into(), &Value::Array(Vec::new())), "{told}");
    assert_eq!(facts(), before);
    assert!(asked(&windows).contains("RUNNING"), "{}", asked(&windows));
    assert!(image_path(&windows).starts_with(r#""C:\test\next.exe""#), "{}", image_path(&windows));

    // One that does not come up is no service afterwards.
    let actor = actor(&windows, "actor.cmd", WILLING, "exit /b 3");
    let ran = windows.menshen(&["upgrade", "--binary", &actor]).ended_with(1);
    assert!(ran.stderr.contains("could not take over") && ran.stderr.contains("runs on"), "{}", ran.stderr);
    assert_eq!(facts()[0], before[0]);
    assert!(asked(&windows).contains("RUNNING"), "{}", asked(&windows));
    assert!(image_path(&windows).starts_with(r#""C:\test\next.exe""#), "{}", image_path(&windows));
    let lines = (1..=4000).map(|number| format!("{number:07} {}\n", "x".repeat(11))).collect::<String>();
    until("everything it wrote is in its log", || windows.log("drip").len() >= lines.len());
    assert!(windows.log("drip") == lines.as_bytes(), "it is there once, and in order");

    windows.run(&["sc", "stop", "shop"]).done();
    until("it has stopped", || asked(&windows).contains("STOPPED"));
    assert_eq!(windows.processes_of("puppet.exe"), []);
    windows.run(&["sc", "start", "shop"]).done();
    until("it runs", || asked(&windows).contains("RUNNING"));
    assert_eq!(windows.processes_of("next.exe\" up").len() + windows.processes_of("next.exe up").len(), 1);
    windows.menshen(&["uninstall", "shop", "--purge"]).done();
}
