//! Everything `menshen install` can be asked for on Windows, read back from the registry.

use std::fs;

use menshen_tests::GuardedWindows;
use menshen_tests::command::Ran;
use menshen_tests::require;
use menshen_tests::wait::until;
use serde_json::Value;

const SHOP: &str = r#"
[service.db]
command = ['C:\test\puppet.exe', "wait"]
probe.readiness.log = "ready"
[service.web]
command = ['C:\test\puppet.exe', "wait"]
depends_on = { db = "ready" }
probe.readiness.log = "ready"
[service.mail]
command = ['C:\test\puppet.exe', "wait"]
"#;
/// Programs that answer the manager themselves.
const NATIVE: &str = r#"
[service.greeter]
command = ['C:\test\greeter.exe']
type = "notify"
restart.policy = "on-failure"
description = "Greets; 100% of whoever connects"
display_name = 'Greeter & "Co"'
environment = { GREETING = 'a "b" %PATH%' }
start = "delayed"
stop.timeout = "40s"
[service.second]
command = ['C:\test\greeter.exe', "--listen", "127.0.0.1:7756"]
type = "notify"
restart.policy = "on-failure"
depends_on = ["greeter"]
start = "manual"
"#;
const FILE: &str = r"C:\test\menshen.toml";
/// Words that command lines of Windows take apart unless they are quoted.
const WORDS: [&str; 7] = ["--flag", "two words", "", r"back\slash\", r#"a "quoted" word"#, "%PATH%", "$HOME"];

fn key(service: &str) -> String {
    format!(r"HKLM\System\CurrentControlSet\Services\{service}")
}

/// What of a service the registry has.
fn registered(windows: &GuardedWindows, service: &str, value: &str) -> String {
    let text = windows.run(&["reg", "query", &key(service), "/v", value]).text();
    let line = text.lines().find(|line| line.trim_start().starts_with(value)).unwrap_or_default();
    line.trim().splitn(3, "    ").nth(2).unwrap_or_default().trim().to_owned()
}

fn hold(windows: &GuardedWindows, service: &str, wanted: &[(&str, &str)]) {
    for (value, wanted) in wanted {
        assert_eq!(registered(windows, service, value), *wanted, "{service}: {value}");
    }
}

/// That the registry has no key of these services, nor of their events.
fn hold_gone(windows: &GuardedWindows, services: &[&str]) {
    for service in services {
        for key in [key(service), key(&format!(r"EventLog\Application\{service}"))] {
            let query = windows.run(&["reg", "query", &key]);
            assert_ne!(query.code, 0, "{key} is left: {}", query.text());
        }
    }
}

fn complained(ran: &Ran) -> String {
    // What it said on stderr is in what was run.
    format!("{ran:?}")
}

#[test]
fn every_option_is_in_the_registry_is_changed_in_place_and_leaves_no_key() {
    let Some(windows) = GuardedWindows::start(SHOP) else { return };
    let options = [
        "--start",
        "delayed",
        "--display-name",
        r#"Shop "A" & Co"#,
        "--description",
        "Sells; 100% of it",
        "--account",
        "LocalService",
    ];
    let install = [&["install", "--file", FILE][..], &options].concat();
    let shown = windows.menshen(&[&install[..], &["--dry-run"]].concat()).ended_with(0).text();
    // What a guard needs at a shutdown, Windows may give it anyway: so it is held that it is asked for, too.
    let preshutdown = "preshutdown time-out: 180 s";
    for part in
        [r#"Shop "A" & Co"#, "Sells; 100% of it", "LocalService", "delayed", r"installed\shop.json", preshutdown]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    hold_gone(&windows, &["shop"]);

    windows.menshen(&install).done();
    let command = r#""C:\test\menshen.exe" up --file C:\test\menshen.toml --as-service shop"#;
    hold(
        &windows,
        "shop",
        &[
            ("ImagePath", command),
            ("Start", "0x2"),
            ("DelayedAutoStart", "0x1"),
            ("DisplayName", r#"Shop "A" & Co"#),
            ("Description", "Sells; 100% of it"),
            ("ObjectName", r"NT AUTHORITY\LocalService"),
            // 180 s.
            ("PreshutdownTimeout", "0x2bf20"),
        ],
    );
    assert!(windows.menshen(&install).ended_with(0).text().contains("shop: unchanged"));
    assert!(windows.menshen(&["diff", "shop"]).ended_with(0).text().contains("as it should be"));

    let change = ["edit", "shop", "--start", "manual", "--description", "Other", "--account", "LocalSystem"];
    windows.menshen(&[&change[..], &["--dry-run"]].concat()).done();
    hold(&windows, "shop", &[("Description", "Sells; 100% of it")]);
    windows.menshen(&change).done();
    let changed = [("Start", "0x3"), ("Description", "Other"), ("ObjectName", "LocalSystem"), ("ImagePath", command)];
    hold(&windows, "shop", &changed);
    assert_ne!(registered(&windows, "shop", "DelayedAutoStart"), "0x1");
    windows.run(&["sc", "description", "shop", "Somebody's"]).done();
    let differs: Value = windows.menshen(&["diff", "shop", "--json"]).ended_with(1).json();
    let differs = &differs["differences"][0];
    assert_eq!((&differs["what"], &differs["installed"]), (&"description".into(), &"Somebody's".into()));

    windows.menshen(&["enable", "shop"]).done();
    hold(&windows, "shop", &[("Start", "0x2")]);
    windows.menshen(&["disable", "shop"]).done();
    hold(&windows, "shop", &[("Start", "0x3")]);
    windows.menshen(&["uninstall", "shop", "--purge"]).done();
    hold_gone(&windows, &["shop"]);
}

#[test]
fn one_service_is_installed_with_what_it_needs() {
    let Some(windows) = GuardedWindows::start(SHOP) else { return };
    windows.menshen(&["install", "web", "--file", FILE, "--start", "disabled"]).done();
    hold(&windows, "web", &[("Start", "0x4"), ("DisplayName", "Menshen guards web")]);
    let path = registered(&windows, "web", "ImagePath");
    assert!(path.contains("--only web") && path.ends_with("--as-service web"), "{path}");
    windows.menshen(&["edit", "web", "--start", "auto"]).done();
    windows.run(&["sc", "start", "web"]).done();
    until("both are ready", || {
        let status = windows.menshen(&["--instance", "web", "status", "--json"]);
        status.code == 0 && status.json::<Value>()["services"].as_array().is_some_and(|all| all.len() == 2)
    });
    windows.menshen(&["uninstall", "web", "--purge"]).done();
    assert!(windows.processes_of("puppet.exe").is_empty());
    hold_gone(&windows, &["web"]);
}

#[test]
fn a_command_arrives_as_it_was_typed() {
    let Some(windows) = GuardedWindows::start(SHOP) else { return };
    let program = r"C:\test\puppet.exe";
    let install = [&["install", "worker", "--now", "--", program, "words"][..], &WORDS].concat();
    windows.menshen(&install).done();
    hold(
        &windows,
        "worker",
        &[(
            "ImagePath",
            r#""C:\test\menshen.exe" up --file C:\test\home\etc\installed\worker.toml --as-service worker"#,
        )],
    );
    let said = || windows.menshen(&["--instance", "worker", "logs", "worker"]).text();
    until("it has said the last word", || said().contains("<$HOME>"));
    let said = said();
    let said: Vec<&str> = said.lines().filter_map(|line| Some(&line[line.find('<')?..])).collect();
    assert_eq!(said, WORDS.map(|word| format!("<{word}>")));
    let detail: Value = windows.menshen(&["status", "worker", "--json"]).ended_with(0).json();
    let command: Vec<&str> = detail["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(command, [&[program, "words"][..], &WORDS].concat());
    windows.menshen(&["uninstall", "worker", "--purge"]).done();
    hold_gone(&windows, &["worker"]);
    assert!(!windows.path("home/etc").exists(), "the definition goes with it");
}

#[test]
fn a_program_that_answers_the_manager_is_its_own() {
    let Some(windows) = GuardedWindows::start(NATIVE) else { return };
    let Some(greeter) = require::for_windows("greeter") else { return };
    fs::copy(greeter, windows.path("greeter.exe")).unwrap();
    let refused = windows.menshen(&["install", "second", "--native", "--file", FILE]).ended_with(3);
    assert!(complained(&refused).contains("menshen install greeter --native"), "{refused:?}");

    windows.menshen(&["install", "greeter", "--native", "--file", FILE]).done();
    windows.menshen(&["install", "second", "--native", "--file", FILE]).done();
    hold(
        &windows,
        "greeter",
        &[
            ("ImagePath", r#""C:\test\greeter.exe""#),
            ("Start", "0x2"),
            ("DelayedAutoStart", "0x1"),
            ("DisplayName", r#"Greeter & "Co""#),
            ("Description", "Greets; 100% of whoever connects"),
            ("ObjectName", "LocalSystem"),
            ("Environment", r#"GREETING=a "b" %PATH%"#),
        ],
    );
    hold(
        &windows,
        "second",
        &[
            ("ImagePath", r#""C:\test\greeter.exe" --listen 127.0.0.1:7756"#),
            ("Start", "0x3"),
            ("DependOnService", "greeter"),
        ],
    );
    // Wine's manager starts nothing else along.
    windows.menshen(&["start", "greeter", "second"]).done();
    let status: Value = windows.menshen(&["status", "--json"]).ended_with(0).json();
    let states: Vec<_> = status["native"].as_array().unwrap().iter().map(|one| (&one["name"], &one["state"])).collect();
    let [greeter, second, running] = ["greeter", "second", "running"].map(Value::from);
    assert_eq!(states, [(&greeter, &running), (&second, &running)]);
    windows.menshen(&["pause", "second"]).done();
    assert!(windows.run(&["sc", "query", "second"]).text().contains("PAUSED"));
    windows.menshen(&["continue", "second"]).done();
    windows.menshen(&["stop", "second"]).done();
    windows.menshen(&["uninstall", "greeter"]).ended_with(1);
    for name in ["second", "greeter"] {
        windows.menshen(&["uninstall", name]).done();
    }
    hold_gone(&windows, &["greeter", "second"]);
    assert!(windows.processes_of("greeter.exe").is_empty());
}

#[test]
fn a_command_that_answers_the_manager_is_its_own_with_every_word() {
    let Some(windows) = GuardedWindows::start(NATIVE) else { return };
    let command = [&["--", r"C:\test\puppet.exe"][..], &WORDS].concat();
    // It is not said that it does.
    let refused = windows.menshen(&[&["install", "worker", "--native"][..], &command].concat()).ended_with(2);
    let part = "runs only programs that answer it (type = \"notify\")";
    assert!(refused.stderr.contains(part), "{refused:?}");
    hold_gone(&windows, &["worker"]);
    assert!(!windows.path("home/etc").exists(), "nothing is left of what was refused");
    let says = ["--set", "service.worker.type=notify", "--set", "service.worker.restart.policy=on-failure"];
    windows.menshen(&[&["install", "worker", "--native"][..], &says, &command].concat()).done();
    let path = registered(&windows, "worker", "ImagePath");
    assert_eq!(path, r#""C:\test\puppet.exe" --flag "two words" "" back\slash\ "a \"quoted\" word" ""%"PATH"% $HOME"#);
    windows.menshen(&["uninstall", "worker"]).done();
    hold_gone(&windows, &["worker"]);
}

#[test]
fn an_account_that_needs_a_password_is_refused_without_one() {
    let Some(windows) = GuardedWindows::start(SHOP) else { return };
    let nobody = windows.menshen(&["install", "--file", FILE, "--account", r".\ann"]).ended_with(1);
    assert!(complained(&nobody).contains("this machine has no user"), "{nobody:?}");
    // Who runs Wine is a user of its Windows.
    let refused = windows.menshen(&["install", "--file", FILE, "--account", "root"]).ended_with(2);
    assert!(complained(&refused).contains("MENSHEN_ACCOUNT_PASSWORD"), "{refused:?}");
    hold_gone(&windows, &["shop"]);
    for (account, registry) in
        [("NetworkService", r"NT AUTHORITY\NetworkService"), (r"NT SERVICE\shop", r"NT SERVICE\shop")]
    {
        windows.menshen(&["install", "--file", FILE, "--account", account]).done();
        hold(&windows, "shop", &[("ObjectName", registry)]);
    }
    windows.menshen(&["uninstall", "shop"]).done();
    hold_gone(&windows, &["shop"]);
}
