//! Services that the registry has are imported by their names, and run.

use menshen_tests::wait::until;
use menshen_tests::{GuardedWindows, State};

const WEB: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\Web";

/// Writes a value as nssm does.
fn add(windows: &GuardedWindows, key: &str, (name, kind, data): (&str, &str, &str)) {
    let name: &[&str] = if name.is_empty() { &["/ve"] } else { &["/v", name] };
    windows.run(&[&["reg", "add", key], name, &["/t", kind, "/d", data, "/f"]].concat()).done();
}

fn import(windows: &GuardedWindows, name: &str) -> menshen_tests::command::Ran {
    windows.menshen(&["import", "--from", "nssm", name, "--output", r"C:\test\imported.toml"])
}

#[test]
fn a_service_of_nssm_is_imported_by_its_name_and_runs() {
    let Some(windows) = GuardedWindows::start("") else { return };
    let create = ["sc", "create", "Web", "binPath=", r"C:\nssm\nssm.exe", "start=", "auto", "DisplayName=", "The web"];
    windows.run(&create).done();
    for value in [
        ("Application", "REG_EXPAND_SZ", r"C:\test\puppet.exe"),
        ("AppParameters", "REG_EXPAND_SZ", "echo \"two words\" %SystemRoot%"),
        ("AppDirectory", "REG_EXPAND_SZ", r"C:\test"),
        ("AppEnvironmentExtra", "REG_MULTI_SZ", r"PORT=80\0NAME=a b"),
        ("AppRestartDelay", "REG_DWORD", "2000"),
        ("AppThrottle", "REG_DWORD", "5000"),
        ("AppRotateFiles", "REG_DWORD", "1"),
        ("AppRotateBytes", "REG_DWORD", "1048576"),
        ("AppStopMethodConsole", "REG_DWORD", "2500"),
        ("AppAffinity", "REG_SZ", "0-1"),
    ] {
        add(&windows, &format!(r"{WEB}\Parameters"), value);
    }
    add(&windows, &format!(r"{WEB}\Parameters\AppExit"), ("", "REG_SZ", "Restart"));
    add(&windows, &format!(r"{WEB}\Parameters\AppExit"), ("7", "REG_SZ", "Exit"));
    add(&windows, &format!(r"{WEB}\Parameters\AppEvents\Exit"), ("Post", "REG_SZ", "notify.cmd"));

    let ran = import(&windows, "Web").ended_with(0);
    for noted in [WEB, "AppAffinity", "AppEvents"] {
        assert!(ran.stderr.contains(noted), "{noted} is noted: {}", ran.stderr);
    }
    let definition = std::fs::read_to_string(windows.path("imported.toml")).unwrap();
    for part in [
        "[service.Web]",
        r#"display_name = "The web""#,
        r#"PORT = "80""#,
        r#"NAME = "a b""#,
        r#"delay = "2s""#,
        r#"reset_after = "5s""#,
        r#"7 = "stop""#,
        r#"size = "1MiB""#,
        r#"policy = "always""#,
    ] {
        assert!(definition.contains(part), "{part} is in it:\n{definition}");
    }
    let checked = windows.menshen(&["check", "--file", r"C:\test\imported.toml"]);
    assert_eq!(checked.code, 0, "{}{}", checked.text(), checked.stderr);
    windows.menshen(&["up", "--detach", "--file", r"C:\test\imported.toml", "--set", "guard.name=shop"]).done();
    until("it runs", || windows.service("Web").state == State::Running);
    until("it was given what nssm gave it", || windows.log("Web") == b"[two words]\n[C:\\windows]\n");
    windows.menshen(&["--instance", "shop", "down"]).done();
    windows.run(&["sc", "delete", "Web"]).done();
}

#[test]
fn any_other_service_is_imported_as_far_as_it_is_a_program() {
    let Some(windows) = GuardedWindows::start("") else { return };
    let create = ["sc", "create", "Plain", "binPath=", r#""C:\test\puppet.exe" wait"#, "start=", "demand"];
    windows.run(&create).done();
    let key = r"HKLM\SYSTEM\CurrentControlSet\Services\Plain";
    // Forgotten after two minutes; two restarts, after half a second each.
    let failures = "780000000000000000000000020000001400000001000000f401000001000000f4010000";
    add(&windows, key, ("FailureActions", "REG_BINARY", failures));
    let ran = import(&windows, "Plain").ended_with(0);
    assert!(ran.stderr.contains("expects to be started by the service control manager"), "{}", ran.stderr);
    let definition = std::fs::read_to_string(windows.path("imported.toml")).unwrap();
    for part in ["puppet.exe", "\"wait\"", r#"policy = "on-failure""#, r#"delay = "500ms""#, r#"reset_after = "2m""#] {
        assert!(definition.contains(part), "{part} is in it:\n{definition}");
    }
    windows.menshen(&["up", "--detach", "--file", r"C:\test\imported.toml", "--set", "guard.name=shop"]).done();
    windows.menshen(&["start", "Plain"]).done();
    windows.menshen(&["--instance", "shop", "down"]).done();

    std::fs::remove_file(windows.path("imported.toml")).unwrap();
    add(&windows, key, ("ImagePath", "REG_EXPAND_SZ", r"%SystemRoot%\system32\svchost.exe -k netsvcs"));
    let refused = import(&windows, "Plain").ended_with(1);
    assert!(refused.stderr.contains("it is a library"), "{}", refused.stderr);
    let none = import(&windows, "nobody").ended_with(1);
    assert!(none.stderr.contains("there is neither a file nor a service 'nobody'"), "{}", none.stderr);
    assert!(!windows.path("imported.toml").exists());
}
