//! What is installed, as the registry has it.

use std::fs;
use std::process::Stdio;

use menshen_tests::wait::{until, until_some};

use super::{FOLDER, SERVICE, key_of, sample, sample_with, source_of, windows};

#[test]
fn every_option_is_in_the_registry_and_nothing_is_left_of_it() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "full", "steady").done();
    let key = key_of(SERVICE);
    let value = |name: &str| wine.registry(&key, name).unwrap_or_default();
    let wanted = [
        ("ImagePath", r#""C:\test\scm-sample.exe" --name scm-sample serve C:\test steady"#),
        ("Start", "0x2"),
        ("DelayedAutoStart", "0x1"),
        ("DisplayName", "Scm \"Sample\" & Co"),
        ("Description", "Says what it is told; 100% of it."),
        ("DependOnService", "Eventlog"),
        ("DependOnGroup", "Network Provider"),
        ("ObjectName", r"NT AUTHORITY\NetworkService"),
        ("Group", "SampleGroup"),
        ("Environment", "SAMPLE=a b \"c\" %PATH%"),
        // 77 s.
        ("PreshutdownTimeout", "0x12cc8"),
        ("Type", "0x10"),
    ];
    for (name, wanted) in wanted {
        assert_eq!(value(name), wanted, "{name}");
    }
    let parameters = format!(r"{key}\Parameters");
    assert_eq!(wine.registry(&parameters, "Directory").as_deref(), Some(r"C:\windows\temp"));
    assert_eq!(wine.registry(&parameters, "StopTimeout").as_deref(), Some("40000"));
    let messages = wine.registry(&source_of(SERVICE), "EventMessageFile");
    assert_eq!(messages.as_deref(), Some(r"%SystemRoot%\System32\EventCreate.exe"));

    assert_eq!(sample_with(&wine, "install", "full", "steady").ended_with(0).text().trim(), "Unchanged");
    assert_eq!(sample_with(&wine, "diff", "full", "steady").ended_with(0).text(), "");
    sample(&wine, &["uninstall"]).done();
    assert_eq!(wine.below(&key) + &wine.below(&source_of(SERVICE)), "");
}

/// Wine answers that it has done so, and tells that it has not.
#[test]
fn the_manager_is_told_when_and_after_which_ends_a_service_is_started_again() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "full", "steady").done();
    // 600 s.
    let told = wine.told();
    assert!(told.contains("SERVICE_CONFIG_FAILURE_ACTIONS not implemented: period 600 "), "{told}");
    // SERVICE_CONFIG_FAILURE_ACTIONS_FLAG.
    assert!(told.contains("svcctl_ChangeServiceConfig2W level 4 not implemented"), "{told}");
}

#[test]
fn an_installed_service_is_changed_in_place() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "full", "steady").done();
    let differences = sample_with(&wine, "diff", "other", "steady").ended_with(0).text();
    let named: Vec<&str> = differences.lines().filter_map(|line| line.split(':').next()).collect();
    let changed = [
        "start",
        "display name",
        "description",
        "depends on",
        "account",
        "environment",
        r"directory (Parameters\Directory)",
    ];
    assert_eq!(named, changed, "{differences}");
    assert_eq!(sample_with(&wine, "install", "other", "steady").ended_with(0).text().trim(), "Changed");
    assert_eq!(sample_with(&wine, "diff", "other", "steady").ended_with(0).text(), "");
    let key = key_of(SERVICE);
    let value = |name: &str| wine.registry(&key, name).unwrap_or_default();
    assert_eq!((value("ObjectName"), value("DisplayName")), ("LocalSystem".to_owned(), SERVICE.to_owned()));
    assert_ne!(value("DelayedAutoStart"), "0x1");
    assert_eq!(value("Environment"), "");
    assert_eq!(value("DependOnGroup"), "");
    assert_eq!(wine.registry(&format!(r"{key}\Parameters"), "Directory"), None);
}

#[test]
fn start_types_are_those_of_windows() {
    let Some(wine) = windows() else { return };
    let key = key_of(SERVICE);
    let start = || wine.registry(&key, "Start");
    for (options, wanted) in [("manual", "0x3"), ("disabled", "0x4"), ("plain", "0x2")] {
        sample_with(&wine, "install", options, "steady").done();
        assert_eq!(start().as_deref(), Some(wanted), "{options}");
    }
    sample_with(&wine, "install", "disabled", "steady").done();
    let refused = sample(&wine, &["act", "start"]).ended_with(1);
    assert!(refused.stderr.contains("it is disabled; enable it first"), "{}", refused.stderr);
    sample(&wine, &["act", "enable"]).done();
    assert_eq!(start().as_deref(), Some("0x2"));
    sample(&wine, &["act", "disable"]).done();
    assert_eq!(start().as_deref(), Some("0x3"));
}

#[test]
fn a_service_that_cannot_be_made_whole_is_not_made_at_all() {
    let Some(wine) = windows() else { return };
    let cases = [
        ("sid", "the manager knows no security identifier of services (level 5)"),
        ("privileges", "the manager knows no required privileges (level 6)"),
        ("triggers", "the manager knows no triggers (level 8)"),
        ("user", r"giving .\nobody-there the right to be logged on as a service"),
        ("managed", r"giving NOWHERE\shop$ the right to be logged on as a service"),
    ];
    for (options, why) in cases {
        let refused = sample_with(&wine, "install", options, "steady").ended_with(1);
        assert!(refused.stderr.contains(why), "{options}: {}", refused.stderr);
        assert_eq!(wine.below(&key_of(SERVICE)) + &wine.below(&source_of(SERVICE)), "", "{options}");
    }
}

#[test]
fn a_change_that_cannot_be_made_whole_is_not_made_at_all() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "full", "steady").done();
    let before = wine.below(&key_of(SERVICE));
    for options in ["sid", "triggers", "user", "managed"] {
        sample_with(&wine, "install", options, "steady").ended_with(1);
        assert_eq!(wine.below(&key_of(SERVICE)), before, "{options}");
    }
}

#[test]
fn a_service_that_somebody_else_made_is_left_alone() {
    let Some(wine) = windows() else { return };
    wine.run(&["sc", "create", SERVICE, "binPath=", r"C:\windows\system32\svchost.exe"]).done();
    let before = wine.below(&key_of(SERVICE));
    for refused in [sample_with(&wine, "install", "plain", "steady"), sample(&wine, &["uninstall"])] {
        let refused = refused.ended_with(1);
        assert!(refused.stderr.contains("was not made by menshen"), "{}", refused.stderr);
    }
    assert_eq!(wine.below(&key_of(SERVICE)), before);
    assert_eq!(wine.below(&source_of(SERVICE)), "");
}

#[test]
fn an_account_by_another_of_its_names_is_the_same() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "full", "steady").done();
    let other = r"nt authority\NETWORK SERVICE";
    wine.run(&["reg", "add", &key_of(SERVICE), "/v", "ObjectName", "/d", other, "/f"]).done();
    wine.cut_off();
    wine.boot();
    assert_eq!(wine.registry(&key_of(SERVICE), "ObjectName").as_deref(), Some(other));
    assert_eq!(sample_with(&wine, "diff", "full", "steady").ended_with(0).text(), "");
    let differences = sample_with(&wine, "diff", "other", "steady").ended_with(0).text();
    assert!(differences.contains("account: Some("), "{differences}");
}

#[test]
fn a_service_that_is_to_be_forgotten_is_not_taken_for_an_installed_one() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "plain", "asking").done();
    sample(&wine, &["act", "start"]).done();
    // Whoever waits has it open.
    let mut waiting = wine.command(&["scm-sample.exe", "act", "stop"]);
    let mut waiting = waiting.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let is_stopping = || sample(&wine, &["status"]).text().contains("stopping");
    until("it is being stopped", is_stopping);
    wine.run(&["sc", "delete", SERVICE]).done();
    let refused = sample_with(&wine, "install", "manual", "asking").ended_with(1);
    assert!(refused.stderr.contains("it is marked for deletion"), "{}", refused.stderr);
    // Windows notes it so; Wine does not.
    wine.run(&["reg", "add", &key_of(SERVICE), "/v", "DeleteFlag", "/t", "REG_DWORD", "/d", "1", "/f"]).done();
    let refused = sample_with(&wine, "install", "plain", "asking").ended_with(1);
    assert!(refused.stderr.contains("it is marked for deletion"), "{}", refused.stderr);
    fs::write(wine.path("end"), "").unwrap();
    assert!(until_some("nobody has it open", || waiting.try_wait().unwrap()).success());
    until("it is gone", || wine.below(&key_of(SERVICE)).is_empty());
    sample_with(&wine, "install", "plain", "asking").done();
}

#[test]
fn a_password_is_set_each_time_it_is_given() {
    let Some(wine) = windows() else { return };
    for _ in 0..2 {
        assert_eq!(sample_with(&wine, "install", "asker", "steady").ended_with(0).text().trim(), "Changed");
    }
    let only_the_password = r#"password: None -> Some("set (cannot be compared, and is not shown)")"#;
    let diff = || sample_with(&wine, "diff", "asker", "steady").ended_with(0).text();
    assert_eq!(diff().trim(), only_the_password);
    // The same account by its other name.
    let machine = wine.run(&["cmd", "/c", "echo %COMPUTERNAME%"]).ended_with(0).text();
    let account = wine.registry(&key_of(SERVICE), "ObjectName").unwrap();
    let user = account.strip_prefix(r".\").unwrap_or_else(|| panic!("{account}"));
    let other = format!(r"{}\{user}", machine.trim());
    wine.run(&["reg", "add", &key_of(SERVICE), "/v", "ObjectName", "/d", &other, "/f"]).done();
    wine.cut_off();
    wine.boot();
    assert_eq!(wine.registry(&key_of(SERVICE), "ObjectName").as_deref(), Some(&*other));
    assert_eq!(diff().trim(), only_the_password);
}

#[test]
fn an_account_with_a_password_is_not_lost_by_a_change_that_fails() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "asker", "steady").done();
    let noted = || wine.registry(&format!(r"{}\Parameters", key_of(SERVICE)), "LogonRightGiven");
    let before = wine.below(&key_of(SERVICE));
    assert_eq!(noted(), wine.registry(&key_of(SERVICE), "ObjectName"));
    // The account, too, would be another one.
    for options in ["sid", "triggers", "user"] {
        sample_with(&wine, "install", options, "steady").ended_with(1);
        assert_eq!(wine.below(&key_of(SERVICE)), before, "{options}");
    }
    sample_with(&wine, "install", "plain", "steady").done();
    assert_eq!(wine.registry(&key_of(SERVICE), "ObjectName").as_deref(), Some("LocalSystem"));
    assert_eq!(noted(), None, "the right was taken from the account again");
}

/// Wine takes a right and forgets it, but tells of each call.
#[test]
fn a_user_has_the_right_to_be_logged_on_as_long_as_a_service_needs_it() {
    let Some(wine) = windows() else { return };
    let calls = |words: &[&str]| {
        let told = wine.run_told(&[&["scm-sample.exe"][..], words].concat()).ended_with(0).stderr;
        ["LsaAddAccountRights", "LsaRemoveAccountRights"].map(|call| told.matches(call).count())
    };
    let install = ["install", "asker", FOLDER, "steady"];
    assert_eq!(calls(&["install", "plain", FOLDER, "steady"]), [0, 0]);
    assert_eq!(calls(&install), [1, 0]);
    assert_eq!(calls(&[&["--name", "other"][..], &install].concat()), [1, 0]);
    assert_eq!(calls(&["uninstall"]), [0, 0], "the other still needs it");
    assert_eq!(calls(&["--name", "other", "uninstall"]), [0, 1]);
}
